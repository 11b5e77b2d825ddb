//! What is asked of texts, what comes back, and who is told in between.

use crate::prompt::Truncate;
use crate::readout::{Normalize, Readout};
use crate::template::Template;

/// Longest prompt that any request may ask for, in tokens; sizes the rotary tables.
pub const MAX_TOKENS: usize = 8192;
/// Most tokens that an answer may have.
pub const MAX_ANSWER_TOKENS: usize = 512;

/// What is asked of the texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The questions, each asked about every text.
    pub questions: Vec<String>,
    /// How text and question make a prompt.
    pub template: Template,
    /// What is cut from a prompt over the budget.
    pub truncate: Truncate,
    /// Longest prompt in tokens, special tokens included; at most [`MAX_TOKENS`].
    pub max_tokens: usize,
    /// Which states make the embedding; `None` makes none.
    pub readout: Option<Readout>,
    /// Layer to read, 0 (token embedding) to L (after the final norm); `None` is L.
    pub layer: Option<usize>,
    /// Further readouts of the same pass, each with its layer; they come back in [`Output::also`].
    pub also: Vec<(Readout, usize)>,
    /// Scaling of the embeddings.
    pub normalize: Normalize,
    /// Also answer in words, with at most so many tokens ([`MAX_ANSWER_TOKENS`]).
    pub answer_tokens: Option<usize>,
    /// Distinct tokens that a worker reads at a time: memory against speed.
    pub token_budget: usize,
}

impl Request {
    /// The defaults of the method: InBedder's pattern, 512 tokens, `fst_gen` at the last layer,
    /// unit length, no answers.
    pub fn new(questions: Vec<String>) -> Self {
        Self {
            questions,
            template: Template::default(),
            truncate: Truncate::default(),
            max_tokens: 512,
            readout: Some(Readout::default()),
            layer: None,
            also: Vec::new(),
            normalize: Normalize::default(),
            answer_tokens: None,
            token_budget: 1024,
        }
    }
}

/// What a call of [`Embedder::run`](crate::Embedder::run) gives back; everything is text-major, `[text][question]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// Length of one embedding.
    pub dim: usize,
    /// `[text][question][dim]`; empty when no readout was asked for.
    pub embeddings: Vec<f32>,
    /// `[further readout][text][question][dim]`, in the order of [`Request::also`].
    pub also: Vec<Vec<f32>>,
    /// `[text][question]`; empty when no answers were asked for.
    pub answers: Vec<String>,
    /// Counts.
    pub stats: Stats,
}

/// Counts, which add up over calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stats {
    /// Texts.
    pub texts: usize,
    /// Prompts: texts × questions.
    pub prompts: usize,
    /// Prompts of which something was cut.
    pub truncated: usize,
    /// Tokens of all prompts, as if each were read alone.
    pub prompt_tokens: usize,
    /// Tokens that the model did read: shared beginnings once.
    pub read_tokens: usize,
    /// Tokens generated for answers.
    pub answer_tokens: usize,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.texts += other.texts;
        self.prompts += other.prompts;
        self.truncated += other.truncated;
        self.prompt_tokens += other.prompt_tokens;
        self.read_tokens += other.read_tokens;
        self.answer_tokens += other.answer_tokens;
    }
}

/// Told how [`Embedder::run`](crate::Embedder::run) gets on.
pub trait Progress: Sync {
    /// `texts` more texts and `tokens` more tokens are done (often zero of both: it is also asked
    /// between layers). Returns whether to go on; false ends the run with [`Error::Interrupted`](crate::Error::Interrupted).
    fn advance(&self, texts: usize, tokens: usize) -> bool;
}

/// No reports, no interruption.
impl Progress for () {
    fn advance(&self, _texts: usize, _tokens: usize) -> bool {
        true
    }
}
