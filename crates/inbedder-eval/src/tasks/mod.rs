//! The kinds of tasks: a file each, and a line in [`KINDS`]. A kind reads its rows, says which prompts
//! it wants, and scores their vectors; it neither knows where vectors come from nor prints.
//!
//! `pairs` is derived: two clusterings of one corpus.

mod clustering;
pub(crate) mod pairs;
mod reranking;
mod strip;
mod sts;
mod triplets;

pub(crate) use strip::Strip;

use crate::bootstrap::Evidence;
use crate::matrix::Matrix;
use crate::prompts::Prompts;
use crate::robustness::Wordings;
use crate::settings::Settings;
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the manifest says of a task, parsed.
type Parse = fn(Value) -> serde_json::Result<Box<dyn Kind>>;

/// Every kind with its name.
pub(crate) const KINDS: [(&str, Parse); 4] = [
    ("clustering", parse::<clustering::Spec>),
    ("triplets", parse::<triplets::Spec>),
    ("sts", parse::<sts::Spec>),
    ("reranking", parse::<reranking::Spec>),
];

fn parse<T: Kind + DeserializeOwned + 'static>(value: Value) -> serde_json::Result<Box<dyn Kind>> {
    Ok(Box::new(serde_json::from_value::<T>(value)?))
}

/// A task as the manifest describes it.
pub(crate) trait Kind: Send + Sync {
    /// Reads the rows and enters the prompts that they want.
    fn prepare(&self, data: &Data<'_>, prompts: &mut Prompts) -> Result<Box<dyn Prepared>>;
    /// Another name that published scores may know it by.
    fn other_name(&self) -> Option<&str> {
        None
    }
}

/// Where a task's rows are, and how many of them are wanted.
pub(crate) struct Data<'a> {
    pub(crate) path: &'a Path,
    /// The file as the manifest names it, which the sample depends on.
    pub(crate) file: &'a str,
    pub(crate) settings: &'a Settings,
    pub(crate) robustness: &'a BTreeMap<String, Wordings>,
}

impl Data<'_> {
    /// A seeded sample of so many rows, those eligible.
    fn sample(&self, rows: usize, eligible: impl Fn(usize) -> bool) -> Vec<usize> {
        let random = crate::random::Random::new(self.settings.seed, self.file);
        random.choose(rows, self.settings.max_texts, eligible)
    }
}

/// What is measured on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Rows that were used.
    pub rows: usize,
    /// Rows of the file that could be used.
    pub of: usize,
    /// Rows without the label, which cannot be used.
    pub unlabelled: usize,
    /// Labels among the used rows, the k of k-means; 0 where there is no such thing.
    pub clusters: usize,
}

/// A number that a task gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its value, a fraction.
    pub value: f64,
    /// Standard deviation over seeds, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

impl Metric {
    fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            deviation: None,
        }
    }
}

/// What a task gave for some vectors: the first metric is the score.
pub(crate) struct Outcome {
    pub(crate) metrics: Vec<Metric>,
    pub(crate) evidence: Evidence,
}

/// Gives the vectors of prompts, by their numbers.
pub(crate) type Fetch<'a> = &'a dyn Fn(&[usize]) -> Result<Matrix>;

/// A task that is ready to be scored.
pub(crate) trait Prepared {
    fn size(&self) -> Size;
    /// The scores, of the vectors as they are or centred.
    fn score(&self, fetch: Fetch<'_>, centred: bool, settings: &Settings) -> Result<Outcome>;
    /// The task under many instructions, if it is to be run so.
    fn strip(&self) -> Option<&Strip> {
        None
    }
}

/// Distinct prompts, rising.
fn distinct(prompts: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let distinct: BTreeSet<usize> = prompts.into_iter().collect();
    distinct.into_iter().collect()
}

/// Cosines between prompts.
struct Cosines {
    matrix: Matrix,
    /// Row of each prompt.
    places: BTreeMap<usize, usize>,
}

impl Cosines {
    /// Of groups of distinct prompts; centred, each group without its own mean.
    fn new(fetch: Fetch<'_>, groups: &[&[usize]], centred: bool) -> Result<Self> {
        let all = groups.concat();
        let mut matrix = fetch(&all)?;
        matrix.view()?;
        if centred {
            let mut rows = 0..all.len();
            let of = |group: &&[usize]| rows.by_ref().take(group.len()).collect();
            matrix.center(&groups.iter().map(of).collect::<Vec<_>>())?;
        }
        let places = all.into_iter().zip(0..).collect();
        Ok(Self { matrix, places })
    }

    /// Of two of the prompts.
    fn of(&self, a: usize, b: usize) -> f64 {
        self.matrix.cosine(self.places[&a], self.places[&b])
    }
}

/// The measure's value, or why there is none.
fn defined(measure: &'static str, value: Option<f64>) -> Result<f64> {
    value.ok_or_else(|| Error::Undefined {
        measure,
        problem: "all similarities or all scores are equal".to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    #[test]
    fn every_kind_has_an_example_that_is_read_and_a_row_in_the_docs() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let manifest = Manifest::open(&root.join("examples/eval")).unwrap();
        let docs = std::fs::read_to_string(root.join("docs/evaluation.md")).unwrap();
        for (kind, _) in KINDS {
            assert!(docs.contains(&format!("\n| `{kind}` |")), "{kind}");
            let task = manifest.tasks.iter().find(|task| task.kind == kind);
            let task = task.unwrap_or_else(|| panic!("no example of {kind}"));
            let mut prompts = Prompts::default();
            let prepared = manifest.prepare(task, &Settings::default(), &mut prompts);
            let prepared = prepared.unwrap();
            assert!(
                prepared.size().rows > 0 && prompts.all().count() > 0,
                "{kind}"
            );
        }
    }
}
