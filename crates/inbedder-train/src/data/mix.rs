//! Several files of rows as one set of data: weights, sources, and texts that must not be learnt from.

use super::exclusion::{Exclusion, OnExcluded};
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A text, a question about it and a short answer, as a line of JSON. Further fields are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// The text.
    pub input: String,
    /// The question.
    pub instruction: String,
    /// The answer.
    pub output: String,
    /// The set of data that the row is from.
    pub source: Option<String>,
}

/// A file and how often its passages are read in an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct MixFile {
    /// JSON lines, plain, `.gz` or `.zst`.
    pub path: PathBuf,
    /// Expected copies of each of its passages in an epoch: 2 is twice, 0.25 one passage in four, drawn
    /// anew every epoch.
    pub weight: f64,
}

/// `FILE` or `FILE=WEIGHT`, the weight a number above 0.
impl FromStr for MixFile {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self> {
        let (path, weight) = match given.rsplit_once('=') {
            Some((path, weight)) => (path, weight.parse().ok()),
            None => (given, Some(1.0)),
        };
        match weight {
            Some(weight) if weight > 0.0 && f64::is_finite(weight) && !path.is_empty() => {
                Ok(Self {
                    path: path.into(),
                    weight,
                })
            }
            _ => Err(Error::setting(
                "mix",
                format!("{given:?} is not FILE=WEIGHT with a weight above 0"),
            )),
        }
    }
}

/// Which sources are read. Rows that name none are read unless some are asked for by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// These alone.
    pub only: Option<Vec<String>>,
    /// All but these.
    pub without: Vec<String>,
}

/// What is read.
#[derive(Debug, Default)]
pub struct Mix {
    /// In this order.
    pub files: Vec<MixFile>,
    /// Filters by source.
    pub sources: Sources,
    /// Texts that must not be learnt from.
    pub exclusion: Option<Exclusion>,
    /// What to do with them.
    pub on_excluded: OnExcluded,
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of the files.
    pub rows: usize,
    /// Rows left out by their source.
    pub of_other_sources: usize,
    /// Rows whose text is excluded.
    pub excluded: usize,
    /// Rows kept, by source; `None` for those that name none.
    pub kept: BTreeMap<Option<String>, usize>,
}

impl Mix {
    /// Reads all files: their rows, each with the number of its file.
    ///
    /// # Errors
    /// A file that cannot be read; a row with missing or empty fields, or, unless those are dropped, with
    /// an excluded text, by file, line and field; a source that is asked for or left out by name and
    /// that no row has; no row left.
    pub fn read(&self) -> Result<(Vec<(usize, Row)>, Counts)> {
        let mut kept = Vec::new();
        let mut counts = Counts::default();
        let mut seen: BTreeMap<Option<String>, usize> = BTreeMap::new();
        for (number, file) in self.files.iter().enumerate() {
            for row in inbedder_rows::rows::<Row>(&file.path)? {
                let (line, row) = row?;
                check(&file.path, line, &row)?;
                counts.rows += 1;
                *seen.entry(row.source.clone()).or_default() += 1;
                if !self.sources.take(row.source.as_deref()) {
                    counts.of_other_sources += 1;
                } else if self.excludes(&file.path, line, &row)? {
                    counts.excluded += 1;
                } else {
                    *counts.kept.entry(row.source.clone()).or_default() += 1;
                    kept.push((number, row));
                }
            }
        }
        self.sources.check(&seen)?;
        if kept.is_empty() {
            return Err(Error::NoRow { counts });
        }
        Ok((kept, counts))
    }

    /// Whether a row is to be dropped for its text.
    fn excludes(&self, path: &Path, line: u64, row: &Row) -> Result<bool> {
        let found = self.exclusion.as_ref().and_then(|all| all.find(&row.input));
        match (found, self.on_excluded) {
            (None, _) => Ok(false),
            (Some(_), OnExcluded::Drop) => Ok(true),
            (Some(in_file), OnExcluded::Error) => Err(Error::Excluded {
                path: path.to_path_buf(),
                line,
                in_file: in_file.to_path_buf(),
            }),
        }
    }
}

impl Sources {
    fn take(&self, source: Option<&str>) -> bool {
        let among = |names: &[String]| source.is_some_and(|s| names.iter().any(|name| name == s));
        self.only.as_deref().is_none_or(among) && !among(&self.without)
    }

    fn check(&self, seen: &BTreeMap<Option<String>, usize>) -> Result<()> {
        let named = self.only.iter().flatten().chain(&self.without);
        for name in named {
            if !seen.contains_key(&Some(name.clone())) {
                let known: Vec<&str> = seen.keys().flatten().map(String::as_str).collect();
                return Err(Error::NoSource {
                    name: name.clone(),
                    known: known.join(", "),
                });
            }
        }
        Ok(())
    }
}

fn check(path: &Path, line: u64, row: &Row) -> Result<()> {
    let fields = [
        ("input", &row.input),
        ("instruction", &row.instruction),
        ("output", &row.output),
    ];
    match fields.iter().find(|(_, value)| value.trim().is_empty()) {
        Some((field, _)) => Err(Error::EmptyField {
            path: path.to_path_buf(),
            line,
            field,
        }),
        None => Ok(()),
    }
}
