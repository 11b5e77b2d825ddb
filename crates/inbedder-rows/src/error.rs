//! The one error type of the crate: a place and a problem.

use std::path::{Path, PathBuf};

/// What was wrong, and where.
#[derive(Debug)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a file or a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be opened.
    #[error("{0}")]
    Open(#[source] std::io::Error),
    /// Bytes that cannot be read or decompressed.
    #[error("cannot be read on: {0}; the file is cut off or damaged")]
    Damaged(#[source] std::io::Error),
    /// A compressed file's name, and plain bytes.
    #[error("is not compressed as its name says (.{0})")]
    NotCompressed(String),
    /// A line that is taken for damage.
    #[error("is longer than {} MiB", crate::LONGEST_LINE >> 20)]
    TooLong,
    /// Bytes that are no text; the byte within the line, from 1.
    #[error("is not UTF-8 (byte {0})")]
    NotUtf8(usize),
    /// Broken JSON, or a row with other fields.
    #[error("{}", json(field, source))]
    Json {
        /// The field's path within the row, `.` for the row itself.
        field: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// No row in the whole file.
    #[error("holds no row")]
    Empty,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(path: &Path, line: u64, problem: Problem) -> Self {
        Self {
            path: path.to_path_buf(),
            line,
            problem,
        }
    }
}

impl Problem {
    /// Whether it is one line's, so that the lines behind it can still be read.
    pub fn is_of_one_line(&self) -> bool {
        matches!(self, Self::NotUtf8(_) | Self::Json { .. })
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        write!(f, " {}", self.problem)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem.source()
    }
}

/// The parser counts lines within the row, which is one.
fn json(field: &str, source: &serde_json::Error) -> String {
    let said = source.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let column = source.column();
    match field {
        "." | "?" => format!("{said} (column {column})"),
        _ => format!("field {field:?}: {said} (column {column})"),
    }
}
