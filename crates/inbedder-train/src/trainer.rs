//! One step of the optimiser after the other: passages to batches, batches to workers, their sums to
//! AdamW. Everything that a step does is a function of the settings, the data and the step's number.

use crate::data::dump::{Row, Step};
use crate::data::{Measured, Overlong, Part, Passage, cut, epoch};
use crate::encode::Encoder;
use crate::network::{Batch, Network, Parameters, Scale, Workspace};
use crate::optimizer::{Moments, norm};
use crate::settings::Settings;
use crate::{Error, Result};
use inbedder::Template;
use inbedder::checkpoint::Checkpoint;
use inbedder_kernels::{Isa, Precision};
use rayon::prelude::*;

/// A training run in memory.
pub struct Trainer {
    settings: Settings,
    network: Network,
    parameters: Parameters,
    moments: Moments,
    data: Measured,
    template: Template,
    /// Steps of each epoch.
    lengths: Vec<u64>,
    /// The epoch that is laid out, and its steps.
    epoch: (u64, Vec<Vec<Part>>),
    workers: Vec<Worker>,
    pool: rayon::ThreadPool,
}

/// One core's memory.
#[derive(Default)]
struct Worker {
    work: Workspace,
    sums: Vec<f32>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// From 1.
    pub step: u64,
    /// From 1.
    pub epoch: u64,
    /// Mean over the step's targets, by the weights of the objectives.
    pub loss: f64,
    /// Length of the gradient before it was clipped.
    pub gradient_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Questions with one answer.
    pub rows: usize,
    /// Distinct tokens read.
    pub tokens: usize,
}

impl Trainer {
    /// Loads a model to train on some passages.
    ///
    /// # Errors
    /// Settings that make no sense, a model or data that cannot be used.
    pub fn new(checkpoint: Checkpoint, settings: Settings, data: Measured) -> Result<Self> {
        settings.check()?;
        let isa = Isa::detect().map_err(inbedder::Error::InstructionSet)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(settings.threads)
            .thread_name(|i| format!("train-{i}"))
            .build()
            .map_err(inbedder::Error::Threads)?;
        let template: Template = settings.template.parse()?;
        let precision: Precision = settings
            .precision
            .parse()
            .map_err(|problem| Error::setting("precision", problem))?;
        let load = || Network::load(checkpoint, &settings.trained, isa, precision, settings.seed);
        let (network, parameters) = pool.install(load)?;
        let workers = (0..settings.threads).map(|_| Worker::default()).collect();
        let mut trainer = Self {
            moments: Moments::new(parameters.len()),
            lengths: Vec::new(),
            epoch: (0, Vec::new()),
            network,
            parameters,
            data,
            template,
            workers,
            pool,
            settings,
        };
        trainer.lengths = (0..trainer.settings.epochs)
            .map(|epoch| trainer.lay_out(epoch).len() as u64)
            .collect();
        if trainer.steps() == 0 {
            let problem =
                "weights are so low that no text is drawn in any epoch; raise them or the epochs";
            return Err(Error::setting("mix", problem));
        }
        trainer.epoch.1 = trainer.lay_out(0);
        Ok(trainer)
    }

    fn lay_out(&self, number: u64) -> Vec<Vec<Part>> {
        let order = epoch(&self.data.passages, self.settings.seed, number);
        cut(&order, &self.data.lengths, self.settings.tokens_per_step)
    }

    /// The settings of the run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The model in training.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The trained numbers.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The optimiser's state.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// The passages that are learnt from.
    pub fn data(&self) -> &Measured {
        &self.data
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        let all = self.lengths.iter().sum();
        self.settings.max_steps.map_or(all, |most| most.min(all))
    }

    /// Steps that have been taken.
    pub fn step(&self) -> u64 {
        self.moments.step
    }

    /// Takes over the state of a run that was stopped.
    ///
    /// # Errors
    /// A state of another number of parameters.
    pub fn restore(&mut self, values: Vec<f32>, moments: Moments) -> Result<()> {
        let expected = self.parameters.len();
        for found in [values.len(), moments.first.len(), moments.second.len()] {
            if found != expected {
                let problem = format!("holds {found} numbers, this run trains {expected}");
                return Err(Error::setting("checkpoint", problem));
            }
        }
        self.parameters.values = values;
        self.moments = moments;
        let (network, values) = (&mut self.network, &self.parameters.values);
        self.pool.install(|| network.refresh(values));
        Ok(())
    }

    /// The rows of a step, from 1 to [`Self::steps`], as a peer is to take them.
    ///
    /// # Errors
    /// What cannot be encoded.
    pub fn rows_of(&mut self, step: u64) -> Result<Step> {
        let (_, parts) = self.parts(step - 1);
        Ok(Step::new(step, self.rows(&self.bins(&parts))?))
    }

    /// Takes the next step.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the rows of the step when its loss or gradient is no number;
    /// nothing has changed then.
    pub fn advance(&mut self) -> Result<StepReport> {
        let number = self.step();
        let (epoch, parts) = self.parts(number);
        let rows = self.rows(&self.bins(&parts))?;
        let (loss, tokens) = self.gradients(number, &rows)?;
        let gradients = &self.workers[0].sums;
        let gradient_norm = self.pool.install(|| norm(gradients));
        let report = StepReport {
            step: number + 1,
            epoch: epoch + 1,
            loss,
            gradient_norm,
            learning_rate: self.settings.schedule.at(number + 1, self.steps()),
            rows: rows.iter().map(Vec::len).sum(),
            tokens,
        };
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            return Err(Error::NotFinite {
                rows: Box::new(Step::new(number + 1, rows)),
                loss,
                gradient_norm,
                path: None,
            });
        }
        self.update(&report);
        Ok(report)
    }

    fn update(&mut self, report: &StepReport) {
        let scale = (self.settings.clip / report.gradient_norm).min(1.0) as f32;
        let (values, moments) = (&mut self.parameters.values, &mut self.moments);
        let (optimizer, gradients) = (self.settings.optimizer, &self.workers[0].sums);
        let network = &mut self.network;
        self.pool.install(|| {
            optimizer.step(values, gradients, scale, report.learning_rate, moments);
            network.refresh(values);
        });
    }

    /// The mean loss over some passages, by the weights of the objectives.
    ///
    /// # Errors
    /// What cannot be encoded.
    pub fn loss_of(&mut self, held_out: &Measured) -> Result<f64> {
        let parts = (0..held_out.passages.len()).map(|passage| Part {
            passage,
            questions: 0..held_out.passages[passage].questions.len(),
        });
        let parts: Vec<Part> = parts.collect();
        let batches = cut(&parts, &held_out.lengths, self.settings.tokens_per_batch);
        let encoder = Encoder::new(self.network.checkpoint().tokenizer(), &self.template)?;
        let rows = encode(&encoder, held_out, &batches, &self.pool)?;
        let scale = self.scale(&rows);
        let (network, values) = (&self.network, &self.parameters.values);
        let workers = &mut self.workers;
        self.pool.install(|| {
            let of_worker = |(i, worker): (usize, &mut Worker)| {
                let mut loss = 0.0;
                for rows in rows.iter().skip(i).step_by(self.settings.threads) {
                    loss += network.loss(&Batch::new(rows, scale), values, &mut worker.work)?;
                }
                Ok(loss)
            };
            let losses = workers.par_iter_mut().enumerate().map(of_worker);
            Ok(losses.collect::<Result<Vec<f64>>>()?.iter().sum())
        })
    }

    /// The epoch of step `number` (from 0), and the step's passages.
    fn parts(&mut self, number: u64) -> (u64, Vec<Part>) {
        let (mut epoch, mut within) = (0, number);
        while within >= self.lengths[epoch] {
            within -= self.lengths[epoch];
            epoch += 1;
        }
        let epoch = epoch as u64;
        if self.epoch.0 != epoch {
            self.epoch = (epoch, self.lay_out(epoch));
        }
        (epoch, self.epoch.1[within as usize].clone())
    }

    /// Spreads passages over as many batches of about the same size as workers, or a multiple of that
    /// when they would be too large: batch i is worker `i % threads`'s.
    fn bins(&self, parts: &[Part]) -> Vec<Vec<Part>> {
        let Settings {
            tokens_per_batch,
            threads,
            ..
        } = self.settings;
        let lengths = &self.data.lengths;
        let cost = |part: &Part| lengths[part.passage].of(part.questions.clone());
        let mut pieces: Vec<Part> = parts
            .iter()
            .flat_map(|part| cut(std::slice::from_ref(part), lengths, tokens_per_batch))
            .flatten()
            .collect();
        let total: usize = pieces.iter().map(cost).sum();
        let count = threads
            * total
                .div_ceil(threads.saturating_mul(tokens_per_batch))
                .max(1);
        // Largest first, each to the emptiest: within a few tokens of even.
        pieces.sort_by_key(|piece| std::cmp::Reverse(cost(piece)));
        let mut bins = vec![(0, Vec::new()); count];
        for piece in pieces {
            let emptiest = (0..count).min_by_key(|i| bins[*i].0).unwrap_or(0);
            bins[emptiest].0 += cost(&piece);
            bins[emptiest].1.push(piece);
        }
        bins.into_iter().map(|(_, parts)| parts).collect()
    }

    /// `[batch][row]`.
    fn rows(&self, batches: &[Vec<Part>]) -> Result<Vec<Vec<Row>>> {
        let encoder = Encoder::new(self.network.checkpoint().tokenizer(), &self.template)?;
        encode(&encoder, &self.data, batches, &self.pool)
    }

    /// Makes the sum over some rows a weighted mean.
    fn scale(&self, rows: &[Vec<Row>]) -> Scale {
        let questions = |rows: &Vec<Row>| rows.iter().filter(|row| !row.bag.is_empty()).count();
        let pairs_of = |questions: usize| questions * questions.saturating_sub(1) / 2;
        let answers = rows.iter().flatten().map(|row| row.answer_ids.len());
        let (targets, bags): (usize, usize) = (answers.sum(), rows.iter().map(questions).sum());
        let pairs: usize = rows.iter().map(questions).map(pairs_of).sum();
        let objective = self.settings.objective;
        Scale {
            causal: objective.causal / targets.max(1) as f32,
            whole_answer: objective.whole_answer / bags.max(1) as f32,
            contrast: objective.contrast / bags.max(1) as f32,
            cosine: objective.cosine / pairs.max(1) as f32,
        }
    }

    /// Leaves the sum of all gradients with the first worker; the loss, and the tokens read.
    fn gradients(&mut self, step: u64, rows: &[Vec<Row>]) -> Result<(f64, usize)> {
        let scale = self.scale(rows);
        let (network, values) = (&self.network, &self.parameters.values);
        let Settings { threads, seed, .. } = self.settings;
        let of_worker = |(i, worker): (usize, &mut Worker)| {
            worker.sums.clear();
            worker.sums.resize(values.len(), 0.0);
            let (mut loss, mut tokens) = (0.0, 0);
            let mine = rows.iter().enumerate().skip(i).step_by(threads);
            for (batch, rows) in mine.filter(|(_, rows)| !rows.is_empty()) {
                let key = crate::random::key([seed, step, batch as u64]);
                let batch = Batch::new(rows, scale);
                tokens += batch.plan.rows();
                let (sums, work) = (&mut worker.sums, &mut worker.work);
                loss += network.gradients(&batch, values, key, sums, work)?;
            }
            Ok((loss, tokens))
        };
        let workers = &mut self.workers;
        let of_all: Vec<(f64, usize)> = self.pool.install(|| {
            let of_all = workers.par_iter_mut().enumerate().map(of_worker);
            of_all.collect::<Result<_>>()
        })?;
        let (first, others) = self.workers.split_at_mut(1);
        for other in others {
            let sums = first[0].sums.iter_mut().zip(&other.sums);
            sums.for_each(|(sum, other)| *sum += other);
        }
        let sum = |a: (f64, usize), b: (f64, usize)| (a.0 + b.0, a.1 + b.1);
        Ok(of_all.into_iter().fold((0.0, 0), sum))
    }
}

/// Counts what passages cost and leaves out the questions that are too long.
///
/// # Errors
/// What cannot be encoded; nothing left.
pub fn measure(
    checkpoint: &Checkpoint,
    template: &Template,
    passages: Vec<Passage>,
    max_tokens: usize,
) -> Result<(Measured, Overlong)> {
    let encoder = Encoder::new(checkpoint.tokenizer(), template)?;
    let lengths = passages.par_iter().map(|passage| encoder.length(passage));
    let mut lengths = lengths.collect::<Result<Vec<_>>>()?.into_iter();
    let next = |_: &Passage| Ok(lengths.next().expect("a length for every passage"));
    let (measured, overlong) = Measured::new::<Error>(passages, next)?.within(max_tokens);
    if measured.passages.is_empty() {
        let problem = format!("no question has at most {max_tokens} tokens with its text");
        return Err(Error::setting("tokens per prompt", problem));
    }
    Ok((measured, overlong))
}

/// `[batch][row]`, batches at the same time.
fn encode(
    encoder: &Encoder<'_>,
    data: &Measured,
    batches: &[Vec<Part>],
    pool: &rayon::ThreadPool,
) -> Result<Vec<Vec<Row>>> {
    let of_batch = |parts: &Vec<Part>| {
        let mut rows = Vec::new();
        for part in parts {
            rows.extend(encoder.rows(&data.passages[part.passage], part.questions.clone())?);
        }
        Ok(rows)
    };
    pool.install(|| batches.par_iter().map(of_batch).collect())
}
