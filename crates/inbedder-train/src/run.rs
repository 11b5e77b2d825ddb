//! A run from its first step to its last, whatever stops it in between: steps, metrics, checkpoints,
//! validation, and the adapter at the end.

use crate::checkpoint::{Checkpoints, Identity, fingerprint};
use crate::data::Measured;
use crate::metrics::{Metrics, Record, StepRecord, Totals, ValidationRecord};
use crate::network::Trained;
use crate::trainer::{StepReport, Trainer};
use crate::validation::exact_match;
use crate::{Error, Result, export};
use inbedder::adapter::{AdapterBase, AdapterChoice, AdapterDtype, save};
use inbedder::export::{check_folder, export_trained};
use inbedder::source::ModelFiles;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How a run is looked after.
#[derive(Debug, Clone)]
pub struct Care {
    /// Folder of the adapter, `metrics.jsonl` and `checkpoints/`.
    pub out: PathBuf,
    /// Go on from the last checkpoint.
    pub resume: bool,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Checkpoints that are kept.
    pub keep: usize,
    /// Steps between looks at the held-out passages.
    pub validate_every: u64,
}

/// The base model.
#[derive(Debug, Clone)]
pub struct Base {
    /// The reference that it was loaded by.
    pub name: String,
    /// Its files.
    pub files: ModelFiles,
}

/// Told how a run gets on.
pub trait Watch {
    /// The run begins, or goes on, behind `step` of `steps` steps.
    fn begin(&self, step: u64, steps: u64);
    /// A step was taken.
    fn step(&self, record: &StepRecord);
    /// Held-out passages were looked at.
    fn validated(&self, record: &ValidationRecord);
    /// Whether to stop behind this step.
    fn stop(&self) -> bool;
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All steps were taken.
    Done,
    /// It was stopped and can be resumed.
    Stopped,
}

/// Runs a trainer to its end, or until it is told to stop.
///
/// # Errors
/// Before the first step [`Error::Exists`] for a run that is there and is not to be resumed, and
/// [`Error::Unwritable`]; [`Error::NotFinite`], with the step's rows in `not-finite.jsonl`; what cannot be
/// read or written.
pub fn run(
    trainer: &mut Trainer,
    base: &Base,
    held_out: &Measured,
    care: &Care,
    watch: &dyn Watch,
) -> Result<End> {
    let mut run = Run::open(trainer, base, held_out, care)?;
    watch.begin(run.trainer.step(), run.trainer.steps());
    let mut saved = Instant::now();
    while run.trainer.step() < run.trainer.steps() {
        if watch.stop() {
            run.save()?;
            return Ok(End::Stopped);
        }
        watch.step(&run.step()?);
        let last = run.trainer.step() == run.trainer.steps();
        if last || run.trainer.step().is_multiple_of(care.validate_every) {
            watch.validated(&run.validate()?);
        }
        if last || saved.elapsed() >= care.checkpoint_every {
            run.save()?;
            saved = Instant::now();
        }
    }
    run.finish()?;
    Ok(End::Done)
}

struct Run<'a> {
    trainer: &'a mut Trainer,
    base: &'a Base,
    sha256: String,
    held_out: &'a Measured,
    care: &'a Care,
    checkpoints: Checkpoints,
    metrics: Metrics,
    totals: Totals,
}

impl<'a> Run<'a> {
    fn open(
        trainer: &'a mut Trainer,
        base: &'a Base,
        held_out: &'a Measured,
        care: &'a Care,
    ) -> Result<Self> {
        if !matches!(trainer.settings().trained, Trained::Lora(_)) {
            check_folder(&base.files).map_err(|source| Error::Unwritable {
                source: Box::new(source),
            })?;
        }
        let sha256 = base.files.sha256()?;
        let identity = Identity {
            base: sha256.clone(),
            data: fingerprint(trainer.data()),
            settings: trainer.settings().clone(),
        };
        let checkpoints = Checkpoints::new(&care.out, identity);
        let mut totals = Totals::default();
        if care.resume {
            totals = checkpoints.resume(trainer)?.unwrap_or_default();
        } else if !checkpoints.steps()?.is_empty() {
            let path = care.out.clone();
            return Err(Error::Exists { path });
        }
        std::fs::create_dir_all(&care.out).map_err(Error::io(&care.out))?;
        Ok(Self {
            metrics: Metrics::open(&care.out, trainer.step())?,
            trainer,
            base,
            sha256,
            held_out,
            care,
            checkpoints,
            totals,
        })
    }

    fn step(&mut self) -> Result<StepRecord> {
        let start = Instant::now();
        let report = match self.trainer.advance() {
            Err(Error::NotFinite {
                rows,
                loss,
                gradient_norm,
                ..
            }) => {
                let path = Some(write_rows(&self.care.out, &rows)?);
                return Err(Error::NotFinite {
                    rows,
                    loss,
                    gradient_norm,
                    path,
                });
            }
            other => other?,
        };
        let record = self.record(report, start.elapsed().as_secs_f64());
        self.metrics.add(&Record::Step(record.clone()))?;
        Ok(record)
    }

    fn record(&mut self, report: StepReport, seconds: f64) -> StepRecord {
        self.totals.rows += report.rows as u64;
        self.totals.tokens += report.tokens as u64;
        self.totals.seconds += seconds;
        StepRecord {
            step: report.step,
            epoch: report.epoch,
            rows: self.totals.rows,
            tokens: self.totals.tokens,
            loss: report.loss,
            learning_rate: report.learning_rate,
            grad_norm: report.gradient_norm,
            tokens_per_second: report.tokens as f64 / seconds,
            seconds: self.totals.seconds,
        }
    }

    /// Looks at held-out passages with the model as it is.
    fn validate(&mut self) -> Result<ValidationRecord> {
        let held_out = !self.held_out.passages.is_empty();
        let validation_loss = held_out
            .then(|| self.trainer.loss_of(self.held_out))
            .transpose()?;
        let exact_match = held_out.then(|| self.exact_match()).transpose()?;
        let record = ValidationRecord {
            step: self.trainer.step(),
            validation_loss,
            exact_match,
        };
        self.metrics.add(&Record::Validation(record.clone()))?;
        Ok(record)
    }

    /// Share of right answers. What is asked is what was written: the adapter, which stays, or a whole
    /// model, which is removed again.
    fn exact_match(&self) -> Result<f64> {
        let (settings, out) = (self.trainer.settings(), &self.care.out);
        if let Trained::Lora(_) = settings.trained {
            self.export()?;
            let adapter = AdapterChoice::Reference(out.display().to_string());
            return exact_match(&self.base.files, adapter, settings, self.held_out);
        }
        let folder = out.join(".validation");
        // One that is there was left by a run that was killed while it looked.
        remove(&folder)?;
        let asked = self
            .export_model(&folder.join("model"))
            .and_then(|files| exact_match(&files, AdapterChoice::None, settings, self.held_out));
        let removed = remove(&folder);
        let share = asked?;
        removed.map(|()| share)
    }

    /// Writes what was made: the adapter, or a whole model in `model/`.
    fn finish(&self) -> Result<()> {
        let output = self.care.out.join("model");
        match self.trainer.settings().trained {
            Trained::Lora(_) => self.export(),
            // It appears whole, so one that is there was written by the run that ended here.
            Trained::All | Trained::Head if output.exists() => Ok(()),
            Trained::All | Trained::Head => self.export_model(&output).map(drop),
        }
    }

    /// Writes the base with the trained weights in their places to a new folder.
    fn export_model(&self, folder: &Path) -> Result<ModelFiles> {
        let parameters = self.trainer.parameters();
        let tensors = parameters.tensors.iter();
        let trained = tensors.map(|tensor| {
            let values = &parameters.values[tensor.range.clone()];
            (tensor.name.clone(), values)
        });
        export_trained(&self.base.files, &trained.collect(), folder, None)?;
        Ok(ModelFiles::Folder {
            config: folder.join("config.json"),
            tokenizer: folder.join("tokenizer.json"),
            weights: vec![folder.join("model.safetensors")],
        })
    }

    fn export(&self) -> Result<()> {
        let base = AdapterBase {
            name: Some(self.base.name.clone()),
            sha256: vec![self.sha256.clone()],
        };
        write_adapter(self.trainer, base, &self.care.out, AdapterDtype::F16)
    }

    fn save(&self) -> Result<()> {
        self.checkpoints
            .save(self.trainer, self.totals, self.care.keep)
    }
}

/// Writes the adapter that a trainer begins with, to the bit, for a peer that is to take the same steps.
///
/// # Errors
/// A folder with an adapter in it; a trainer of something else; what cannot be written.
pub fn write_start(trainer: &Trainer, base: &Base, out: &Path) -> Result<()> {
    if out.join("adapter_config.json").exists() {
        let problem = format!("{} holds an adapter already", out.display());
        return Err(Error::setting("output", problem));
    }
    let base = AdapterBase {
        name: Some(base.name.clone()),
        sha256: vec![base.files.sha256()?],
    };
    write_adapter(trainer, base, out, AdapterDtype::F32)
}

fn write_adapter(
    trainer: &Trainer,
    base: AdapterBase,
    out: &Path,
    dtype: AdapterDtype,
) -> Result<()> {
    let adapter = export::adapter(trainer.settings(), trainer.parameters(), base)?;
    Ok(save(out, &adapter, dtype)?)
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::io(folder)),
    }
}

/// Writes a step's rows down, and says where.
fn write_rows(out: &Path, rows: &crate::data::dump::Step) -> Result<PathBuf> {
    let path = out.join("not-finite.jsonl");
    let mut line = serde_json::to_vec(rows).map_err(Error::json(&path))?;
    line.push(b'\n');
    std::fs::write(&path, line).map_err(Error::io(&path))?;
    Ok(path)
}

#[cfg(test)]
mod tests;
