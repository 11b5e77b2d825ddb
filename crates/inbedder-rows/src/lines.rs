//! Bytes to lines. The content says whether it is compressed, more surely than a name does.

use crate::{Error, Problem, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longer lines are taken for damage, in bytes.
pub const LONGEST_LINE: u64 = 64 << 20;

/// A file's bytes, decompressed; `name` is for messages and for its extension.
///
/// # Errors
/// A file that cannot be read, or that its name calls compressed and that is not.
pub fn decompress(file: File, name: &Path) -> Result<Box<dyn BufRead>> {
    let failed = |cause| Error::new(name, 0, Problem::Open(cause));
    let mut start = BufReader::new(file);
    let magic = start.fill_buf().map_err(failed)?;
    if magic.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(start))));
    }
    if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::with_buffer(start).map_err(failed)?;
        return Ok(Box::new(BufReader::new(decoder)));
    }
    let extension = name.extension().unwrap_or_default();
    if extension.eq_ignore_ascii_case("gz") || extension.eq_ignore_ascii_case("zst") {
        let extension = extension.to_string_lossy().into_owned();
        return Err(Error::new(name, 0, Problem::NotCompressed(extension)));
    }
    Ok(Box::new(start))
}

/// The lines of a file with their numbers, from 1; blank ones are passed over, line ends and a
/// byte-order mark are taken off. It goes on behind a line that is no text, and ends with any other error.
pub struct Lines {
    reader: Box<dyn BufRead>,
    name: PathBuf,
    number: u64,
    ended: bool,
}

impl Lines {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`decompress`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|cause| Error::new(path, 0, Problem::Open(cause)))?;
        Ok(Self::new(decompress(file, path)?, path))
    }

    /// Lines of decompressed bytes; `name` is for messages.
    pub fn new(reader: Box<dyn BufRead>, name: &Path) -> Self {
        Self {
            reader,
            name: name.to_path_buf(),
            number: 0,
            ended: false,
        }
    }

    /// The file's name in messages.
    pub fn name(&self) -> &Path {
        &self.name
    }

    fn line(&mut self) -> Result<Option<String>, Problem> {
        let mut bytes = Vec::new();
        let mut bounded = (&mut self.reader).take(LONGEST_LINE + 1);
        bounded
            .read_until(b'\n', &mut bytes)
            .map_err(Problem::Damaged)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() as u64 > LONGEST_LINE {
            return Err(Problem::TooLong);
        }
        while bytes.last().is_some_and(|end| matches!(end, b'\n' | b'\r')) {
            bytes.pop();
        }
        let line = String::from_utf8(bytes)
            .map_err(|cause| Problem::NotUtf8(cause.utf8_error().valid_up_to() + 1))?;
        match line.strip_prefix('\u{feff}') {
            Some(unmarked) if self.number == 1 => Ok(Some(unmarked.to_string())),
            _ => Ok(Some(line)),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<(u64, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            self.number += 1;
            match self.line() {
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => return Some(Ok((self.number, line))),
                Ok(None) => self.ended = true,
                Err(problem) => {
                    self.ended = !problem.is_of_one_line();
                    return Some(Err(Error::new(&self.name, self.number, problem)));
                }
            }
        }
        None
    }
}
