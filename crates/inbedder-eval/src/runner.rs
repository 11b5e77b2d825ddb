//! All tasks over all systems: file by file, so that a text is read once for everything that is asked
//! about it. A task that fails is written down as failed; the others still run.

use crate::bootstrap;
use crate::manifest::{MANIFEST, Manifest, Task};
use crate::matrix::Matrix;
use crate::prompts::{Prompts, hex};
use crate::published;
use crate::results::{Results, SystemInfo, SystemScore, TaskResult};
use crate::robustness::Robustness;
use crate::settings::Settings;
use crate::source::{Source, Work};
use crate::tasks::{Outcome, Prepared, Size};
use crate::validation::Validation;
use crate::{Error, Result};
use inbedder::Progress;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Instant;

/// One of the systems that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Its name.
    pub name: String,
    /// Its source's number.
    pub source: usize,
    /// Which of the source's readings.
    pub reading: usize,
    /// Instructions are left out: the pattern is filled with an empty one.
    pub empty: bool,
}

/// Told how an evaluation gets on.
pub trait Watch {
    /// A file's prompts are about to be embedded by some system: so many texts at most.
    fn reading(&self, file: &str, texts: usize) -> Box<dyn Progress + '_>;
    /// A task is done; `results` holds all so far, this one last.
    ///
    /// # Errors
    /// What keeps the results from being written; it ends the evaluation.
    fn done(&self, results: &Results) -> Result<()>;
}

/// No reports.
impl Watch for () {
    fn reading(&self, _file: &str, _texts: usize) -> Box<dyn Progress + '_> {
        Box::new(())
    }

    fn done(&self, _results: &Results) -> Result<()> {
        Ok(())
    }
}

/// What is to be evaluated.
pub struct Evaluation {
    /// The tasks.
    pub manifest: Manifest,
    /// How.
    pub settings: Settings,
    /// Where vectors come from.
    pub sources: Vec<Box<dyn Source>>,
    /// The systems, the first of which the others are held against.
    pub systems: Vec<System>,
}

/// A task of a file.
pub(crate) type Member<'a> = &'a Task;

impl Evaluation {
    /// Runs all tasks.
    ///
    /// # Errors
    /// Settings that make no sense, a published file that cannot be read, [`Watch::done`]'s, an
    /// interruption. What a task fails of is in the results.
    pub fn run(&mut self, published: Option<&Path>, watch: &dyn Watch) -> Result<Results> {
        self.settings.check()?;
        let start = Instant::now();
        let mut results = self.begin(published)?;
        let tasks = std::mem::take(&mut self.manifest.tasks);
        for group in by_file(&tasks) {
            self.group(&group, &mut results, start, watch)?;
        }
        self.manifest.tasks = tasks;
        results.seconds = start.elapsed().as_secs_f64();
        Ok(results)
    }

    fn begin(&self, path: Option<&Path>) -> Result<Results> {
        let tasks = &self.manifest.tasks;
        let names: Vec<(String, Option<String>)> = tasks
            .iter()
            .map(|task| {
                (
                    task.name.clone(),
                    task.spec.other_name().map(str::to_string),
                )
            })
            .collect();
        let published = match path {
            Some(path) => published::read(path, &names)?,
            None => Vec::new(),
        };
        let system = |system: &System| SystemInfo {
            name: system.name.clone(),
            source: self.sources[system.source].describe(),
            reading: system.reading,
            empty: system.empty,
        };
        Ok(Results {
            version: env!("CARGO_PKG_VERSION").to_string(),
            data: self.manifest.folder.display().to_string(),
            manifest_sha256: sha256(&self.manifest.folder.join(MANIFEST))?,
            settings: self.settings.clone(),
            systems: self.systems.iter().map(system).collect(),
            tasks: Vec::new(),
            pairs: Vec::new(),
            averages: Vec::new(),
            published,
            failed: 0,
            open: tasks.len(),
            seconds: 0.0,
            model_seconds: 0.0,
        })
    }

    /// The tasks of one file. If their prompts cannot be embedded together, each is tried alone.
    fn group(
        &mut self,
        group: &[Member<'_>],
        results: &mut Results,
        start: Instant,
        watch: &dyn Watch,
    ) -> Result<()> {
        let mut prompts = Prompts::default();
        let prepared: Vec<_> = group
            .iter()
            .map(|task| self.manifest.prepare(task, &self.settings, &mut prompts))
            .collect();
        let mut work = Vec::new();
        for number in 0..self.sources.len() {
            match self.embed(number, group[0], &prompts, watch) {
                Err(error) if error.is_interrupted() => return Err(error),
                Err(_) if group.len() > 1 => {
                    return group
                        .iter()
                        .try_for_each(|task| self.group(&[*task], results, start, watch));
                }
                done => work.push(done),
            }
        }
        let made: Work = work
            .iter()
            .flatten()
            .fold(Work::default(), |mut sum, work| {
                sum += *work;
                sum
            });
        results.model_seconds += made.seconds;
        for (task, prepared) in group.iter().zip(prepared) {
            let mut result = match prepared {
                Ok(prepared) => self.score(task, prepared.as_ref(), &prompts, &work),
                Err(error) => failed(task, error.to_string()),
            };
            result.work = made;
            result.file_sha256 = sha256(&self.manifest.folder.join(&task.file)).ok();
            results.tasks.push(result);
            results.open -= 1;
            results.seconds = start.elapsed().as_secs_f64();
            results.conclude();
            watch.done(results)?;
        }
        Ok(())
    }

    /// Has a source embed what its systems want.
    fn embed(
        &mut self,
        number: usize,
        task: &Task,
        prompts: &Prompts,
        watch: &dyn Watch,
    ) -> Result<Work> {
        let systems = self.systems.iter().filter(|system| system.source == number);
        let (empty, asked): (Vec<&System>, Vec<&System>) = systems.partition(|system| system.empty);
        let mut wanted: Vec<(&str, &str)> = Vec::new();
        if !asked.is_empty() {
            wanted.extend(prompts.all());
        }
        if !empty.is_empty() {
            wanted.extend(prompts.without_instruction());
        }
        let progress = watch.reading(&task.file, prompts.without_instruction().count());
        self.sources[number].prepare(&task.file, &wanted, progress.as_ref())
    }

    fn score(
        &self,
        task: &Task,
        prepared: &dyn Prepared,
        prompts: &Prompts,
        work: &[Result<Work>],
    ) -> TaskResult {
        let start = Instant::now();
        let mut result = failed(task, String::new());
        result.error = None;
        result.size = prepared.size();
        let mut first = None;
        for system in &self.systems {
            let scored = match &work[system.source] {
                Ok(_) => self.system(system, prepared, prompts),
                Err(error) => Err(error.to_string()),
            };
            let mut score = SystemScore::default();
            match scored {
                Err(error) => score.error = Some(error),
                Ok((outcomes, extra)) => {
                    score = extra;
                    let differences = first.as_ref().map(|first: &[Outcome; 2]| {
                        [0, 1].map(|i| self.difference(&outcomes[i], &first[i]))
                    });
                    [score.difference, score.difference_centred] = differences.unwrap_or_default();
                    [score.raw, score.centred] = outcomes.each_ref().map(|o| o.metrics.clone());
                    if system == &self.systems[0] {
                        first = Some(outcomes);
                    }
                }
            }
            result.scores.push(score);
        }
        result.seconds = start.elapsed().as_secs_f64();
        result
    }

    fn difference(&self, a: &Outcome, b: &Outcome) -> Option<bootstrap::Difference> {
        let value = a.metrics.first()?.value - b.metrics.first()?.value;
        let evidence = (&a.evidence, &b.evidence);
        bootstrap::difference(value, evidence, self.settings.resamples, self.settings.seed)
    }

    /// A system's outcome, raw and centred, and what else its task asks for.
    fn system(
        &self,
        system: &System,
        prepared: &dyn Prepared,
        prompts: &Prompts,
    ) -> Result<([Outcome; 2], SystemScore), String> {
        let fetch = |numbers: &[usize]| self.fetch(system, prompts, numbers);
        let settings = &self.settings;
        let all = || {
            let raw = prepared.score(&fetch, false, settings)?;
            let centred = prepared.score(&fetch, true, settings)?;
            let mut extra = SystemScore::default();
            // Without instructions all wordings are the same.
            if let Some(strip) = prepared.strip().filter(|_| !system.empty) {
                let scores = strip.scores(&fetch, false, settings)?;
                let of_all: Vec<f64> = scores
                    .iter()
                    .flat_map(|(_, scores)| scores)
                    .copied()
                    .collect();
                if let Some(check) = &settings.check {
                    extra.validation = Some(Validation::new(strip, &fetch, check, &of_all)?);
                }
                extra.robustness = Some(Robustness::new(scores));
                let centred = strip.scores(&fetch, true, settings)?;
                extra.robustness_centred = Some(Robustness::new(centred));
            }
            Ok(([raw, centred], extra))
        };
        all().map_err(|error: Error| error.to_string())
    }

    fn fetch(&self, system: &System, prompts: &Prompts, numbers: &[usize]) -> Result<Matrix> {
        let wanted = numbers.iter().map(|number| {
            let (text, instruction) = prompts.get(*number);
            (text, if system.empty { "" } else { instruction })
        });
        let wanted: Vec<(&str, &str)> = wanted.collect();
        self.sources[system.source].vectors(system.reading, &wanted)
    }
}

/// Tasks that share a file stand together, files in the order of the manifest.
pub(crate) fn by_file(tasks: &[Task]) -> Vec<Vec<Member<'_>>> {
    let mut groups: Vec<Vec<Member<'_>>> = Vec::new();
    for task in tasks {
        match groups.iter_mut().find(|group| group[0].file == task.file) {
            Some(group) => group.push(task),
            None => groups.push(vec![task]),
        }
    }
    groups
}

fn failed(task: &Task, error: String) -> TaskResult {
    TaskResult {
        name: task.name.clone(),
        kind: task.kind.to_string(),
        file: task.file.clone(),
        file_sha256: None,
        size: Size::default(),
        error: Some(error),
        scores: Vec::new(),
        work: Work::default(),
        seconds: 0.0,
    }
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    Ok(hex(&Sha256::digest(bytes)))
}
