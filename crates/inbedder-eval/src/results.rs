//! What an evaluation found, as plain data: the content of `results.json`.

use crate::bootstrap::Difference;
use crate::published::Published;
use crate::robustness::Robustness;
use crate::settings::Settings;
use crate::source::Work;
use crate::tasks::{Metric, Size};
use crate::validation::Validation;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Everything that was found and how.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Version of this program.
    pub version: String,
    /// The folder of data.
    pub data: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
    /// How it was done.
    pub settings: Settings,
    /// The systems, the first of which the others are held against.
    pub systems: Vec<SystemInfo>,
    /// In the order in which they were done.
    pub tasks: Vec<TaskResult>,
    /// Pairs of clusterings of one corpus.
    pub pairs: Vec<PairResult>,
    /// Mean scores by kind.
    pub averages: Vec<Average>,
    /// Scores that others have published.
    pub published: Vec<Published>,
    /// Tasks that failed for at least one system.
    pub failed: usize,
    /// Tasks that were still to come when this was written.
    pub open: usize,
    /// Wall time of this run, the models' loading left out.
    pub seconds: f64,
    /// Of which the models took.
    pub model_seconds: f64,
}

/// A system.
#[derive(Debug, Clone, Serialize)]
pub struct SystemInfo {
    /// Its name.
    pub name: String,
    /// Where its vectors come from, with all settings.
    pub source: Value,
    /// Which of the source's readings.
    pub reading: usize,
    /// Instructions were left out.
    pub empty: bool,
}

/// A task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskResult {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its data, as the manifest names it.
    pub file: String,
    /// SHA-256 of the data.
    pub file_sha256: Option<String>,
    /// What was measured on.
    pub size: Size,
    /// Why nothing could be measured.
    pub error: Option<String>,
    /// In the order of the systems.
    pub scores: Vec<SystemScore>,
    /// What embedding the task's file cost; tasks of one file share it.
    pub work: Work,
    /// Seconds of scoring.
    pub seconds: f64,
}

/// A system on a task.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SystemScore {
    /// Of vectors as they are; the first is the score.
    pub raw: Vec<Metric>,
    /// Of vectors with the mean of each question taken off.
    pub centred: Vec<Metric>,
    /// This system minus the first one, of vectors as they are.
    pub difference: Option<Difference>,
    /// The same of centred vectors.
    pub difference_centred: Option<Difference>,
    /// Under many instructions, of vectors as they are.
    pub robustness: Option<Robustness>,
    /// The same of centred vectors.
    pub robustness_centred: Option<Robustness>,
    /// How well `check` foresees the scores of the instructions.
    pub validation: Option<Validation>,
    /// Why there is no score.
    pub error: Option<String>,
}

/// Two clusterings of one corpus.
#[derive(Debug, Clone, Serialize)]
pub struct PairResult {
    /// The tasks.
    pub tasks: [String; 2],
    /// Harmonic mean of their scores by system; `None` where one failed.
    pub raw: Vec<Option<f64>>,
    /// The same of centred vectors.
    pub centred: Vec<Option<f64>>,
}

/// Mean score over the tasks of a kind.
#[derive(Debug, Clone, Serialize)]
pub struct Average {
    /// The kind.
    pub kind: String,
    /// Tasks that every system has a score of.
    pub tasks: usize,
    /// By system.
    pub raw: Vec<f64>,
    /// The same of centred vectors.
    pub centred: Vec<f64>,
}

impl TaskResult {
    /// Whether the task, or a system on it, failed.
    pub fn has_failed(&self) -> bool {
        self.error.is_some() || self.scores.iter().any(|score| score.error.is_some())
    }
}

impl SystemScore {
    /// The score itself, raw and centred.
    pub fn main(&self) -> Option<[f64; 2]> {
        Some([self.raw.first()?.value, self.centred.first()?.value])
    }
}

impl Results {
    /// Fills in what follows from the tasks: pairs, averages, failures.
    pub(crate) fn conclude(&mut self) {
        self.failed = self.tasks.iter().filter(|task| task.has_failed()).count();
        let systems = self.systems.len();
        let mut kinds: Vec<&str> = Vec::new();
        for task in &self.tasks {
            if !kinds.contains(&task.kind.as_str()) {
                kinds.push(&task.kind);
            }
        }
        self.averages = kinds
            .iter()
            .filter_map(|kind| average(kind, &self.tasks, systems))
            .collect();
        self.pairs = pairs(&self.tasks, systems);
    }
}

fn average(kind: &str, tasks: &[TaskResult], systems: usize) -> Option<Average> {
    let of_kind = tasks.iter().filter(|task| task.kind == kind);
    let complete: Vec<Vec<[f64; 2]>> = of_kind
        .filter_map(|task| task.scores.iter().map(SystemScore::main).collect())
        .filter(|scores: &Vec<_>| scores.len() == systems)
        .collect();
    let mean = |system: usize, which: usize| {
        let values: Vec<f64> = complete
            .iter()
            .map(|scores| scores[system][which])
            .collect();
        crate::metrics::mean(&values)
    };
    (!complete.is_empty()).then(|| Average {
        kind: kind.to_string(),
        tasks: complete.len(),
        raw: (0..systems).map(|system| mean(system, 0)).collect(),
        centred: (0..systems).map(|system| mean(system, 1)).collect(),
    })
}

fn pairs(tasks: &[TaskResult], systems: usize) -> Vec<PairResult> {
    let mut pairs: Vec<PairResult> = Vec::new();
    for system in 0..systems {
        let mut files: BTreeMap<&str, [Vec<(String, f64)>; 2]> = BTreeMap::new();
        for task in tasks.iter().filter(|task| task.kind == "clustering") {
            let Some(main) = task.scores.get(system).and_then(SystemScore::main) else {
                continue;
            };
            let lists = files.entry(&task.file).or_default();
            for (list, value) in lists.iter_mut().zip(main) {
                list.push((task.name.clone(), value));
            }
        }
        for [raw, centred] in files.into_values() {
            let both = crate::tasks::pairs::of(&raw);
            for ((names, raw), (_, centred)) in
                both.into_iter().zip(crate::tasks::pairs::of(&centred))
            {
                let known = pairs.iter().position(|pair| pair.tasks == names);
                let at = known.unwrap_or_else(|| {
                    pairs.push(PairResult {
                        tasks: names,
                        raw: vec![None; systems],
                        centred: vec![None; systems],
                    });
                    pairs.len() - 1
                });
                pairs[at].raw[system] = Some(raw);
                pairs[at].centred[system] = Some(centred);
            }
        }
    }
    pairs
}
