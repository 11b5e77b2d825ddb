//! The one error type of the crate: where it was (file, line, task) and what was wrong.

use std::path::{Path, PathBuf};

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that should be JSON is not, or holds other fields.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },
    /// An entry of a manifest.
    #[error("{path}: task {task}: {problem}", path = path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The task's name, or its number when it has none.
        task: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A pattern that fits no task.
    #[error("no task fits {pattern:?}; there are: {known}")]
    NoTask {
        /// The pattern.
        pattern: String,
        /// Names of all tasks.
        known: String,
    },
    /// A row of a task's file.
    #[error("{path}:{line}: {problem}", path = path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of a task that does not hold what the manifest says, or nothing to measure.
    #[error("{path}: {problem}", path = path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A score that has no value, as a correlation with a constant.
    #[error("{measure} has no value: {problem}")]
    Undefined {
        /// The measure.
        measure: &'static str,
        /// Why.
        problem: String,
    },
    /// Vectors made elsewhere that do not fit.
    #[error("{path}: {problem}", path = path.display())]
    Vectors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of the cache that is not as it was written.
    #[error("{path}: {problem}; delete it, and its vectors are made again", path = path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting that makes no sense.
    #[error("{what}: {problem}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of rows, or one of them.
    #[error(transparent)]
    Rows(#[from] inbedder_rows::Error),
    /// From the embedder.
    #[error(transparent)]
    Embedder(#[from] inbedder::Error),
    /// From clustering.
    #[error(transparent)]
    Cluster(#[from] inbedder_cluster::Error),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        |source| Self::Io { path, source }
    }

    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self + use<> {
        let path = path.to_path_buf();
        |source| Self::Json { path, source }
    }

    pub(crate) fn data(path: &Path, problem: impl ToString) -> Self {
        Self::Data {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        }
    }

    pub(crate) fn row(path: &Path, line: usize, problem: impl ToString) -> Self {
        Self::Row {
            path: path.to_path_buf(),
            line,
            problem: problem.to_string(),
        }
    }

    pub(crate) fn vectors(path: &Path, problem: impl ToString) -> Self {
        Self::Vectors {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        }
    }

    /// Whether the caller asked to stop, which no task survives.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Embedder(inbedder::Error::Interrupted))
    }
}
