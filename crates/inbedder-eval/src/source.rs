//! Where vectors come from: a model ([`ModelSource`]) or files made elsewhere
//! ([`FileSource`](crate::FileSource)). Tasks see neither.

use crate::cache::{Cache, Key};
use crate::matrix::Matrix;
use crate::prompts::{Prompt, key};
use crate::{Error, Result};
use inbedder::{Embedder, Progress, Readout, Request, Stats};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Instant;

/// Prompts that are asked at a time: enough for long batches, little enough to lose when stopped.
const WINDOW: usize = 1024;

/// What preparing cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Work {
    /// Prompts that were embedded.
    pub made: usize,
    /// Prompts that were there already.
    pub kept: usize,
    /// Seconds in the model.
    pub seconds: f64,
    /// Counts of the model.
    pub stats: Stats,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.made += other.made;
        self.kept += other.kept;
        self.seconds += other.seconds;
        self.stats += other.stats;
    }
}

/// Where vectors come from.
pub trait Source {
    /// What the results say of it.
    fn describe(&self) -> Value;

    /// Sees to it that the vectors of all prompts, (text, instruction), of a data file are there.
    ///
    /// # Errors
    /// Vectors that cannot be made or are not there.
    fn prepare(
        &mut self,
        file: &str,
        wanted: &[(&str, &str)],
        progress: &dyn Progress,
    ) -> Result<Work>;

    /// The vectors of prompts that were prepared, of the reading with this number.
    ///
    /// # Errors
    /// Files that cannot be read any more.
    fn vectors(&self, reading: usize, prompts: &[(&str, &str)]) -> Result<Matrix>;
}

/// A model that embeds what the cache does not hold. Several readings (readouts and layers) are taken
/// in one pass.
pub struct ModelSource {
    embedder: Embedder,
    request: Request,
    sha256: String,
    caches: Vec<Cache>,
}

/// What a model is asked for, beside the prompts.
pub struct Reading {
    /// Template, truncation, lengths, scaling; its questions, readout and layer do not count.
    pub request: Request,
    /// Readouts and layers, each of which makes vectors; at least one.
    pub readouts: Vec<(Readout, usize)>,
}

impl ModelSource {
    /// A model with its cache in a folder.
    ///
    /// # Errors
    /// A request that the model cannot fulfil, weights or a cache that cannot be read.
    pub fn new(embedder: Embedder, reading: Reading, cache: &Path) -> Result<Self> {
        let Reading {
            mut request,
            readouts,
        } = reading;
        let Some((first, also)) = readouts.split_first() else {
            return Err(Error::Setting {
                what: "the readout",
                problem: "there is none".to_string(),
            });
        };
        (request.readout, request.layer) = (Some(first.0), Some(first.1));
        request.also = also.to_vec();
        request.answer_tokens = None;
        request.questions = vec![String::new()];
        embedder.check(&request)?;
        let mut source = Self {
            sha256: embedder.sha256()?,
            embedder,
            request,
            caches: Vec::new(),
        };
        let dim = source.embedder.info().hidden_size;
        for readout in &readouts {
            let setting = source.setting(*readout);
            source.caches.push(Cache::open(cache, &setting, dim)?);
        }
        Ok(source)
    }

    /// Everything that a vector depends on, beside text and instruction.
    fn setting(&self, (readout, layer): (Readout, usize)) -> Value {
        let info = self.embedder.info();
        json!({
            "sha256": self.sha256,
            "adapter": info.adapter.as_ref().map(|adapter| &adapter.sha256),
            "template": self.request.template.pattern(),
            "template_name": self.request.template.to_string(),
            "truncate": self.request.truncate.to_string(),
            "max_tokens": self.request.max_tokens,
            "normalize": self.request.normalize.to_string(),
            "precision": info.precision.to_string(),
            "readout": readout.to_string(),
            "layer": layer,
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn readouts(&self) -> Vec<(Readout, usize)> {
        let main = self.request.readout.zip(self.request.layer);
        main.into_iter().chain(self.request.also.clone()).collect()
    }

    /// Embeds a window of texts with the instructions of each.
    fn run(&mut self, window: &[(&str, Vec<&str>)], progress: &dyn Progress) -> Result<Work> {
        let mut places = HashMap::new();
        let mut questions: Vec<String> = Vec::new();
        let mut asked = Vec::new();
        for (_, instructions) in window {
            let mut place = |instruction: &&str| {
                *places.entry(instruction.to_string()).or_insert_with(|| {
                    questions.push(instruction.to_string());
                    questions.len() - 1
                })
            };
            asked.push(instructions.iter().map(&mut place).collect::<Vec<usize>>());
        }
        let texts: Vec<&str> = window.iter().map(|(text, _)| *text).collect();
        let request = Request {
            questions,
            ..self.request.clone()
        };
        let start = Instant::now();
        let output = self.embedder.run_each(&texts, &asked, &request, progress)?;
        let seconds = start.elapsed().as_secs_f64();
        let keys: Vec<Key> = window
            .iter()
            .flat_map(|(text, asked)| asked.iter().map(|instruction| key((text, instruction))))
            .collect();
        let vectors = [&output.embeddings].into_iter().chain(&output.also);
        for (cache, vectors) in self.caches.iter_mut().zip(vectors) {
            cache.put(&keys, vectors)?;
        }
        Ok(Work {
            made: keys.len(),
            kept: 0,
            seconds,
            stats: output.stats,
        })
    }
}

impl Source for ModelSource {
    fn describe(&self) -> Value {
        let info = self.embedder.info();
        let readings: Vec<Value> = self
            .readouts()
            .into_iter()
            .map(|r| self.setting(r))
            .collect();
        json!({
            "model": info.name,
            "adapter": info.adapter.as_ref().map(|adapter| &adapter.name),
            "family": info.family,
            "instruction_set": info.instruction_set.to_string(),
            "threads": info.threads,
            "readings": readings,
        })
    }

    fn prepare(
        &mut self,
        _file: &str,
        wanted: &[(&str, &str)],
        progress: &dyn Progress,
    ) -> Result<Work> {
        let mut seen = HashSet::new();
        let mut texts: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut missing = 0;
        for prompt in wanted {
            let key = key(*prompt);
            if !seen.insert(key) || self.caches.iter().all(|cache| cache.holds(&key)) {
                continue;
            }
            missing += 1;
            let place = *places.entry(prompt.0).or_insert_with(|| {
                texts.push((prompt.0, Vec::new()));
                texts.len() - 1
            });
            texts[place].1.push(prompt.1);
        }
        let mut work = Work {
            kept: seen.len() - missing,
            ..Work::default()
        };
        let mut rest = &texts[..];
        while !rest.is_empty() {
            let mut prompts = 0;
            let fits = |(_, asked): &&(&str, Vec<&str>)| {
                prompts += asked.len();
                prompts <= WINDOW
            };
            let count = rest.iter().take_while(fits).count().max(1);
            work += self.run(&rest[..count], progress)?;
            rest = &rest[count..];
        }
        Ok(work)
    }

    fn vectors(&self, reading: usize, prompts: &[Prompt<'_>]) -> Result<Matrix> {
        let keys: Vec<Key> = prompts.iter().map(|prompt| key(*prompt)).collect();
        self.caches[reading].get(&keys)
    }
}
