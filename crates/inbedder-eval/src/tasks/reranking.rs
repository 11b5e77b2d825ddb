//! Reranking: candidates of a query by cosine, mean average precision (MAP), as mteb's reranking tasks.
//!
//! Rows are `{query, positive: […], negative: […]}`, both lists with at least one text.

use super::{Cosines, Data, Fetch, Kind, Metric, Outcome, Prepared, Size, defined, distinct};
use crate::bootstrap::Evidence;
use crate::metrics::{average_precision, mean};
use crate::prompts::Prompts;
use crate::rows;
use crate::settings::Settings;
use crate::{Error, Result};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    rows: Option<usize>,
    /// Asked about query and candidates alike.
    #[serde(default)]
    instruction: String,
}

#[derive(Deserialize)]
struct Row {
    query: String,
    positive: Vec<String>,
    negative: Vec<String>,
}

/// Prompts of a query and its candidates.
struct Query {
    query: usize,
    candidates: Vec<usize>,
    relevant: Vec<bool>,
}

struct Task {
    size: Size,
    queries: Vec<Query>,
    prompts: Vec<usize>,
}

impl Kind for Spec {
    fn prepare(&self, data: &Data<'_>, prompts: &mut Prompts) -> Result<Box<dyn Prepared>> {
        let rows: Vec<(usize, Row)> = rows::read(data.path)?;
        rows::check_count(data.path, "rows", rows.len(), self.rows)?;
        for (line, row) in &rows {
            let lists = [("positive", &row.positive), ("negative", &row.negative)];
            if let Some((name, _)) = lists.iter().find(|(_, list)| list.is_empty()) {
                let problem = format!("there is no {name} candidate");
                return Err(Error::row(data.path, *line, problem));
            }
        }
        let used = data.sample(rows.len(), |_| true);
        let mut add = |text: &String| prompts.add(text, &self.instruction);
        let mut queries = Vec::new();
        for i in &used {
            let row = &rows[*i].1;
            let relevant = [
                vec![true; row.positive.len()],
                vec![false; row.negative.len()],
            ];
            queries.push(Query {
                query: add(&row.query),
                candidates: row
                    .positive
                    .iter()
                    .chain(&row.negative)
                    .map(&mut add)
                    .collect(),
                relevant: relevant.concat(),
            });
        }
        let of_query = |query: &Query| [&[query.query], &query.candidates[..]].concat();
        Ok(Box::new(Task {
            size: Size {
                rows: used.len(),
                of: rows.len(),
                ..Size::default()
            },
            prompts: distinct(queries.iter().flat_map(of_query)),
            queries,
        }))
    }
}

impl Prepared for Task {
    fn size(&self) -> Size {
        self.size.clone()
    }

    fn score(&self, fetch: Fetch<'_>, centred: bool, _settings: &Settings) -> Result<Outcome> {
        let cosines = Cosines::new(fetch, &[&self.prompts], centred)?;
        let precision = |query: &Query| {
            let near = |id: &usize| cosines.of(query.query, *id);
            let scores: Vec<f64> = query.candidates.iter().map(near).collect();
            defined(
                "average precision",
                average_precision(&query.relevant, &scores),
            )
        };
        let precisions: Vec<f64> = self.queries.iter().map(precision).collect::<Result<_>>()?;
        Ok(Outcome {
            metrics: vec![Metric::new("map", mean(&precisions))],
            evidence: Evidence::Queries { precisions },
        })
    }
}
