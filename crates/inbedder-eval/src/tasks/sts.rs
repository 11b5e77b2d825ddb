//! Similarity of sentence pairs: Spearman (and Pearson) of the cosine against a score.
//!
//! Rows are `{sentence1, sentence2, score or label}`, instructed ones with an `instruction` of their
//! own. A task without instructions is read under the manifest's `instruction`, else under an empty
//! one. Centring takes one mean off all prompts of the task: a row's question has too few texts for one
//! of its own.

use super::{Cosines, Data, Fetch, Kind, Metric, Outcome, Prepared, Size, defined, distinct};
use crate::bootstrap::Evidence;
use crate::metrics::{pearson, spearman};
use crate::prompts::Prompts;
use crate::rows;
use crate::settings::Settings;
use crate::{Error, Result};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    rows: Option<usize>,
    /// Rows bring instructions.
    instructed: bool,
    /// For all rows, when they bring none.
    instruction: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    sentence1: String,
    sentence2: String,
    #[serde(alias = "label")]
    score: f64,
    instruction: Option<String>,
}

struct Task {
    size: Size,
    pairs: Vec<[usize; 2]>,
    scores: Vec<f64>,
    /// Distinct prompts.
    prompts: Vec<usize>,
}

impl Kind for Spec {
    fn prepare(&self, data: &Data<'_>, prompts: &mut Prompts) -> Result<Box<dyn Prepared>> {
        if self.instructed && self.instruction.is_some() {
            let problem =
                "instructed rows bring their own instructions, the manifest gives one too";
            return Err(Error::data(data.path, problem));
        }
        let rows: Vec<(usize, Row)> = rows::read(data.path)?;
        rows::check_count(data.path, "rows", rows.len(), self.rows)?;
        for (line, row) in &rows {
            let problem = match (&row.instruction, self.instructed) {
                (None, true) => "has no instruction, but the task is instructed",
                (Some(_), false) => "has an instruction, but the task is not instructed",
                _ => continue,
            };
            return Err(Error::row(data.path, *line, problem));
        }
        let used = data.sample(rows.len(), |_| true);
        let of_all = self.instruction.as_deref().unwrap_or_default();
        let mut pairs = Vec::new();
        for i in &used {
            let row = &rows[*i].1;
            let instruction = row.instruction.as_deref().unwrap_or(of_all);
            pairs.push([&row.sentence1, &row.sentence2].map(|text| prompts.add(text, instruction)));
        }
        Ok(Box::new(Task {
            size: Size {
                rows: used.len(),
                of: rows.len(),
                ..Size::default()
            },
            prompts: distinct(pairs.iter().flatten().copied()),
            pairs,
            scores: used.iter().map(|i| rows[*i].1.score).collect(),
        }))
    }
}

impl Prepared for Task {
    fn size(&self) -> Size {
        self.size.clone()
    }

    fn score(&self, fetch: Fetch<'_>, centred: bool, _settings: &Settings) -> Result<Outcome> {
        let near = Cosines::new(fetch, &[&self.prompts], centred)?;
        let cosine = |[a, b]: &[usize; 2]| near.of(*a, *b);
        let cosines: Vec<f64> = self.pairs.iter().map(cosine).collect();
        let rank = defined("Spearman's correlation", spearman(&cosines, &self.scores))?;
        let linear = defined("Pearson's correlation", pearson(&cosines, &self.scores))?;
        Ok(Outcome {
            metrics: vec![
                Metric::new("spearman", rank),
                Metric::new("pearson", linear),
            ],
            evidence: Evidence::Pairs {
                cosines,
                scores: self.scores.clone(),
            },
        })
    }
}
