//! Clustering: k-means with k the number of labels, V-measure against them.
//!
//! Rows are `{text, LABEL, …}`. A row whose label is null or absent is left out and counted; a label
//! that no row has, or a single label, is an error.

use super::{Data, Fetch, Kind, Metric, Outcome, Prepared, Size, Strip};
use crate::bootstrap::Evidence;
use crate::matrix::Matrix;
use crate::metrics::{deviation, mean};
use crate::prompts::Prompts;
use crate::rows;
use crate::settings::Settings;
use crate::{Error, Result};
use inbedder_cluster::Contingency;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    label: String,
    instruction: String,
    /// Labelled texts.
    texts: Option<usize>,
    /// Distinct labels.
    clusters: Option<usize>,
    /// The name of its robustness instructions.
    robustness: Option<String>,
}

struct Task {
    size: Size,
    /// Label of each used row.
    truth: Vec<usize>,
    /// Prompt of each used row.
    prompts: Vec<usize>,
    strip: Option<Strip>,
}

/// A row with its label.
struct Labelled {
    text: String,
    label: Option<String>,
}

impl Kind for Spec {
    fn prepare(&self, data: &Data<'_>, prompts: &mut Prompts) -> Result<Box<dyn Prepared>> {
        let rows = self.read(data.path)?;
        let labelled = rows.iter().filter(|row| row.label.is_some()).count();
        rows::check_count(data.path, "labelled texts", labelled, self.texts)?;
        let distinct = ranks(rows.iter().filter_map(|row| row.label.as_deref()));
        rows::check_count(data.path, "labels", distinct.len(), self.clusters)?;

        let used = data.sample(rows.len(), |i| rows[i].label.is_some());
        let labels = used.iter().filter_map(|i| rows[*i].label.as_deref());
        let places = ranks(labels.clone());
        if places.len() < 2 {
            let problem = format!(
                "the {} texts have {} kinds of {:?}: at least two are needed",
                used.len(),
                places.len(),
                self.label
            );
            return Err(Error::data(data.path, problem));
        }
        let truth: Vec<usize> = labels.map(|label| places[label]).collect();
        let texts: Vec<&str> = used.iter().map(|i| rows[*i].text.as_str()).collect();
        let size = Size {
            rows: used.len(),
            of: labelled,
            unlabelled: rows.len() - labelled,
            clusters: places.len(),
        };
        let strip = match &self.robustness {
            Some(name) if data.settings.robustness => {
                Some(Strip::new(name, data, (&texts, &truth), prompts)?)
            }
            _ => None,
        };
        let add = |text: &&str| prompts.add(text, &self.instruction);
        Ok(Box::new(Task {
            prompts: texts.iter().map(add).collect(),
            size,
            truth,
            strip,
        }))
    }

    fn other_name(&self) -> Option<&str> {
        self.robustness.as_deref()
    }
}

impl Spec {
    fn read(&self, path: &Path) -> Result<Vec<Labelled>> {
        let rows: Vec<(usize, Map<String, Value>)> = rows::read(path)?;
        let mut labelled = Vec::with_capacity(rows.len());
        for (line, mut row) in rows {
            let Some(Value::String(text)) = row.remove("text") else {
                return Err(Error::row(path, line, "there is no string \"text\""));
            };
            let label = match row.remove(&self.label) {
                None | Some(Value::Null) => None,
                Some(Value::String(label)) => Some(label),
                Some(label @ (Value::Bool(_) | Value::Number(_))) => Some(label.to_string()),
                Some(other) => {
                    let problem = format!("the label {:?} is a structure: {other}", self.label);
                    return Err(Error::row(path, line, problem));
                }
            };
            labelled.push(Labelled { text, label });
        }
        if labelled.iter().all(|row| row.label.is_none()) {
            let problem = format!("no row has the label {:?}", self.label);
            return Err(Error::data(path, problem));
        }
        Ok(labelled)
    }
}

/// Distinct labels with their places.
fn ranks<'a>(labels: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let distinct: std::collections::BTreeSet<&str> = labels.collect();
    distinct.into_iter().zip(0..).collect()
}

/// A corpus' vectors, as they are or centred.
pub(super) fn vectors(fetch: Fetch<'_>, prompts: &[usize], centred: bool) -> Result<Matrix> {
    let mut matrix = fetch(prompts)?;
    if centred {
        matrix.center(&[(0..prompts.len()).collect()])?;
    }
    Ok(matrix)
}

impl Prepared for Task {
    fn size(&self) -> Size {
        self.size.clone()
    }

    fn score(&self, fetch: Fetch<'_>, centred: bool, settings: &Settings) -> Result<Outcome> {
        let matrix = vectors(fetch, &self.prompts, centred)?;
        let view = matrix.view()?;
        let mut clusterings = Vec::new();
        let mut scores = [const { Vec::new() }; 5];
        for seed in 0..settings.clusterings as u64 {
            let kmeans = settings
                .protocol
                .kmeans(self.size.clusters, settings.seed + seed);
            let labels = kmeans.fit(&view)?.labels;
            let table = Contingency::new(&self.truth, &labels)?;
            let measure = table.v_measure();
            let values = [
                measure.v,
                measure.homogeneity,
                measure.completeness,
                table.adjusted_rand(),
                table.normalized_mutual_information(),
            ];
            scores
                .iter_mut()
                .zip(values)
                .for_each(|(list, value)| list.push(value));
            clusterings.push(labels);
        }
        let names = ["v_measure", "homogeneity", "completeness", "ari", "nmi"];
        let metric = |(name, values): (&str, &Vec<f64>)| Metric {
            deviation: (values.len() > 1).then(|| deviation(values)),
            ..Metric::new(name, mean(values))
        };
        Ok(Outcome {
            metrics: names.into_iter().zip(&scores).map(metric).collect(),
            evidence: Evidence::Clusters {
                truth: self.truth.clone(),
                clusterings,
            },
        })
    }

    fn strip(&self) -> Option<&Strip> {
        self.strip.as_ref()
    }
}
