//! What a question's vectors say of it: shares of variance, and how far clusters stay the same.

use crate::matrix::Matrix;
use crate::metrics::mean;
use crate::random::Random;
use crate::settings::CheckSettings;
use crate::{Error, Result};
use inbedder_cluster::{Contingency, KMeans};
use serde::Serialize;

/// Times that a corpus is halved.
const HALVINGS: u64 = 3;

/// Vectors of the same texts under wordings of one question, and under none.
pub(crate) struct Wordings {
    /// Under the question itself.
    pub(crate) own: Matrix,
    /// Under its paraphrases, at least one.
    pub(crate) paraphrases: Vec<Matrix>,
    /// Under the empty question.
    pub(crate) empty: Matrix,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measures {
    /// Texts that were looked at.
    pub texts: usize,
    /// Clusters that they were put into.
    pub clusters: usize,
    /// Share of the vectors' variance that the text explains.
    pub text_share: f64,
    /// Share that the wording explains, the same shift for all texts.
    pub wording_share: f64,
    /// The rest: wordings that move texts differently.
    pub mixed_share: f64,
    /// Mean adjusted Rand index of the question's clusters with those of each paraphrase.
    pub paraphrase_agreement: f64,
    /// Mean adjusted Rand index of all texts by the centres of one half and by those of the other.
    pub halves_agreement: f64,
    /// Adjusted Rand index of the question's clusters with those of the empty question.
    pub empty_agreement: f64,
    /// Mean of text share and the first two agreements, each at least 0.
    pub score: f64,
}

/// Measures a question on the vectors of its wordings, all of the same texts.
///
/// # Errors
/// Fewer than 20 texts, no paraphrase, a NaN, more clusters than half of the texts.
pub(crate) fn measure(wordings: &Wordings, settings: &CheckSettings) -> Result<Measures> {
    let texts = wordings.own.rows();
    let wrong = |what, problem: &str| Error::Setting {
        what,
        problem: problem.to_string(),
    };
    if texts < 20 {
        return Err(wrong(
            "the number of texts",
            "a check needs at least 20 of them",
        ));
    }
    if wordings.paraphrases.is_empty() {
        return Err(wrong(
            "the number of paraphrases",
            "a check needs at least one",
        ));
    }
    let k = settings.clusters.unwrap_or((texts / 10).clamp(2, 12));
    if k < 2 || k > texts / 2 {
        return Err(wrong(
            "the number of clusters",
            "must be within 2 and half the texts",
        ));
    }
    let shares = shares(wordings);
    let own = Clusters::new(&wordings.own, k, settings.seed)?;
    let mut agreements = Vec::new();
    for paraphrase in &wordings.paraphrases {
        agreements.push(own.agreement(&Clusters::new(paraphrase, k, settings.seed)?)?);
    }
    let mut halves = Vec::new();
    for seed in settings.seed..settings.seed + HALVINGS {
        halves.push(halves_agree(&own.vectors, k, seed)?);
    }
    let empty = own.agreement(&Clusters::new(&wordings.empty, k, settings.seed)?)?;
    let (paraphrase_agreement, halves_agreement) = (mean(&agreements), mean(&halves));
    let parts = [shares[0], paraphrase_agreement, halves_agreement];
    Ok(Measures {
        texts,
        clusters: k,
        text_share: shares[0],
        wording_share: shares[1],
        mixed_share: shares[2],
        paraphrase_agreement,
        halves_agreement,
        empty_agreement: empty,
        score: mean(&parts.map(|part| part.max(0.0))),
    })
}

/// Shares of variance of text, of wording, and of both together: the two-way analysis of variance without
/// repetition, sums of squares over all dimensions. Vectors that do not vary have a text share of 0.
fn shares(wordings: &Wordings) -> [f64; 3] {
    let all: Vec<&Matrix> = std::iter::once(&wordings.own)
        .chain(&wordings.paraphrases)
        .collect();
    let (texts, count, dim) = (wordings.own.rows(), all.len() as f64, wordings.own.dim);
    let (mut total, mut of_text, mut of_wording) = (0.0, 0.0, 0.0);
    for d in 0..dim {
        let value = |w: usize, t: usize| f64::from(all[w].data[t * dim + d]);
        let wording_means: Vec<f64> = (0..all.len())
            .map(|w| (0..texts).map(|t| value(w, t)).sum::<f64>() / texts as f64)
            .collect();
        let grand = mean(&wording_means);
        for t in 0..texts {
            let text_mean = (0..all.len()).map(|w| value(w, t)).sum::<f64>() / count;
            of_text += count * (text_mean - grand).powi(2);
            total += (0..all.len())
                .map(|w| (value(w, t) - grand).powi(2))
                .sum::<f64>();
        }
        let squares = wording_means.iter().map(|mean| (mean - grand).powi(2));
        of_wording += texts as f64 * squares.sum::<f64>();
    }
    if total <= 0.0 {
        return [0.0, 0.0, 0.0];
    }
    [of_text, of_wording, (total - of_text - of_wording).max(0.0)].map(|part| part / total)
}

/// Centred vectors and their clusters.
struct Clusters {
    vectors: Matrix,
    labels: Vec<usize>,
}

impl Clusters {
    fn new(matrix: &Matrix, k: usize, seed: u64) -> Result<Self> {
        let mut vectors = matrix.clone();
        vectors.view()?;
        vectors.center(&[(0..matrix.rows()).collect()])?;
        let labels = KMeans::full(k, seed).fit(&vectors.view()?)?.labels;
        Ok(Self { vectors, labels })
    }

    fn agreement(&self, other: &Self) -> Result<f64> {
        Ok(Contingency::new(&self.labels, &other.labels)?.adjusted_rand())
    }
}

/// Halves the texts, clusters each half, puts all texts to the nearest centre of one half and of the
/// other: do both see the same clusters?
fn halves_agree(vectors: &Matrix, k: usize, seed: u64) -> Result<f64> {
    let order = Random::new(seed, "halves").order(vectors.rows());
    let (first, second) = order.split_at(order.len() / 2);
    let mut labels = Vec::new();
    for half in [first, second] {
        let half = vectors.gather(half);
        let centers = Matrix {
            data: KMeans::full(k, seed).fit(&half.view()?)?.centers,
            dim: vectors.dim,
        };
        let nearest = |row: usize| {
            let distance = |center: usize| {
                let pairs = vectors.row(row).iter().zip(centers.row(center));
                pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
            };
            (0..k).min_by(|a, b| distance(*a).total_cmp(&distance(*b)))
        };
        labels.push((0..vectors.rows()).map(nearest).collect::<Vec<_>>());
    }
    Ok(Contingency::new(&labels[0], &labels[1])?.adjusted_rand())
}
