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
/// End of the name of a folder that is being written.
const PARTIAL: &str = ".partial";
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
        let names = self.names()?;
        let mut steps: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Names in the folder, none if there is no folder.
    fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&self.folder)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io(&self.folder))?;
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }

    /// Writes the trainer's state down, unless it is there, and removes all but the last `keep`
    /// checkpoints and what killed saves have left.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub(crate) fn save(&self, trainer: &Trainer, totals: Totals, keep: usize) -> Result<()> {
        self.remove_partial()?;
        let whole = self.at(trainer.step());
        // One that cannot be read is no checkpoint, and is replaced.
        if !self.holds(&whole, trainer).unwrap_or(false) {
            self.write(&whole, trainer, totals)?;
        }
        let steps = self.steps()?;
        for old in &steps[..steps.len().saturating_sub(keep.max(1))] {
            let old = self.at(*old);
            fs::remove_dir_all(&old).map_err(Error::io(&old))?;
        }
        Ok(())
    }

    /// The folder of a step's checkpoint.
    fn at(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{step:08}"))
    }

    /// Whether a checkpoint is the trainer's to the bit. Its times may differ: they are measured.
    fn holds(&self, folder: &Path, trainer: &Trainer) -> Result<bool> {
        if !folder.exists() {
            return Ok(false);
        }
        let state = self.state(folder)?;
        let (values, moments) = read_numbers(&folder.join(NUMBERS), state.step)?;
        let (now, there) = (numbers(trainer), [&values, &moments.first, &moments.second]);
        let mut pairs = now.iter().zip(there);
        Ok(state.step == trainer.step() && pairs.all(|((_, now), there)| same(now, there)))
    }

    /// Writes a checkpoint under another name and renames it. Only one that cannot be used is removed for
    /// it, so that a kill in between loses nothing.
    fn write(&self, whole: &Path, trainer: &Trainer, totals: Totals) -> Result<()> {
        let step = trainer.step();
        let partial = self.folder.join(format!(".{step}{PARTIAL}"));
        let io = Error::io;
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
        if whole.exists() {
            fs::remove_dir_all(whole).map_err(io(whole))?;
        }
        fs::rename(&partial, whole).map_err(io(whole))
    }

    /// Removes what killed saves have left.
    fn remove_partial(&self) -> Result<()> {
        for name in self.names()? {
            if name.starts_with('.') && name.ends_with(PARTIAL) {
                let path = self.folder.join(name);
                fs::remove_dir_all(&path).map_err(Error::io(&path))?;
            }
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
        let folder = self.at(step);
        let state = self.state(&folder)?;
        let (values, moments) = read_numbers(&folder.join(NUMBERS), state.step)?;
        trainer.restore(values, moments)?;
        Ok(Some(state.totals))
    }

    /// What a checkpoint of this run says of itself.
    fn state(&self, folder: &Path) -> Result<State> {
        let path = folder.join(STATE);
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        let state: State = serde_json::from_slice(&bytes).map_err(Error::json(&path))?;
        if state.version != VERSION {
            let problem = format!("version {}, this program knows {VERSION}", state.version);
            return Err(Error::setting("checkpoint", problem));
        }
        match difference(&state.identity, &self.identity) {
            Some(what) => Err(Error::OtherRun { path, what }),
            None => Ok(state),
        }
    }
}

/// All that a checkpoint holds of numbers, by their names in it.
fn numbers(trainer: &Trainer) -> [(&'static str, &[f32]); 3] {
    let moments = trainer.moments();
    [
        ("values", &trainer.parameters().values),
        ("first", &moments.first),
        ("second", &moments.second),
    ]
}

/// Equal to the bit.
fn same(a: &[f32], b: &[f32]) -> bool {
    let mut pairs = a.iter().zip(b);
    a.len() == b.len() && pairs.all(|(a, b)| a.to_bits() == b.to_bits())
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
    let bytes = numbers(trainer).map(|(name, numbers)| {
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
        let tensor = file.tensor(name).map_err(wrong)?;
        if tensor.dtype() != Dtype::F32 {
            return Err(Error::Numbers {
                path: path.to_path_buf(),
                problem: format!("{name} is {}, expected F32", tensor.dtype()),
            });
        }
        let (words, _) = tensor.data().as_chunks::<4>();
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

#[cfg(test)]
mod tests;
