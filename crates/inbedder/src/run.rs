//! One call of the embedder on its way: batches over workers, each planned, run, read out and
//! answered, and put back in the order of the input.

use crate::batch::Batch;
use crate::generate::{Generator, added_rows};
use crate::model::{Forward, Model, Tap};
use crate::plan::Plan;
use crate::prompt::Prompt;
use crate::readout::Readout;
use crate::request::{Output, Progress, Request};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};
use inbedder_kernels::{KvCache, Threads};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What all batches of a call share.
pub(crate) struct Run<'a> {
    model: &'a Model,
    tokenizer: &'a Tokenizer,
    request: &'a Request,
    prompts: &'a [Prompt],
    batches: &'a [Batch],
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
    also: Vec<Vec<f32>>,
    answers: Vec<String>,
    read_tokens: usize,
    answer_tokens: usize,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        (model, tokenizer): (&'a Model, &'a Tokenizer),
        request: &'a Request,
        prompts: &'a [Prompt],
        batches: &'a [Batch],
        progress: &'a dyn Progress,
    ) -> Self {
        let answers = request.answer_tokens.map_or(0, added_rows);
        let rows = batches.iter().map(|batch| batch.rows(answers)).max();
        Self {
            model,
            tokenizer,
            request,
            prompts,
            batches,
            progress,
            rows: rows.unwrap_or(0),
            caches: Mutex::default(),
        }
    }

    /// Runs all batches, in the rayon pool that this is called in, and puts the results into
    /// `output`, which has room for them.
    ///
    /// # Errors
    /// The first of any batch; the others are stopped.
    pub(crate) fn fill(&self, output: &mut Output) -> Result<()> {
        for (batch, result) in self.batches.iter().zip(self.all()?) {
            result.put(batch, output);
        }
        Ok(())
    }

    /// A worker per core, or, when there are fewer batches than workers, one
    /// after the other with every product split over the cores.
    fn all(&self) -> Result<Vec<BatchResult>> {
        let batches = self.batches;
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
        free.unwrap_or_else(|| self.model.kv_cache(self.rows, decode))
    }

    fn batch(&self, batch: &Batch, threads: Threads, stop: &AtomicBool) -> Result<BatchResult> {
        let Self {
            model,
            tokenizer,
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

        let main = request.readout;
        let main = main.map(|readout| (readout, request.layer.unwrap_or(model.spec.layers)));
        let readouts: Vec<_> = main.into_iter().chain(request.also.clone()).collect();
        let tap = |(readout, layer): &(Readout, usize)| Tap {
            layer: *layer,
            rows: readout.rows(&plan, ids.len()),
        };
        let mut taps: Vec<Tap> = readouts.iter().map(tap).collect();
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
        let hidden = model.spec.hidden;
        for (i, (readout, _)) in readouts.iter().enumerate() {
            let mut embeddings = vec![0.0; ids.len() * hidden];
            for (prompt, embedding) in embeddings.chunks_exact_mut(hidden).enumerate() {
                readout.embed(&plan, prompt, &taps[i].rows, &states[i], embedding);
                request.normalize.apply(embedding);
            }
            if main.is_some() && i == 0 {
                result.embeddings = embeddings;
            } else {
                result.also.push(embeddings);
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
            for (into, from) in output.also.iter_mut().zip(&self.also) {
                let dim = from.len() / batch.prompts.len();
                into[prompt * dim..][..dim].copy_from_slice(&from[k * dim..][..dim]);
            }
        }
        for (prompt, answer) in batch.prompts.iter().zip(self.answers) {
            output.answers[*prompt] = answer;
        }
        output.stats.read_tokens += self.read_tokens;
        output.stats.answer_tokens += self.answer_tokens;
    }
}
