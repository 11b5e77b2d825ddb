//! The library's front door: texts × questions in, embeddings and answers out.

use crate::batch::{self, Batch};
use crate::generate::{self, Generator};
use crate::model::{self, Config, Forward, Model, Tap};
use crate::plan::Plan;
use crate::prompt::{Prompt, Renderer, Truncate};
use crate::readout::{Normalize, Readout};
use crate::source::{Cache, FetchProgress, ModelFiles, ModelRef};
use crate::template::Template;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;
use crate::{Error, Result};
use inbedder_kernels::{Isa, KvCache, Precision, Threads};
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest prompt that any request may ask for, in tokens; sizes the rotary tables.
pub const MAX_TOKENS: usize = 8192;
/// Most tokens that an answer may have.
pub const MAX_ANSWER_TOKENS: usize = 512;

/// How a model is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Precision of the packed weights.
    pub precision: Precision,
    /// Worker threads; 0 means one per core.
    pub threads: usize,
}

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
            normalize: Normalize::default(),
            answer_tokens: None,
            token_budget: 1024,
        }
    }
}

/// What a call of [`Embedder::run`] gives back; everything is text-major, `[text][question]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// Length of one embedding.
    pub dim: usize,
    /// `[text][question][dim]`; empty when no readout was asked for.
    pub embeddings: Vec<f32>,
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

/// Told how [`Embedder::run`] gets on.
pub trait Progress: Sync {
    /// `texts` more texts and `tokens` more tokens are done (often zero of both: it is also asked
    /// between layers). Returns whether to go on; false ends the run with [`Error::Interrupted`].
    fn advance(&self, texts: usize, tokens: usize) -> bool;
}

/// No reports, no interruption.
impl Progress for () {
    fn advance(&self, _texts: usize, _tokens: usize) -> bool {
        true
    }
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
    pub precision: String,
    /// Instruction set in use.
    pub instruction_set: String,
    /// Worker threads.
    pub threads: usize,
}

/// A loaded model with its tokenizer.
pub struct Embedder {
    model: Model,
    tokenizer: Tokenizer,
    pool: rayon::ThreadPool,
    files: ModelFiles,
    info: ModelInfo,
}

impl Embedder {
    /// Loads a model: a folder, a `.gguf` file, `hf:owner/name[@revision]` or a built-in name.
    ///
    /// # Errors
    /// Whatever keeps the model from being fetched, read or understood.
    pub fn load(
        reference: &str,
        options: &LoadOptions,
        progress: &dyn FetchProgress,
    ) -> Result<Self> {
        let files = reference
            .parse::<ModelRef>()?
            .resolve(&Cache::from_env()?, progress)?;
        Self::from_files(reference, &files, options)
    }

    /// Loads a model from files.
    ///
    /// # Errors
    /// As for [`Embedder::load`].
    pub fn from_files(name: &str, files: &ModelFiles, options: &LoadOptions) -> Result<Self> {
        let isa = Isa::detect().map_err(Error::InstructionSet)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads)
            .thread_name(|i| format!("inbedder-{i}"))
            .build()
            .map_err(Error::Threads)?;
        let (model, tokenizer) = pool.install(|| load(files, isa, options.precision))?;
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
            precision: model.precision.to_string(),
            instruction_set: isa.to_string(),
            threads: pool.current_num_threads(),
        };
        Ok(Self {
            model,
            tokenizer,
            pool,
            files: files.clone(),
            info,
        })
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        &self.info
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
        let in_range = |what: &'static str, value: usize, least: usize, most: usize| {
            let error = Error::OutOfRange {
                what,
                value,
                least,
                most,
            };
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(error)
            }
        };
        in_range(
            "layer",
            request.layer.unwrap_or(0),
            0,
            self.model.spec.layers,
        )?;
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
        self.check(request)?;
        self.pool
            .install(|| self.run_in_pool(texts, request, progress))
    }

    fn run_in_pool<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<Output> {
        let questions = &request.questions;
        let renderer = self.renderer(request);
        let count = texts.len() * questions.len();
        let prompts: Vec<Prompt> = (0..count)
            .into_par_iter()
            .map(|i| {
                renderer.render(
                    texts[i / questions.len()].as_ref(),
                    &questions[i % questions.len()],
                )
            })
            .collect::<Result<_>>()?;
        if request.answer_tokens.is_some() {
            self.model.head()?;
        }
        let workers = self.pool.current_num_threads();
        let batches = batch::split(&prompts, questions.len(), request.token_budget, workers);
        let answers = request.answer_tokens.map_or(0, generate::added_rows);
        let mut output = self.empty_output(request, texts.len(), &prompts);
        let run = Run {
            embedder: self,
            request,
            prompts: &prompts,
            progress,
            rows: batches
                .iter()
                .map(|batch| batch.rows(answers))
                .max()
                .unwrap_or(0),
            caches: Mutex::default(),
        };
        for (batch, result) in batches.iter().zip(run.all(&batches)?) {
            result.put(batch, &mut output);
        }
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

/// Reads and packs a checkpoint.
pub(crate) fn load(
    files: &ModelFiles,
    isa: Isa,
    precision: Precision,
) -> Result<(Model, Tokenizer)> {
    match files {
        ModelFiles::Folder {
            config,
            tokenizer,
            weights,
        } => load_folder(config, tokenizer, weights, isa, precision),
        ModelFiles::Gguf(path) => load_gguf(path, isa, precision),
    }
}

fn load_folder(
    config: &Path,
    tokenizer: &Path,
    weights: &[std::path::PathBuf],
    isa: Isa,
    precision: Precision,
) -> Result<(Model, Tokenizer)> {
    let config = Config::open(config)?;
    let (spec, names) = config.family()?.spec_from_config(&config)?;
    let weights = Arc::new(Weights::open_safetensors(weights)?);
    let tokenizer = Tokenizer::from_file(tokenizer)?;
    Ok((
        Model::load(
            spec,
            &names,
            &weights,
            isa,
            precision,
            MAX_TOKENS + MAX_ANSWER_TOKENS,
        )?,
        tokenizer,
    ))
}

fn load_gguf(path: &Path, isa: Isa, precision: Precision) -> Result<(Model, Tokenizer)> {
    let (weights, metadata) = Weights::open_gguf(path)?;
    let family = model::family(metadata.str("general.architecture")?, path)?;
    let (spec, names) = family.spec_from_gguf(&metadata, &weights)?;
    let tokenizer = Tokenizer::from_gguf(&metadata)?;
    let model = Model::load(
        spec,
        &names,
        &Arc::new(weights),
        isa,
        precision,
        MAX_TOKENS + MAX_ANSWER_TOKENS,
    )?;
    Ok((model, tokenizer))
}

/// One call of [`Embedder::run`] on its way.
struct Run<'a> {
    embedder: &'a Embedder,
    request: &'a Request,
    prompts: &'a [Prompt],
    progress: &'a dyn Progress,
    /// Rows of the largest batch, with those that its answers may add.
    rows: usize,
    /// Caches that no batch is using: each worker's goes from batch to batch, since buffers of ever
    /// other sizes would fragment the heap.
    caches: Mutex<Vec<KvCache>>,
}

/// A batch's results, in the batch's order.
#[derive(Default)]
struct BatchResult {
    embeddings: Vec<f32>,
    answers: Vec<String>,
    read_tokens: usize,
    answer_tokens: usize,
}

impl Run<'_> {
    /// Runs all batches: a worker per core, or, when there are fewer batches than workers, one
    /// after the other with every product split over the cores.
    fn all(&self, batches: &[Batch]) -> Result<Vec<BatchResult>> {
        let stop = AtomicBool::new(false);
        if batches.len() < rayon::current_num_threads() {
            return batches
                .iter()
                .map(|batch| self.batch(batch, Threads::Pool, &stop))
                .collect();
        }
        let next = AtomicUsize::new(0);
        let results = Mutex::new((0..batches.len()).map(|_| None).collect::<Vec<_>>());
        rayon::broadcast(|_| {
            while !stop.load(Ordering::Relaxed) {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(i) else { break };
                let result = self.batch(batch, Threads::One, &stop);
                if result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                results.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(result);
            }
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        // The first error is the cause; batches behind it may not have been begun.
        let mut done = Vec::with_capacity(batches.len());
        let mut interrupted = false;
        for result in results {
            match result {
                Some(Ok(result)) => done.push(result),
                Some(Err(Error::Interrupted)) | None => interrupted = true,
                Some(Err(error)) => return Err(error),
            }
        }
        if interrupted {
            Err(Error::Interrupted)
        } else {
            Ok(done)
        }
    }

    fn caches(&self) -> MutexGuard<'_, Vec<KvCache>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_cache(&self) -> KvCache {
        let free = self.caches().pop();
        let decode = self.request.answer_tokens.is_some();
        free.unwrap_or_else(|| self.embedder.model.kv_cache(self.rows, decode))
    }

    fn batch(&self, batch: &Batch, threads: Threads, stop: &AtomicBool) -> Result<BatchResult> {
        let Self {
            embedder: Embedder {
                model, tokenizer, ..
            },
            request,
            ..
        } = *self;
        let ids: Vec<&[u32]> = batch
            .prompts
            .iter()
            .map(|i| self.prompts[*i].ids.as_slice())
            .collect();
        let mut plan = Plan::new(&ids);
        let read_tokens = plan.rows();
        let generator = request.answer_tokens.map(|max_new_tokens| Generator {
            model,
            tokenizer,
            max_new_tokens,
            threads,
        });
        let keep_going = || !stop.load(Ordering::Relaxed) && self.progress.advance(0, 0);
        let mut forward = Forward::new(model, self.take_cache(), threads, &keep_going);

        let mut taps = Vec::new();
        if let Some(readout) = request.readout {
            let layer = request.layer.unwrap_or(model.spec.layers);
            taps.push(Tap {
                layer,
                rows: readout.rows(&plan, ids.len()),
            });
        }
        if generator.is_some() {
            taps.push(Tap {
                layer: model.spec.layers,
                rows: Readout::FstGen.rows(&plan, ids.len()),
            });
        }
        let states = forward.run(&plan, 0..read_tokens, &taps)?;

        let mut result = BatchResult {
            read_tokens,
            ..BatchResult::default()
        };
        if let Some(readout) = request.readout {
            let hidden = model.spec.hidden;
            result.embeddings = vec![0.0; ids.len() * hidden];
            for (prompt, embedding) in result.embeddings.chunks_exact_mut(hidden).enumerate() {
                readout.embed(&plan, prompt, &taps[0].rows, &states[0], embedding);
                request.normalize.apply(embedding);
            }
        }
        if let (Some(generator), Some(tap), Some(states)) = (generator, taps.last(), states.last())
        {
            for answer in generator.run(&mut plan, &mut forward, ids.len(), &tap.rows, states)? {
                result.answer_tokens += answer.tokens.len();
                result.answers.push(answer.text);
            }
        }
        self.caches().push(forward.into_cache());
        if !self
            .progress
            .advance(batch.texts, read_tokens + result.answer_tokens)
        {
            return Err(Error::Interrupted);
        }
        Ok(result)
    }
}

impl BatchResult {
    /// Puts the results where their prompts stand in the input.
    fn put(self, batch: &Batch, output: &mut Output) {
        let dim = output.dim;
        for (k, prompt) in batch.prompts.iter().enumerate() {
            output.embeddings[prompt * dim..][..dim]
                .copy_from_slice(&self.embeddings[k * dim..][..dim]);
        }
        for (prompt, answer) in batch.prompts.iter().zip(self.answers) {
            output.answers[*prompt] = answer;
        }
        output.stats.read_tokens += self.read_tokens;
        output.stats.answer_tokens += self.answer_tokens;
    }
}

#[cfg(test)]
mod tests;
