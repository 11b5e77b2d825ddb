//! The library's front door: texts × questions in, embeddings and answers out.

use crate::adapter::{AdapterChoice, AdapterDefaults};
use crate::batch;
use crate::checkpoint;
use crate::model::Model;
use crate::prompt::{Prompt, Renderer};
use crate::request::{MAX_ANSWER_TOKENS, MAX_TOKENS, Output, Progress, Request, Stats};
use crate::run::Run;
use crate::source::{FetchProgress, ModelFiles, NamedAdapter, Resolved, resolve};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};
use inbedder_kernels::{Isa, Precision};
use rayon::prelude::*;

/// How a model is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Precision of the packed weights; `None` is [`Precision::fastest_faithful`].
    pub precision: Option<Precision>,
    /// Worker threads; 0 means one per core.
    pub threads: usize,
    /// The adapter that is added to the weights.
    pub adapter: AdapterChoice,
}

/// What a model is, for metadata and for the curious.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The reference that it was loaded by.
    pub name: String,
    /// Family.
    pub family: String,
    /// Number of layers, L.
    pub layers: usize,
    /// Width of the hidden state, and so of an embedding.
    pub hidden_size: usize,
    /// Precision of the packed weights.
    pub precision: Precision,
    /// Instruction set in use.
    pub instruction_set: Isa,
    /// Worker threads.
    pub threads: usize,
    /// The adapter in the weights, if any.
    pub adapter: Option<AdapterInfo>,
}

/// What an adapter is, for metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterInfo {
    /// Its folder, repository or built-in name.
    pub name: String,
    /// SHA-256 of its files, in hex; see [`crate::adapter::AdapterSource::sha256`].
    pub sha256: String,
}

/// A loaded model with its tokenizer.
pub struct Embedder {
    model: Model,
    tokenizer: Tokenizer,
    pool: rayon::ThreadPool,
    files: ModelFiles,
    info: ModelInfo,
    defaults: AdapterDefaults,
}

impl Embedder {
    /// Loads a model: a folder, a `.gguf` file, `hf:owner/name[@revision]` or a built-in name, with
    /// the adapter that the options name or the built-in name brings.
    ///
    /// # Errors
    /// Whatever keeps the model from being fetched, read or understood.
    pub fn load(
        reference: &str,
        options: &LoadOptions,
        progress: &dyn FetchProgress,
    ) -> Result<Self> {
        let Resolved { files, adapter } = resolve(reference, &options.adapter, progress)?;
        Self::build(reference, &files, adapter, options)
    }

    /// Loads a model from files, with the adapter that the options name.
    ///
    /// # Errors
    /// As for [`Embedder::load`].
    pub fn from_files(name: &str, files: &ModelFiles, options: &LoadOptions) -> Result<Self> {
        let adapter = match &options.adapter {
            AdapterChoice::Reference(reference) => Some(NamedAdapter::find(reference, &())?),
            AdapterChoice::OfModel | AdapterChoice::None => None,
        };
        Self::build(name, files, adapter, options)
    }

    fn build(
        name: &str,
        files: &ModelFiles,
        adapter: Option<NamedAdapter>,
        options: &LoadOptions,
    ) -> Result<Self> {
        let isa = Isa::detect().map_err(Error::InstructionSet)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads)
            .thread_name(|i| format!("inbedder-{i}"))
            .build()
            .map_err(Error::Threads)?;
        let precision = options
            .precision
            .unwrap_or_else(|| Precision::fastest_faithful(isa));
        let source = adapter.as_ref().map(|named| &named.source);
        let (model, tokenizer, defaults) =
            pool.install(|| checkpoint::load(files, isa, precision, source))?;
        if tokenizer.vocab_size() > model.spec.vocabulary {
            return Err(Error::WrongTokenizer {
                tokens: tokenizer.vocab_size(),
                rows: model.spec.vocabulary,
            });
        }
        let info = ModelInfo {
            name: name.to_string(),
            family: model.spec.family.to_string(),
            layers: model.spec.layers,
            hidden_size: model.spec.hidden,
            precision: model.precision,
            instruction_set: isa,
            threads: pool.current_num_threads(),
            adapter: adapter
                .map(|NamedAdapter { name, source }| {
                    let sha256 = source.sha256()?;
                    Ok(AdapterInfo { name, sha256 })
                })
                .transpose()?,
        };
        Ok(Self {
            model,
            tokenizer,
            pool,
            files: files.clone(),
            info,
            defaults,
        })
    }

    /// What the adapter was trained to be used with; empty without an adapter.
    pub fn defaults(&self) -> &AdapterDefaults {
        &self.defaults
    }

    /// A request for these questions as the adapter was trained to be asked; without an adapter that
    /// says so, [`Request::new`].
    pub fn request(&self, questions: Vec<String>) -> Request {
        let plain = Request::new(questions);
        let defaults = self.defaults.clone();
        Request {
            template: defaults.template.unwrap_or(plain.template),
            readout: defaults.readout.or(plain.readout),
            layer: defaults.layer.or(plain.layer),
            ..plain
        }
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Multiplications and additions in the linear layers of a run that was read at the last layer,
    /// by `fst_gen` and without answers: the last layer's queries, MLP and output are computed for
    /// one row of each prompt alone.
    pub fn linear_operations(&self, stats: &Stats) -> f64 {
        self.model
            .spec
            .linear_operations(stats.read_tokens, stats.prompts)
    }

    /// SHA-256 of the weights, for metadata; reads all of them.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub fn sha256(&self) -> Result<String> {
        self.files.sha256()
    }

    /// Checks a request against this model; [`Embedder::run`] does so too.
    ///
    /// # Errors
    /// No question, a number out of range, or a question that leaves no room within the budget.
    pub fn check(&self, request: &Request) -> Result<()> {
        if request.questions.is_empty() {
            return Err(Error::NoQuestion);
        }
        let further = request.also.iter().map(|(_, layer)| *layer);
        for layer in further.chain([request.layer.unwrap_or(0)]) {
            in_range("layer", layer, 0, self.model.spec.layers)?;
        }
        in_range("tokens per prompt", request.max_tokens, 1, MAX_TOKENS)?;
        in_range(
            "tokens per answer",
            request.answer_tokens.unwrap_or(1),
            1,
            MAX_ANSWER_TOKENS,
        )?;
        in_range("token budget", request.token_budget, 1, usize::MAX)?;
        let renderer = self.renderer(request);
        request
            .questions
            .iter()
            .try_for_each(|question| renderer.render("", question).map(drop))
    }

    fn renderer<'a>(&'a self, request: &'a Request) -> Renderer<'a> {
        Renderer {
            tokenizer: &self.tokenizer,
            template: &request.template,
            truncate: request.truncate,
            max_tokens: request.max_tokens,
        }
    }

    /// Asks every question about every text.
    ///
    /// A result does not depend on what else is in the call, on the order or on the threads.
    ///
    /// # Errors
    /// What [`Embedder::check`] finds, a question that a particular prompt has no room for,
    /// [`Error::Interrupted`].
    pub fn run<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<Output> {
        let all: Vec<usize> = (0..request.questions.len()).collect();
        self.run_each(texts, &vec![all; texts.len()], request, progress)
    }

    /// Asks each text its own questions: `asked[text]` holds indices into the request's questions.
    ///
    /// The output is text-major as that of [`Self::run`], with as many prompts per text as it was
    /// asked questions.
    ///
    /// # Errors
    /// As for [`Self::run`], and an index that names no question, or other than one list per text.
    pub fn run_each<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        asked: &[Vec<usize>],
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<Output> {
        self.check(request)?;
        let lists = ("lists of questions", asked.len(), texts.len(), texts.len());
        let last = request.questions.len() - 1;
        let indices = asked.iter().flatten();
        let indices = indices.map(|index| ("question's index", *index, 0, last));
        for (what, value, least, most) in std::iter::once(lists).chain(indices) {
            in_range(what, value, least, most)?;
        }
        self.pool
            .install(|| self.run_in_pool(texts, asked, request, progress))
    }

    fn run_in_pool<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        asked: &[Vec<usize>],
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<Output> {
        let renderer = self.renderer(request);
        let pairs: Vec<(&str, &str)> = texts
            .iter()
            .zip(asked)
            .flat_map(|(text, asked)| asked.iter().map(move |q| (text.as_ref(), q)))
            .map(|(text, q)| (text, request.questions[*q].as_str()))
            .collect();
        let prompts: Vec<Prompt> = pairs
            .into_par_iter()
            .map(|(text, question)| renderer.render(text, question))
            .collect::<Result<_>>()?;
        let per_text: Vec<usize> = asked.iter().map(Vec::len).collect();
        if request.answer_tokens.is_some() {
            self.model.head()?;
        }
        let workers = self.pool.current_num_threads();
        let batches = batch::split(&prompts, &per_text, request.token_budget, workers);
        let mut output = self.empty_output(request, texts.len(), &prompts);
        let parts = (&self.model, &self.tokenizer);
        Run::new(parts, request, &prompts, &batches, progress).fill(&mut output)?;
        Ok(output)
    }

    fn empty_output(&self, request: &Request, texts: usize, prompts: &[Prompt]) -> Output {
        let dim = if request.readout.is_some() {
            self.model.spec.hidden
        } else {
            0
        };
        let answers = if request.answer_tokens.is_some() {
            prompts.len()
        } else {
            0
        };
        Output {
            dim,
            embeddings: vec![0.0; prompts.len() * dim],
            also: vec![vec![0.0; prompts.len() * self.model.spec.hidden]; request.also.len()],
            answers: vec![String::new(); answers],
            stats: Stats {
                texts,
                prompts: prompts.len(),
                truncated: prompts.iter().filter(|prompt| prompt.truncated).count(),
                prompt_tokens: prompts.iter().map(|prompt| prompt.ids.len()).sum(),
                ..Stats::default()
            },
        }
    }
}

/// # Errors
/// [`Error::OutOfRange`].
fn in_range(what: &'static str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::OutOfRange {
        what,
        value,
        least,
        most,
    })
}

/// Cosine of two vectors of one length; 0 if either is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        (dot(a, b) / lengths) as f32
    } else {
        0.0
    }
}

mod head;

pub use head::LikelyToken;

#[cfg(test)]
mod tests;
