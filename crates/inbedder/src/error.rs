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
    /// A file that should be JSON is not.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },
    /// A field of a model's configuration.
    #[error("{path}: {field}: {problem}", path = path.display())]
    Config {
        /// The configuration.
        path: PathBuf,
        /// The field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A model of a family that is not supported.
    #[error("{path}: the architecture {family:?} is not supported, only {known}", path = path.display())]
    UnknownFamily {
        /// The configuration or GGUF file.
        path: PathBuf,
        /// What it says.
        family: String,
        /// What would be understood.
        known: String,
    },
    /// A metadata value of a GGUF file.
    #[error("{path}: metadata {key}: expected a {expected}, found {found}", path = path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The type that is needed.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A file that contradicts itself.
    #[error("{path}: damaged: {problem}; fetch or copy it again", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A tensor that the configuration calls for is not there.
    #[error("{path}: no tensor {tensor}", path = path.display())]
    MissingTensor {
        /// The (first) weights file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor of another shape than the configuration calls for.
    #[error("{path}: tensor {tensor} has shape {found:?}, expected {expected:?}", path = path.display())]
    TensorShape {
        /// The weights file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// By the configuration.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// A tensor of a number type that is not supported.
    #[error("{path}: tensor {tensor} holds {found}, which is not supported", path = path.display())]
    TensorType {
        /// The weights file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its number type.
        found: String,
    },
    /// A tokenizer that belongs to another model.
    #[error(
        "the tokenizer has {tokens} tokens, the model embeds {rows}: they do not belong together"
    )]
    WrongTokenizer {
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Rows of the model's embedding.
        rows: usize,
    },
    /// `INBEDDER_ISA` names a level that is not there.
    #[error("{0}")]
    InstructionSet(String),
    /// The worker threads could not be started.
    #[error("the worker threads could not be started: {0}")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// A word that should be one of a list.
    #[error("unknown {what} {name:?}: choose one of {known}")]
    UnknownName {
        /// What the word stands for.
        what: &'static str,
        /// The word.
        name: String,
        /// The list.
        known: String,
    },
    /// A prompt pattern without, or with too many of, its placeholders.
    #[error(
        "the template {template:?} is no preset (inbedder, alpaca, llama2-chat), and as a pattern it \
         holds {placeholder} {found} times instead of once"
    )]
    Template {
        /// The pattern.
        template: String,
        /// `{input}` or `{instruction}`.
        placeholder: &'static str,
        /// How often it is there.
        found: usize,
    },
    /// A template, text and question that make no token at all.
    #[error("the template {template:?} with an empty text and question makes an empty prompt")]
    EmptyPrompt {
        /// The template.
        template: String,
    },
    /// Nothing was asked.
    #[error("no question: ask at least one")]
    NoQuestion,
    /// A question that leaves no room.
    #[error(
        "the question {question:?} and the template take {tokens} tokens, more than the budget of \
         {budget} for a whole prompt: shorten it or raise the budget"
    )]
    QuestionTooLong {
        /// The question.
        question: String,
        /// What question, template and special tokens take.
        tokens: usize,
        /// Tokens of a prompt.
        budget: usize,
    },
    /// A number that makes no sense here.
    #[error("{what}: {value} is not within {least} to {most}")]
    OutOfRange {
        /// What the number stands for.
        what: &'static str,
        /// The number.
        value: usize,
        /// The least that makes sense.
        least: usize,
        /// The most that makes sense.
        most: usize,
    },
    /// The caller asked to stop; nothing of the unfinished work was returned.
    #[error("interrupted")]
    Interrupted,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
