//! What the clusters of a corpus under one question are: names, words, typical texts, and how they
//! fit known labels.

use crate::words::{most_frequent, tf_idf};
use crate::{Contingency, Error, Partition, Result, Vectors};
use serde::Serialize;
use std::collections::BTreeMap;

/// Texts shown of each cluster.
const NEAREST: usize = 3;
/// Words in a name made of words.
const NAME_WORDS: usize = 3;

/// What is known of the texts beside their vectors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// `[text]`: the answers in words.
    pub answers: Option<&'a [String]>,
    /// `[cluster]`: words by contrastive decoding, likeliest first.
    pub decoded: Option<&'a [Vec<String>]>,
    /// `[text]`: known labels.
    pub labels: Option<&'a [String]>,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cluster {
    /// Its number: 0 is the largest.
    pub cluster: usize,
    /// See [`describe`].
    pub name: String,
    /// Texts in it.
    pub size: usize,
    /// The most frequent normalised answer.
    pub answer: Option<Frequent>,
    /// TF-IDF of the answers minus the mean over clusters.
    pub words: Vec<Weighted>,
    /// Contrastive decoding of the centre; `None` where it was not done.
    pub decoded: Option<Vec<String>>,
    /// The texts nearest to the centre, nearest first.
    pub nearest: Vec<Near>,
    /// Texts of each known label.
    pub labels: Option<BTreeMap<String, u64>>,
    /// Entropy of the labels in bits.
    pub entropy_bits: Option<f64>,
}

/// An answer and how often it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frequent {
    /// The answer, normalised.
    pub text: String,
    /// How often.
    pub count: usize,
}

/// A word and its weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Weighted {
    /// The word.
    pub word: String,
    /// TF-IDF above the mean.
    pub weight: f64,
}

/// A text near a centre.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Near {
    /// The text, from 0.
    pub row: usize,
    /// Its distance to the centre.
    pub distance: f32,
}

/// How a partition fits known labels; outliers count as one cluster of their own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Share of texts with the most frequent label of their cluster.
    pub purity: f64,
    /// Harmonic mean of the next two.
    pub v_measure: f64,
    /// Each cluster holds one label only: 1.
    pub homogeneity: f64,
    /// Each label lies in one cluster only: 1.
    pub completeness: f64,
    /// Adjusted Rand index.
    pub adjusted_rand: f64,
    /// Over the arithmetic mean of the entropies.
    pub normalized_mutual_information: f64,
    /// Mean of the clusters' entropies in bits, weighted by size.
    pub mean_entropy_bits: f64,
}

/// All clusters of a partition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// By number, which is by size; with known labels by rising entropy.
    pub clusters: Vec<Cluster>,
    /// Texts in no cluster.
    pub outliers: usize,
    /// The fit to known labels.
    pub agreement: Option<Agreement>,
}

/// Describes clusters.
///
/// A cluster's name is its most frequent normalised answer if at least a third of its texts, and at
/// least two, give it; else its first three TF-IDF words; else, of decoded words, the first three; else
/// `cluster N`. A name that a larger cluster has already gets the first other word of its own behind it,
/// or its number.
///
/// # Errors
/// [`Error::Length`] if vectors, answers, decoded words or labels are not those of the partition.
pub fn describe(
    vectors: &Vectors<'_>,
    partition: &Partition,
    known: Known<'_>,
) -> Result<Description> {
    known.expect(partition)?;
    let centers = partition.centers(vectors)?;
    let distances = partition.distances(vectors, &centers)?;
    let members = partition.members();
    let answers = members
        .iter()
        .map(|members| texts_of(known.answers, members));
    let answers: Vec<Vec<&str>> = answers.collect();
    let mut clusters: Vec<Cluster> = Vec::with_capacity(members.len());
    for (cluster, words) in tf_idf(&answers).into_iter().enumerate() {
        let answer = most_frequent(answers[cluster].iter().copied());
        let words = words.into_iter();
        let mut described = Cluster {
            cluster,
            name: String::new(),
            size: members[cluster].len(),
            answer: answer.map(|(text, count)| Frequent { text, count }),
            words: words
                .map(|(word, weight)| Weighted { word, weight })
                .collect(),
            decoded: known.decoded.map(|decoded| decoded[cluster].clone()),
            nearest: nearest(&members[cluster], &distances),
            labels: known
                .labels
                .map(|labels| count_labels(labels, &members[cluster])),
            entropy_bits: None,
        };
        described.name = name(&described, &clusters);
        clusters.push(described);
    }
    let agreement = known
        .labels
        .map(|labels| agree(labels, partition, &mut clusters));
    Ok(Description {
        clusters,
        outliers: partition.outliers(),
        agreement: agreement.transpose()?,
    })
}

impl Known<'_> {
    fn expect(&self, partition: &Partition) -> Result<()> {
        let (texts, clusters) = (partition.labels().len(), partition.members().len());
        for (what, found, expected) in [
            ("answers", self.answers.map(<[_]>::len), texts),
            ("labels", self.labels.map(<[_]>::len), texts),
            ("clusters' words", self.decoded.map(<[_]>::len), clusters),
        ] {
            if let Some(found) = found.filter(|found| *found != expected) {
                return Err(Error::Length {
                    what,
                    found,
                    expected,
                });
            }
        }
        Ok(())
    }
}

fn texts_of<'a>(answers: Option<&'a [String]>, members: &[usize]) -> Vec<&'a str> {
    let answers = answers.map(|answers| members.iter().map(|row| answers[*row].as_str()));
    answers.into_iter().flatten().collect()
}

fn count_labels(labels: &[String], members: &[usize]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in members {
        *counts.entry(labels[*row].clone()).or_default() += 1;
    }
    counts
}

fn nearest(members: &[usize], distances: &[Option<f32>]) -> Vec<Near> {
    let near = |row: &usize| {
        let distance = distances[*row]?;
        Some(Near {
            row: *row,
            distance,
        })
    };
    let mut near: Vec<Near> = members.iter().filter_map(near).collect();
    near.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    near.truncate(NEAREST);
    near
}

/// The rule of [`describe`].
fn name(cluster: &Cluster, larger: &[Cluster]) -> String {
    let words: Vec<&str> = cluster.words.iter().map(|w| w.word.as_str()).collect();
    let decoded = cluster.decoded.iter().flatten().map(String::as_str);
    let decoded: Vec<&str> = decoded.collect();
    let frequent = cluster.answer.as_ref();
    let first = |words: &[&str]| words[..words.len().min(NAME_WORDS)].join(", ");
    let name = match frequent.filter(|answer| answer.count > 1 && 3 * answer.count >= cluster.size)
    {
        Some(answer) => answer.text.clone(),
        None if !words.is_empty() => first(&words),
        None if !decoded.is_empty() => first(&decoded),
        None => return format!("cluster {}", cluster.cluster),
    };
    let taken = |name: &str| larger.iter().any(|other| other.name == name);
    if !taken(&name) {
        return name;
    }
    let own = words
        .iter()
        .chain(&decoded)
        .filter(|word| !name.contains(**word));
    let mut longer = own.map(|word| format!("{name} ({word})"));
    let free = longer.find(|longer| !taken(longer));
    free.unwrap_or_else(|| format!("{name} ({})", cluster.cluster))
}

/// Compares with known labels, and sorts the clusters by entropy.
fn agree(labels: &[String], partition: &Partition, clusters: &mut [Cluster]) -> Result<Agreement> {
    // Outliers come first in the columns, if there are any.
    let table = Contingency::new(labels, partition.labels())?;
    let bits = table.entropy_bits();
    let outliers = usize::from(partition.outliers() > 0);
    for cluster in &mut *clusters {
        cluster.entropy_bits = Some(bits[outliers + cluster.cluster]);
    }
    clusters.sort_by(|a, b| {
        let (left, right) = (a.entropy_bits, b.entropy_bits);
        let entropy = left.unwrap_or(0.0).total_cmp(&right.unwrap_or(0.0));
        entropy.then(a.cluster.cmp(&b.cluster))
    });
    let weighted = bits.iter().zip(table.columns());
    let weighted: f64 = weighted.map(|(bits, size)| bits * *size as f64).sum();
    let v = table.v_measure();
    Ok(Agreement {
        purity: table.purity(),
        v_measure: v.v,
        homogeneity: v.homogeneity,
        completeness: v.completeness,
        adjusted_rand: table.adjusted_rand(),
        normalized_mutual_information: table.normalized_mutual_information(),
        mean_entropy_bits: weighted / table.total().max(1) as f64,
    })
}

#[cfg(test)]
mod tests;
