//! The one error type of the library: every variant says what was wrong, where, and what to do.

use std::path::PathBuf;

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
    /// The caller asked to stop; nothing of the unfinished work was returned.
    #[error("interrupted")]
    Interrupted,

    // Weights and tokenizers.
    /// A weight file whose header or sizes do not hold together.
    #[error("{path}: not a readable {format} file: {problem}. It is damaged, incomplete or of another kind; fetch or export it again", path = path.display())]
    WeightsFormat {
        /// The weight file.
        path: PathBuf,
        /// `GGUF` or `safetensors`.
        format: &'static str,
        /// What does not hold.
        problem: String,
        /// What the format's reader said.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A tensor stored in a number format that is not read here.
    #[error("{path}: tensor `{tensor}` is stored as {dtype}, which is not supported; supported are {supported}", path = path.display())]
    TensorType {
        /// The weight file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The number format, as its file format names it.
        dtype: String,
        /// The ones that are read.
        supported: &'static str,
    },
    /// A tensor that the model needs and the file does not have.
    #[error("{path}: there is no tensor `{tensor}`; the file holds another model, or a part of one", path = path.display())]
    TensorMissing {
        /// The (first) weight file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor of another shape than the model's configuration asks for.
    #[error("{path}: tensor `{tensor}` has the shape {found:?}, expected {expected:?}; weights and configuration belong to different models", path = path.display())]
    TensorShape {
        /// The weight file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Row-major, as the configuration implies it.
        expected: Vec<usize>,
        /// Row-major, as stored.
        found: Vec<usize>,
    },
    /// Rows were asked for that the tensor does not have, or with a buffer of another length.
    #[error("{path}: rows {start}..{end} of tensor `{tensor}` ({rows} rows of {row_len}) do not fit a buffer of {buffer} numbers", path = path.display())]
    TensorRows {
        /// The weight file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// First row asked for.
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// Rows of the tensor.
        rows: usize,
        /// Numbers in a row.
        row_len: usize,
        /// Length of the buffer that was to be filled.
        buffer: usize,
    },
    /// A metadata entry of a GGUF file that is absent or of another type.
    #[error("{path}: metadata key `{key}` should be {expected}, but is {found}", path = path.display())]
    MetadataKey {
        /// The GGUF file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The type asked for.
        expected: &'static str,
        /// The type found, or `missing`.
        found: String,
    },
    /// A tokenizer that cannot be built, or a text that it cannot encode or decode.
    #[error("{path}: {field}: {problem}", path = path.display())]
    Tokenizer {
        /// `tokenizer.json`, its neighbour, or the GGUF file.
        path: PathBuf,
        /// The field or metadata key at fault.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What the tokenizer library said.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
