//! `metrics.jsonl`: a line per step and per validation.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Counts since the run began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Questions with one answer.
    pub rows: u64,
    /// Distinct tokens read.
    pub tokens: u64,
    /// Time in steps.
    pub seconds: f64,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Record {
    /// A step was taken.
    Step(StepRecord),
    /// Held-out passages were looked at.
    Validation(ValidationRecord),
}

impl Record {
    fn step(&self) -> u64 {
        match self {
            Self::Step(record) => record.step,
            Self::Validation(record) => record.step,
        }
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// From 1.
    pub step: u64,
    /// From 1.
    pub epoch: u64,
    /// Since the run began.
    pub rows: u64,
    /// Distinct tokens read since the run began.
    pub tokens: u64,
    /// Of the step.
    pub loss: f64,
    /// Of the step.
    pub learning_rate: f64,
    /// Length of the gradient before it was clipped.
    pub grad_norm: f64,
    /// Of the step.
    pub tokens_per_second: f64,
    /// Time in steps since the run began.
    pub seconds: f64,
}

/// A look at held-out passages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// After this step.
    pub step: u64,
    /// Mean loss; `None` if nothing is held out. The field must be there: it tells the two kinds of line
    /// apart.
    #[serde(deserialize_with = "Option::deserialize")]
    pub validation_loss: Option<f64>,
    /// Share of greedy answers that are one of the right ones, word by word; `None` if nothing is held out.
    pub exact_match: Option<f64>,
}

/// The file.
pub(crate) struct Metrics {
    path: PathBuf,
    file: fs::File,
}

impl Metrics {
    /// Opens the file of a run that has taken `step` steps, and drops lines of later ones: they will
    /// be taken again.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub(crate) fn open(out: &Path, step: u64) -> Result<Self> {
        let path = out.join("metrics.jsonl");
        let kept: String = match fs::read_to_string(&path) {
            Ok(text) => text
                .split_inclusive('\n')
                .filter(|line| {
                    let record = serde_json::from_str::<Record>(line);
                    line.ends_with('\n') && record.is_ok_and(|record| record.step() <= step)
                })
                .collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io(&path)(error)),
        };
        let partial = out.join(".metrics.jsonl.partial");
        fs::write(&partial, kept).map_err(Error::io(&partial))?;
        fs::rename(&partial, &path).map_err(Error::io(&path))?;
        let file = fs::OpenOptions::new().append(true).open(&path);
        let file = file.map_err(Error::io(&path))?;
        Ok(Self { path, file })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn add(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(Error::json(&self.path))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io(&self.path))
    }
}
