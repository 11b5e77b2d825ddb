//! A weight file mapped into memory, read-only, or bytes that are compiled in. The one place of this
//! crate with `unsafe`.
//!
//! There is no fallback that reads the file instead: weights must never be in memory twice, and
//! every platform that is built for can map a regular file.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The bytes of a regular file, mapped until this is dropped, or of one that is compiled in.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(memmap2::Mmap),
    BuiltIn(&'static [u8]),
}

impl MappedFile {
    /// Maps `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be opened or mapped, or is not a regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let kind = file.metadata().map_err(io)?;
        if kind.is_dir() {
            return Err(io(io::Error::new(
                io::ErrorKind::IsADirectory,
                "is a folder; a weight file is needed",
            )));
        }
        if !kind.is_file() {
            return Err(io(io::Error::new(
                io::ErrorKind::InvalidInput,
                "is no regular file and cannot be mapped into memory",
            )));
        }
        // SAFETY: The mapping is read-only and private to this value; `&[u8]` into it live no
        // longer than it. What the language cannot promise is that nobody changes the file
        // meanwhile. Truncating it while it is mapped ends the process with SIGBUS; overwriting
        // it in place changes numbers under the reader. Neither is excluded by the system, so it
        // is demanded of the user: weight files are written under another name and renamed into
        // place (as the cache of this crate does), never rewritten where they lie. No code here
        // relies on reading the same byte twice with the same result for memory safety: every
        // offset is checked against the length at mapping time, and bytes become numbers by value.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        Ok(Self {
            path: path.to_path_buf(),
            bytes: Bytes::Mapped(map),
        })
    }

    /// Bytes that are there already; `path` stands for them in messages.
    pub(super) fn of_bytes(path: &Path, bytes: &'static [u8]) -> Self {
        Self {
            path: path.to_path_buf(),
            bytes: Bytes::BuiltIn(bytes),
        }
    }

    /// Gives the pages read so far back to the system; they are read from the file again when they
    /// are needed. A wish: where it cannot be had, nothing is lost but the memory.
    pub fn release(&self) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.bytes {
            // SAFETY: dropping pages of a private read-only mapping of a file loses nothing: the next
            // access reads the same bytes from the file, under the conditions stated in `open`.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }

    /// The file that is mapped.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::BuiltIn(bytes) => bytes,
        }
    }
}
