//! The one error type of the crate: where it was (file, line, field) and what was wrong.

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
    /// A file of rows, or one of them.
    #[error(transparent)]
    Rows(#[from] inbedder_rows::Error),
    /// A folder that cannot be walked through.
    #[error("{path}: {source}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What was wrong, and where below it.
        source: walkdir::Error,
    },
    /// A field of a row that says nothing.
    #[error("{path}:{line}: field {field:?} is empty", path = path.display())]
    EmptyField {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The field.
        field: &'static str,
    },
    /// A row whose text must not be learnt from.
    #[error("{path}:{line}: the text is in {in_file} too, which is excluded; --on-excluded drop leaves such rows out",
        path = path.display(), in_file = in_file.display())]
    Excluded {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The excluded file.
        in_file: PathBuf,
    },
    /// A source by a name that no row has.
    #[error("no row is from {name:?}; there are: {known}")]
    NoSource {
        /// The name.
        name: String,
        /// All sources.
        known: String,
    },
    /// Nothing to learn from.
    #[error("no row is left of {rows}: {other} of other sources, {excluded} excluded",
        rows = counts.rows, other = counts.of_other_sources, excluded = counts.excluded)]
    NoRow {
        /// What became of the rows.
        counts: crate::data::Counts,
    },
    /// A setting that makes no sense.
    #[error("{what}: {problem}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A loss or a gradient that is no number.
    #[error("step {}: loss {loss}, gradient of length {gradient_norm}{}", rows.step, rows_in(path.as_deref()))]
    NotFinite {
        /// What the step learnt from.
        rows: Box<crate::data::dump::Step>,
        /// Its loss.
        loss: f64,
        /// Length of its gradient.
        gradient_norm: f64,
        /// Where the rows were written down; a trainer by itself writes nothing.
        path: Option<PathBuf>,
    },
    /// A base model that cannot be written with trained weights in the place of its own.
    #[error(
        "only LoRA can be trained on this model, since it could not be written with other weights: {source}"
    )]
    Unwritable {
        /// Why not; in a box, so that errors stay small.
        source: Box<inbedder::Error>,
    },
    /// A run that is there already.
    #[error("{path} holds the checkpoints of a run; --resume goes on with it", path = path.display())]
    Exists {
        /// Its folder.
        path: PathBuf,
    },
    /// A checkpoint of a run that differs from this one.
    #[error("{path} is of a run that differs in {what}; train into another folder, or as that run was",
        path = path.display())]
    OtherRun {
        /// The checkpoint's file.
        path: PathBuf,
        /// What differs, and what it was.
        what: String,
    },
    /// A file of numbers that cannot be read or written.
    #[error("{path}: {problem}", path = path.display())]
    Numbers {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A value that cannot be read or written as JSON.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the serialiser said.
        source: serde_json::Error,
    },
    /// From the library.
    #[error(transparent)]
    Embedder(#[from] inbedder::Error),
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

    pub(crate) fn setting(what: &'static str, problem: impl ToString) -> Self {
        Self::Setting {
            what,
            problem: problem.to_string(),
        }
    }
}

fn rows_in(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!("; its rows are in {}", path.display())
    })
}
