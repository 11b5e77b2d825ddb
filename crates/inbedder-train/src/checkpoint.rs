//! A run on disk: `checkpoints/STEP/` with the trained numbers, the optimiser's means and what they
//! belong to. A folder is there whole or not at all.

use crate::data::Measured;
use crate::metrics::Totals;
use crate::optimizer::Moments;
use crate::settings::Settings;
use crate::trainer::Trainer;
use crate::{Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "checkpoints";
const STATE: &str = "state.json";
const NUMBERS: &str = "state.safetensors";
const VERSION: u32 = 1;

/// What a run's numbers belong to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    /// SHA-256 of the base model's weights.
    pub(crate) base: String,
    /// SHA-256 of the passages in their order.
    pub(crate) data: String,
    /// The settings.
    pub(crate) settings: Settings,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    step: u64,
    totals: Totals,
    identity: Identity,
}

/// A place for the checkpoints of one run.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    identity: Identity,
}

impl Checkpoints {
    /// Those below a run's output folder.
    pub(crate) fn new(out: &Path, identity: Identity) -> Self {
        Self {
            folder: out.join(FOLDER),
            identity,
        }
    }

    /// Steps of all whole checkpoints, rising.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub(crate) fn steps(&self) -> Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&self.folder)(error)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io(&self.folder))?;
            steps.extend(
                entry
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<u64>().ok()),
            );
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Writes the trainer's state down and removes all but the last `keep` checkpoints.
    ///
    /// # Errors
    /// What cannot be written.
    pub(crate) fn save(&self, trainer: &Trainer, totals: Totals, keep: usize) -> Result<()> {
        let step = trainer.step();
        let partial = self.folder.join(format!(".{step}.partial"));
        let io = Error::io;
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(io(&partial))?;
        }
        fs::create_dir_all(&partial).map_err(io(&partial))?;
        let state = State {
            version: VERSION,
            step,
            totals,
            identity: self.identity.clone(),
        };
        let path = partial.join(STATE);
        let json = serde_json::to_vec_pretty(&state).map_err(Error::json(&path))?;
        fs::write(&path, json).map_err(io(&path))?;
        write_numbers(&partial.join(NUMBERS), trainer)?;
        for name in [STATE, NUMBERS] {
            let path = partial.join(name);
            let file = fs::File::open(&path).map_err(io(&path))?;
            file.sync_all().map_err(io(&path))?;
        }
        let whole = self.folder.join(format!("{step:08}"));
        if whole.exists() {
            fs::remove_dir_all(&whole).map_err(io(&whole))?;
        }
        fs::rename(&partial, &whole).map_err(io(&whole))?;
        let steps = self.steps()?;
        for old in &steps[..steps.len().saturating_sub(keep.max(1))] {
            let old = self.folder.join(format!("{old:08}"));
            fs::remove_dir_all(&old).map_err(io(&old))?;
        }
        Ok(())
    }

    /// Brings a trainer to the last checkpoint; the totals up to there, `None` if there is none.
    ///
    /// # Errors
    /// [`Error::OtherRun`] for a run with other settings, data or base; a checkpoint that cannot be
    /// read.
    pub(crate) fn resume(&self, trainer: &mut Trainer) -> Result<Option<Totals>> {
        let Some(step) = self.steps()?.last().copied() else {
            return Ok(None);
        };
        let folder = self.folder.join(format!("{step:08}"));
        let path = folder.join(STATE);
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        let state: State = serde_json::from_slice(&bytes).map_err(Error::json(&path))?;
        if state.version != VERSION {
            let problem = format!("version {}, this program knows {VERSION}", state.version);
            return Err(Error::setting("checkpoint", problem));
        }
        if let Some(what) = difference(&state.identity, &self.identity) {
            return Err(Error::OtherRun { path, what });
        }
        let (values, moments) = read_numbers(&folder.join(NUMBERS), state.step)?;
        trainer.restore(values, moments)?;
        Ok(Some(state.totals))
    }
}

/// The name of the first thing that differs.
fn difference(a: &Identity, b: &Identity) -> Option<String> {
    if a.base != b.base {
        return Some("base model".to_string());
    }
    let fields = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    // Before the data, which some settings change.
    let (was, is) = (fields(&a.settings), fields(&b.settings));
    let other = was
        .into_iter()
        .find(|(name, value)| is.get(name) != Some(value));
    let other = other.map(|(name, value)| format!("{name} (it was {value})"));
    other.or_else(|| (a.data != b.data).then(|| "data".to_string()))
}

fn write_numbers(path: &Path, trainer: &Trainer) -> Result<()> {
    let moments = trainer.moments();
    let bytes = [
        ("values", &trainer.parameters().values),
        ("first", &moments.first),
        ("second", &moments.second),
    ]
    .map(|(name, numbers)| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        (name, bytes)
    });
    let wrong = |error: safetensors::SafeTensorError| Error::Numbers {
        path: path.to_path_buf(),
        problem: error.to_string(),
    };
    let views = bytes
        .iter()
        .map(|(name, bytes)| {
            Ok((
                *name,
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?,
            ))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    safetensors::serialize_to_file(views, None, path).map_err(wrong)
}

fn read_numbers(path: &Path, step: u64) -> Result<(Vec<f32>, Moments)> {
    let wrong = |error: safetensors::SafeTensorError| Error::Numbers {
        path: path.to_path_buf(),
        problem: error.to_string(),
    };
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(wrong)?;
    let numbers = |name: &str| -> Result<Vec<f32>> {
        let (words, _) = file.tensor(name).map_err(wrong)?.data().as_chunks::<4>();
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    };
    let moments = Moments {
        step,
        first: numbers("first")?,
        second: numbers("second")?,
    };
    Ok((numbers("values")?, moments))
}

/// SHA-256 of passages: texts, questions and answers in their order.
pub(crate) fn fingerprint(data: &Measured) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    for passage in &data.passages {
        add(&passage.text);
        add(&passage.weight.to_string());
        for question in &passage.questions {
            add(&question.instruction);
            question.answers.iter().for_each(|answer| add(answer));
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
