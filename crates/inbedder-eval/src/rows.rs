//! Rows of a task's file: JSON lines, plain or compressed.

use crate::{Error, Result};
use serde::de::DeserializeOwned;
use std::path::Path;

/// All rows with their lines, from 1. Blank lines are no rows.
///
/// # Errors
/// A file that cannot be read, or a row that is not of the type, by its line.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>> {
    let rows = inbedder_rows::read(path)?;
    let number = |(line, row): (u64, T)| (line as usize, row);
    Ok(rows.into_iter().map(number).collect())
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
