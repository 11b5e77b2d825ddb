//! Rows that could not be read: `OUT.errors.jsonl` holds a line for each, with its number and the
//! reason.

use crate::error::{Error, Result};
use crate::output::{Unfinished, beside};
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// Rows that were passed over, gathered in a file without a name until the output is there.
pub(crate) struct Rejects {
    path: PathBuf,
    lines: BufWriter<File>,
    count: usize,
    /// The first failure to write, told when the file is kept.
    failure: Option<std::io::Error>,
    /// Rows are read twice and written down once.
    closed: bool,
}

impl Rejects {
    /// Begins the file that belongs to an output.
    ///
    /// # Errors
    /// No place for temporary files.
    pub(crate) fn new(output: &Path) -> Result<Self> {
        let path = beside(output, ".errors.jsonl");
        let file = tempfile::tempfile().map_err(|cause| Error::write(&path, cause))?;
        Ok(Self {
            path,
            lines: BufWriter::new(file),
            count: 0,
            failure: None,
            closed: false,
        })
    }

    pub(super) fn add(&mut self, line: u64, problem: &str) {
        if self.closed {
            return;
        }
        self.count += 1;
        let row = json!({"line": line, "reason": problem});
        if let Err(cause) = writeln!(self.lines, "{row}") {
            self.failure.get_or_insert(cause);
        }
    }

    /// The first reading is over.
    pub(super) fn close(&mut self) {
        self.closed = true;
        if self.count > 0 {
            let path = self.path.display();
            tracing::warn!(
                "{} rows cannot be read and are left out; see {path}",
                self.count
            );
        }
    }

    /// Gives the file its name, if there is anything in it.
    pub(super) fn keep(&mut self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let failed = |cause| Error::write(&self.path, cause);
        if let Some(cause) = self.failure.take() {
            return Err(failed(cause));
        }
        self.lines.flush().map_err(failed)?;
        let gathered = self.lines.get_mut();
        gathered.rewind().map_err(failed)?;
        let mut kept = Unfinished::new(&self.path)?;
        std::io::copy(gathered, &mut kept.file).map_err(failed)?;
        kept.persist()
    }
}
