//! Triplets: under `instr_p` the anchor must lie nearer (cosine) to `p`, under `instr_n` nearer to
//! `n`. Success rate of each axis and their harmonic mean; equally near is a failure.
//!
//! Rows are `{anchor, p, n, axis_p, axis_n, instr_p, instr_n}`.

use super::{Cosines, Data, Fetch, Kind, Metric, Outcome, Prepared, Size, distinct};
use crate::bootstrap::Evidence;
use crate::metrics::{harmonic_mean, success_rate};
use crate::prompts::Prompts;
use crate::rows;
use crate::settings::Settings;
use crate::{Error, Result};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    rows: Option<usize>,
    axes: [String; 2],
    instructions: [String; 2],
}

#[derive(Deserialize)]
struct Row {
    anchor: String,
    p: String,
    n: String,
    axis_p: String,
    axis_n: String,
    instr_p: String,
    instr_n: String,
}

/// Prompts of anchor, near and far text, and the axis (0 or 1) that the instruction asks for.
type Triple = ([usize; 3], usize);

struct Task {
    size: Size,
    axes: [String; 2],
    /// A row's two triples.
    rows: Vec<[Triple; 2]>,
    /// Distinct prompts of each axis.
    prompts: [Vec<usize>; 2],
}

impl Kind for Spec {
    fn prepare(&self, data: &Data<'_>, prompts: &mut Prompts) -> Result<Box<dyn Prepared>> {
        if self.axes[0] == self.axes[1] || self.instructions[0] == self.instructions[1] {
            let problem = "the two axes, or their two instructions, are the same";
            return Err(Error::data(data.path, problem));
        }
        let rows: Vec<(usize, Row)> = rows::read(data.path)?;
        rows::check_count(data.path, "rows", rows.len(), self.rows)?;
        let used = data.sample(rows.len(), |_| true);
        let mut task = Task {
            size: Size {
                rows: used.len(),
                of: rows.len(),
                ..Size::default()
            },
            axes: self.axes.clone(),
            rows: Vec::new(),
            prompts: [Vec::new(), Vec::new()],
        };
        for i in used {
            let (line, row) = &rows[i];
            let mut triple = |near: &str, far: &str, axis: &str, instruction: &str| {
                let at = self.axes.iter().position(|known| known == axis);
                let at = at.filter(|at| self.instructions[*at] == instruction);
                let at = at.ok_or_else(|| {
                    let problem = format!(
                        "the axis {axis:?} with the instruction {instruction:?} is not of the manifest"
                    );
                    Error::row(data.path, *line, problem)
                })?;
                let ids = [&row.anchor, near, far].map(|text| prompts.add(text, instruction));
                task.prompts[at].extend(ids);
                Ok::<Triple, Error>((ids, at))
            };
            let first = triple(&row.p, &row.n, &row.axis_p, &row.instr_p)?;
            let second = triple(&row.n, &row.p, &row.axis_n, &row.instr_n)?;
            if first.1 == second.1 {
                return Err(Error::row(data.path, *line, "both axes are the same"));
            }
            task.rows.push([first, second]);
        }
        task.prompts = task.prompts.map(distinct);
        Ok(Box::new(task))
    }
}

impl Prepared for Task {
    fn size(&self) -> Size {
        self.size.clone()
    }

    fn score(&self, fetch: Fetch<'_>, centred: bool, _settings: &Settings) -> Result<Outcome> {
        let [first, second] = &self.prompts;
        let cosines = Cosines::new(fetch, &[first, second], centred)?;
        let mut successes = [Vec::new(), Vec::new()];
        for (ids, axis) in self.rows.iter().flatten() {
            let [anchor, near, far] = *ids;
            successes[*axis].push(cosines.of(anchor, near) > cosines.of(anchor, far));
        }
        let rates = [success_rate(&successes[0]), success_rate(&successes[1])];
        let [first, second] = successes;
        Ok(Outcome {
            metrics: vec![
                Metric::new("harmonic_mean", harmonic_mean(&rates)),
                Metric::new(format!("success {}", self.axes[0]), rates[0]),
                Metric::new(format!("success {}", self.axes[1]), rates[1]),
            ],
            evidence: Evidence::Triplets { first, second },
        })
    }
}
