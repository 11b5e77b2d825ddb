//! What can go wrong in the command, and the exit status of each.

use std::path::{Path, PathBuf};

/// A failure, ready to be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Arguments that do not fit together.
    #[error("{0}")]
    Usage(String),
    /// An input that cannot be read.
    #[error("{}{problem}", place(path, *line))]
    Input {
        path: PathBuf,
        /// Line (or row) from 1; 0 for the file as a whole.
        line: u64,
        problem: String,
    },
    /// A row of an input that is no text; rows behind it can still be read.
    #[error("{}{problem}", place(path, *line))]
    Row {
        path: PathBuf,
        /// Line (or row) from 1.
        line: u64,
        problem: String,
    },
    /// An output that cannot be written.
    #[error("{path}: {problem}", path = path.display())]
    Output { path: PathBuf, problem: String },
    /// Writing the output failed.
    #[error("{path}: {source}; nothing was left under that name", path = path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Standard output was closed.
    #[error("standard output: {0}")]
    Stdout(std::io::Error),
    /// Ctrl-C.
    #[error("interrupted; no output was left")]
    Interrupted,
    /// From the clustering library.
    #[error("{0}")]
    Cluster(#[from] inbedder_cluster::Error),
    /// From training.
    #[error("{0}")]
    Train(inbedder_train::Error),
    /// Ctrl-C while training.
    #[error("stopped; the same command with --resume goes on from {path}", path = path.display())]
    Stopped { path: PathBuf },
    /// From the library.
    #[error("{0}")]
    Library(inbedder::Error),
    /// From evaluation.
    #[error("{0}")]
    Eval(inbedder_eval::Error),
    /// Tasks that could not be measured, whatever the others gave.
    #[error("{failed} of {of} tasks failed")]
    Tasks { failed: usize, of: usize },
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn input(path: &Path, line: u64, problem: impl ToString) -> Self {
        Self::Input {
            path: path.to_path_buf(),
            line,
            problem: problem.to_string(),
        }
    }

    pub(crate) fn row(path: &Path, line: u64, problem: impl ToString) -> Self {
        Self::Row {
            path: path.to_path_buf(),
            line,
            problem: problem.to_string(),
        }
    }

    pub(crate) fn output(path: &Path, problem: impl ToString) -> Self {
        Self::Output {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        }
    }

    pub(crate) fn write(path: &Path, source: impl Into<std::io::Error>) -> Self {
        Self::Write {
            path: path.to_path_buf(),
            source: source.into(),
        }
    }

    /// The one table from failures to exit statuses.
    pub(crate) fn exit_status(&self) -> u8 {
        use inbedder::Error as Library;
        use inbedder_eval::Error as Evaluation;
        use inbedder_train::Error as Training;
        match self {
            Self::Usage(_)
            | Self::Input { .. }
            | Self::Row { .. }
            | Self::Output { .. }
            | Self::Cluster(_) => 2,
            Self::Write { .. } | Self::Stdout(_) => 1,
            Self::Train(Training::NotFinite { .. }) => 1,
            Self::Train(_) => 2,
            Self::Stopped { .. } | Self::Interrupted | Self::Library(Library::Interrupted) => 130,
            Self::Library(
                Library::UnknownModel { .. }
                | Library::HubName { .. }
                | Library::ModelFile { .. }
                | Library::UnknownName { .. }
                | Library::UnknownFamily { .. }
                | Library::Template { .. }
                | Library::EmptyPrompt { .. }
                | Library::NoQuestion
                | Library::QuestionTooLong { .. }
                | Library::OutOfRange { .. }
                | Library::InstructionSet(_)
                | Library::Io { .. }
                | Library::Json { .. }
                | Library::Config { .. }
                | Library::WrongTokenizer { .. }
                | Library::WeightsFormat { .. }
                | Library::TensorType { .. }
                | Library::TensorMissing { .. }
                | Library::TensorShape { .. }
                | Library::UnknownAdapter { .. }
                | Library::AdapterFile { .. }
                | Library::AdapterMismatch { .. }
                | Library::AdapterBase { .. }
                | Library::ExportTarget { .. }
                | Library::MetadataKey { .. }
                | Library::Tokenizer { .. },
            ) => 2,
            Self::Eval(Evaluation::Cache { .. } | Evaluation::Undefined { .. }) => 1,
            Self::Eval(_) => 2,
            Self::Tasks { .. } | Self::Library(_) => 1,
        }
    }

    /// The reader of our output went away (`| head`), which is no reason to complain.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Stdout(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl From<inbedder::Error> for Error {
    fn from(error: inbedder::Error) -> Self {
        match error {
            inbedder::Error::Interrupted => Self::Interrupted,
            other => Self::Library(other),
        }
    }
}

impl From<inbedder_eval::Error> for Error {
    fn from(error: inbedder_eval::Error) -> Self {
        match error {
            inbedder_eval::Error::Embedder(error) => error.into(),
            other => Self::Eval(other),
        }
    }
}

impl From<inbedder_train::Error> for Error {
    fn from(error: inbedder_train::Error) -> Self {
        match error {
            inbedder_train::Error::Embedder(error) => error.into(),
            other => Self::Train(other),
        }
    }
}

fn place(path: &Path, line: u64) -> String {
    let name = if path == Path::new("-") {
        "standard input".into()
    } else {
        path.display().to_string()
    };
    if line == 0 {
        format!("{name}: ")
    } else {
        format!("{name}:{line}: ")
    }
}
