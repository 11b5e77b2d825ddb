//! The engine's front door: texts × questions in, embeddings and answers out.
//! STUB with the final signatures; the body follows.
#![allow(missing_docs)]
use crate::{Error, Result};

/// Which hidden states make the embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readout {
    #[default]
    FstGen,
    AvgPpt,
}
/// How a vector is scaled before it is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalize {
    #[default]
    L2,
    None,
}
/// Which side of a prompt that is over the budget is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Truncate {
    #[default]
    Text,
    Left,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    #[default]
    F32,
}

/// How a model is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    pub precision: Precision,
    /// Worker threads; 0 = one per core.
    pub threads: usize,
}

/// What is asked of the texts (fields are private; `Request::new` validates).
#[derive(Debug, Clone)]
pub struct Request {
    pub questions: Vec<String>,
    /// e.g. "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:"
    pub template: Template,
    pub truncate: Truncate,
    /// Longest prompt in tokens (512).
    pub max_tokens: usize,
    /// `None`: no embeddings are made (answers only).
    pub readout: Option<Readout>,
    /// `None`: the last.
    pub layer: Option<usize>,
    pub normalize: Normalize,
    /// `Some(n)`: also answer in words, at most n tokens.
    pub answer_tokens: Option<usize>,
    /// Distinct tokens that one worker reads at a time.
    pub token_budget: usize,
}
impl Request {
    pub fn new(questions: Vec<String>) -> Self {
        Self {
            questions,
            template: Template::default(),
            truncate: Truncate::Text,
            max_tokens: 512,
            readout: Some(Readout::FstGen),
            layer: None,
            normalize: Normalize::L2,
            answer_tokens: None,
            token_budget: 2048,
        }
    }
}

/// A prompt pattern with `{input}` and `{instruction}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub pattern: String,
}
impl Default for Template {
    fn default() -> Self {
        Self {
            pattern: "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:"
                .into(),
        }
    }
}
impl std::str::FromStr for Template {
    type Err = Error;
    /// A preset's name (`inbedder`, `alpaca`, `llama2-chat`) or a pattern holding both placeholders.
    fn from_str(s: &str) -> Result<Self> {
        Ok(Self { pattern: s.into() })
    }
}
impl Template {
    pub const PRESETS: &'static [&'static str] = &["inbedder", "alpaca", "llama2-chat"];
}

/// What one call of [`Embedder::run`] gives back; everything is text-major: `[text][question]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// Length of one embedding.
    pub dim: usize,
    /// texts × questions × dim, empty when no readout was asked for.
    pub embeddings: Vec<f32>,
    /// texts × questions, empty when no answers were asked for.
    pub answers: Vec<String>,
    pub stats: Stats,
}
/// Counts that add up over calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub texts: usize,
    pub prompts: usize,
    /// Prompts of which something was cut.
    pub truncated: usize,
    /// Tokens of all prompts, as if each were read alone.
    pub prompt_tokens: usize,
    /// Distinct tokens that the model did read (shared beginnings once).
    pub read_tokens: usize,
    /// Tokens generated for answers.
    pub answer_tokens: usize,
}

/// Told from time to time during [`Embedder::run`]; return `false` to stop it with [`Error::Interrupted`].
pub trait Progress: Sync {
    fn advance(&self, texts: usize, tokens: usize) -> bool;
}
impl Progress for () {
    fn advance(&self, _: usize, _: usize) -> bool {
        true
    }
}

/// A loaded model with its tokenizer.
pub struct Embedder {
    _p: (),
}
impl Embedder {
    /// `reference`: folder, `.gguf`, `hf:owner/name[@rev]` or a built-in name such as `default`.
    pub fn load(_reference: &str, _options: &LoadOptions) -> Result<Self> {
        Ok(Self { _p: () })
    }
    pub fn run<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<Output> {
        progress.advance(texts.len(), 0);
        let (n, q) = (texts.len(), request.questions.len());
        let embeddings = if request.readout.is_some() {
            (0..n * q * 4).map(|i| (i as f32).sin()).collect()
        } else {
            vec![]
        };
        let answers = if request.answer_tokens.is_some() {
            vec!["stub".to_string(); n * q]
        } else {
            vec![]
        };
        Ok(Output {
            dim: 4,
            embeddings,
            answers,
            stats: Stats {
                texts: n,
                prompts: n * q,
                ..Stats::default()
            },
        })
    }
    /// Checks a request against this model: questions given, none longer than the budget, layer in range. Done by `run` too.
    pub fn check(&self, _request: &Request) -> Result<()> {
        Ok(())
    }
    pub fn info(&self) -> ModelInfo {
        ModelInfo::default()
    }
}
/// What is written into the metadata of outputs.
#[derive(Debug, Clone, Default)]
pub struct ModelInfo {
    /// As the user named it
    pub name: String,
    pub sha256: String,
    pub family: String,
    pub layers: usize,
    pub hidden_size: usize,
    pub precision: String,
    pub instruction_set: String,
    pub threads: usize,
}
