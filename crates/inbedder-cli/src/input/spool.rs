//! Standard input as a file, and what its content is.

use crate::args::InputFormat;
use crate::error::{Error, Result};
use std::io::Read;
use std::path::Path;

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
