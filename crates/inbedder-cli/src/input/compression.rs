//! Decompression by extension, and standard input as a file.

use super::Source;
use crate::args::InputFormat;
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A source's bytes, decompressed.
pub(super) fn reader(source: &Source) -> Result<Box<dyn BufRead>> {
    let file = source.file()?;
    let failed = |cause: std::io::Error| Error::input(&source.name, 0, cause);
    let mut start = BufReader::new(file);
    // The content tells more surely than the name, and standard input has none.
    let magic = start.fill_buf().map_err(failed)?;
    if magic.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(start))));
    }
    if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::with_buffer(start).map_err(failed)?;
        return Ok(Box::new(BufReader::new(decoder)));
    }
    let extension = source.name.extension().unwrap_or_default();
    if extension.eq_ignore_ascii_case("gz") || extension.eq_ignore_ascii_case("zst") {
        let problem = format!(
            "is not compressed as its name says (.{})",
            extension.display()
        );
        return Err(Error::input(&source.name, 0, problem));
    }
    Ok(Box::new(start))
}

/// Copies standard input to a temporary file.
pub(super) fn spool() -> Result<tempfile::NamedTempFile> {
    let failed = |cause: std::io::Error| Error::input(Path::new("-"), 0, cause);
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    std::io::copy(&mut std::io::stdin().lock(), &mut file).map_err(failed)?;
    Ok(file)
}

/// JSON lines begin with a brace; everything else is a text a line.
pub(super) fn guess(path: &Path, name: &Path) -> Result<InputFormat> {
    let failed = |cause: std::io::Error| Error::input(name, 0, cause);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut start = String::new();
    // Not UTF-8 is found, with its line, when the texts are read.
    let _ = file.take(4096).read_to_string(&mut start);
    let begin = start.trim_start_matches('\u{feff}').trim_start();
    Ok(if begin.starts_with('{') {
        InputFormat::Jsonl
    } else {
        InputFormat::Txt
    })
}
