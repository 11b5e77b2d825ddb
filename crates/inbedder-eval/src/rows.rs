//! Rows of a task's file: JSON lines, plain or compressed (.zst, .gz). Every row is read or named
//! with its line; none is passed over.

use crate::{Error, Result};
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// All rows with their lines, from 1. Blank lines are no rows.
///
/// # Errors
/// A file that cannot be read, or a row that is not of the type, by its line.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>> {
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    let reader: Box<dyn Read> = match ending {
        Some("zst") => Box::new(zstd::Decoder::new(file).map_err(Error::io(path))?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut rows = Vec::new();
    for (number, line) in BufReader::new(reader).lines().enumerate() {
        let line = line.map_err(|cause| Error::row(path, number + 1, cause))?;
        if line.trim().is_empty() {
            continue;
        }
        let row = serde_json::from_str(&line).map_err(|cause| {
            let problem = cause.to_string();
            let problem = problem.split(" at line ").next().unwrap_or_default();
            Error::row(
                path,
                number + 1,
                format!("{problem} (column {})", cause.column()),
            )
        })?;
        rows.push((number + 1, row));
    }
    if rows.is_empty() {
        return Err(Error::data(path, "holds no row"));
    }
    Ok(rows)
}

/// Whether a file holds as many rows as the manifest says.
pub(crate) fn check_count(
    path: &Path,
    what: &str,
    found: usize,
    said: Option<usize>,
) -> Result<()> {
    match said {
        Some(said) if said != found => {
            let problem = format!("holds {found} {what}, the manifest says {said}");
            Err(Error::data(path, problem))
        }
        _ => Ok(()),
    }
}
