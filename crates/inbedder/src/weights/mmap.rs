//! Memory-mapped files: the one place outside the kernels with `unsafe`.

use crate::{Error, Result};
use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A file mapped read-only.
pub(crate) struct MappedFile {
    path: PathBuf,
    map: memmap2::Mmap,
}

impl MappedFile {
    /// # Errors
    /// When the file cannot be opened or mapped, or is a folder or empty.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(io(std::io::Error::other("not a file")));
        }
        // SAFETY: the map is only read. Rust cannot rule out that another process shortens or
        // rewrites the file meanwhile (reading a shortened map ends the process, rewritten bytes
        // are other numbers); the cache replaces files by renaming, which leaves maps intact, and
        // everyone who maps model files makes the same demand on their users.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        Ok(Self {
            path: path.to_path_buf(),
            map,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}
