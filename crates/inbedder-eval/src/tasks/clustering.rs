//! Clustering: k-means with k the number of labels, V-measure against them.
//!
//! Rows are `{text, LABEL, …}`. A row whose label is null or absent is left out and counted; a label
//! that no row has, or a single label, is an error.

use super::{Data, Fetch, Kind, Metric, Outcome, Prepared, Size};
use crate::bootstrap::Evidence;
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

/// A task's texts under many instructions.
pub(crate) struct Strip {
    /// Correct, implicit, incorrect: each with its instructions.
    pub(crate) groups: [Vec<Wording>; 3],
    pub(crate) truth: Vec<usize>,
    pub(crate) clusters: usize,
    /// Prompts of the texts under the empty instruction, for checks.
    pub(crate) empty: Vec<usize>,
}

/// An instruction with its prompts.
pub(crate) struct Wording {
    pub(crate) instruction: String,
    /// `[text]`.
    pub(crate) prompts: Vec<usize>,
    /// `[paraphrase][text]`, for checks, of the first texts alone.
    pub(crate) paraphrases: Vec<Vec<usize>>,
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
                Some(Strip::new(name, data, &texts, &truth, prompts)?)
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

impl Strip {
    fn new(
        name: &str,
        data: &Data<'_>,
        texts: &[&str],
        truth: &[usize],
        prompts: &mut Prompts,
    ) -> Result<Self> {
        let Some(wordings) = data.robustness.get(name) else {
            let problem = format!("there are no robustness instructions {name:?}");
            return Err(Error::data(data.path, problem));
        };
        let groups = [&wordings.correct, &wordings.implicit, &wordings.incorrect];
        let all: Vec<&String> = groups.into_iter().flatten().collect();
        let twice = all.iter().enumerate().find(|(i, w)| all[..*i].contains(w));
        if let Some((_, twice)) = twice {
            let problem = format!("the robustness instruction {twice:?} of {name} is there twice");
            return Err(Error::data(data.path, problem));
        }
        if groups.iter().any(|group| group.is_empty()) {
            let problem = format!("a group of the robustness instructions {name:?} is empty");
            return Err(Error::data(data.path, problem));
        }
        // A seeded part of the sample: chosen by place, so that it is a sample itself.
        let random = crate::random::Random::new(data.settings.seed, data.file);
        let most = data.settings.robustness_texts;
        let used = random.choose(texts.len(), most, |_| true);
        let texts: Vec<&str> = used.iter().map(|i| texts[*i]).collect();
        let truth: Vec<usize> = used.iter().map(|i| truth[*i]).collect();
        let clusters = truth
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len();
        let check = data.settings.check.as_ref();
        let checked = check.map_or(0, |check| check.texts.min(texts.len()));
        let rewordings = check.map_or(0, |check| check.paraphrases);
        let wording = |instruction: &String, prompts: &mut Prompts| {
            let mut ask = |texts: &[&str], wording: &str| {
                texts
                    .iter()
                    .map(|text| prompts.add(text, wording))
                    .collect()
            };
            let reworded = crate::paraphrase::rewordings(instruction, rewordings)?;
            Ok(Wording {
                instruction: instruction.clone(),
                prompts: ask(&texts, instruction),
                paraphrases: reworded.iter().map(|w| ask(&texts[..checked], w)).collect(),
            })
        };
        let mut made = Vec::new();
        for group in groups {
            let group: Result<Vec<Wording>> = group.iter().map(|w| wording(w, prompts)).collect();
            made.push(group?);
        }
        let [correct, implicit, incorrect] = <[Vec<Wording>; 3]>::try_from(made)
            .unwrap_or_else(|_| unreachable!("three groups went in"));
        let empty = texts[..checked]
            .iter()
            .map(|text| prompts.add(text, ""))
            .collect();
        Ok(Self {
            groups: [correct, implicit, incorrect],
            truth,
            clusters,
            empty,
        })
    }

    /// V-measure of each instruction, in the order of the groups; one clustering each.
    pub(crate) fn scores(
        &self,
        fetch: Fetch<'_>,
        centred: bool,
        settings: &Settings,
    ) -> Result<[(Vec<String>, Vec<f64>); 3]> {
        let mut found = [const { (Vec::new(), Vec::new()) }; 3];
        for (group, (instructions, scores)) in self.groups.iter().zip(&mut found) {
            for wording in group {
                let matrix = vectors(fetch, &wording.prompts, centred)?;
                let seed = settings.seed;
                let kmeans = settings.protocol.kmeans(self.clusters, seed);
                let labels = kmeans.fit(&matrix.view()?)?.labels;
                scores.push(Contingency::new(&self.truth, &labels)?.v_measure().v);
                instructions.push(wording.instruction.clone());
            }
        }
        Ok(found)
    }
}

fn vectors(fetch: Fetch<'_>, prompts: &[usize], centred: bool) -> Result<crate::Matrix> {
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
