//! Is a question any good for a corpus? Measured without labels.
//!
//! What a good question should do: vectors that depend on the text and not on how the question is worded
//! (share of variance), clusters that stay when the question is reworded (agreement with paraphrases) and
//! when other texts of the corpus are looked at (agreement of halves). The score is the plain mean of
//! these three, all from 0 to 1:
//!
//! ```text
//! score = (text share + paraphrase agreement + halves agreement) / 3
//! ```
//!
//! Agreement with the empty question is reported and not part of the score: a question may rightly ask for
//! what a corpus is about anyway. Answers are left out too, since they need decoding; a verdict names them
//! when they are empty or all alike. What the score is worth, `eval --check` measures on labelled data.

mod answers;
mod verdict;

pub use answers::Answers;
pub use verdict::{Level, Verdict};

use crate::matrix::Matrix;
use crate::metrics::mean;
use crate::random::Random;
use crate::settings::CheckSettings;
use crate::{Error, Result};
use inbedder::{Embedder, Progress, Request};
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

/// The whole check of a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The question.
    pub question: String,
    /// Its rewordings.
    pub paraphrases: Vec<String>,
    /// What was measured on vectors.
    pub measures: Measures,
    /// What was measured on answers.
    pub answers: Option<Answers>,
    /// What it amounts to.
    pub verdict: Verdict,
}

impl Report {
    /// What was found, in lines.
    pub fn lines(&self) -> String {
        let measures = &self.measures;
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let mut lines = vec![
            (
                "variance by text / by wording / both",
                format!(
                    "{} / {} / {}",
                    percent(measures.text_share),
                    percent(measures.wording_share),
                    percent(measures.mixed_share)
                ),
            ),
            ("clusters agree with those", String::new()),
            (
                "  of paraphrases (ARI)",
                format!("{:.2}", measures.paraphrase_agreement),
            ),
            (
                "  of halves of the texts (ARI)",
                format!("{:.2}", measures.halves_agreement),
            ),
            (
                "  of the empty question (ARI)",
                format!("{:.2}", measures.empty_agreement),
            ),
        ];
        if let Some(answers) = &self.answers {
            let most = answers.most_frequent.iter();
            let most: Vec<String> = most
                .map(|(answer, share)| format!("{answer:?} {}", percent(*share)))
                .collect();
            lines.extend([
                (
                    "answers' diversity (0 to 1)",
                    format!("{:.2}", answers.diversity),
                ),
                ("answers that are empty / evasive", {
                    format!("{} / {}", percent(answers.empty), percent(answers.unknown))
                }),
                ("most frequent answers", most.join(", ")),
            ]);
        }
        lines.push(("score (0 to 1)", format!("{:.2}", self.verdict.score)));
        let lines = lines
            .iter()
            .map(|(name, value)| format!("  {name:<38} {value}"));
        let lines: Vec<String> = lines.map(|line| line.trim_end().to_string()).collect();
        format!(
            "{} ({} texts, {} clusters, {} paraphrases)\n{}\n{}\n",
            self.question,
            measures.texts,
            measures.clusters,
            self.paraphrases.len(),
            lines.join("\n"),
            self.verdict.sentence
        )
    }
}

/// What is checked.
pub struct Question<'a> {
    /// The question.
    pub question: &'a str,
    /// Its rewordings, at least one.
    pub paraphrases: &'a [String],
    /// Readout, template and so on; longest answer in tokens, if answers are wanted.
    pub request: &'a Request,
}

/// Checks a question on a corpus, of which a seeded sample is read: one pass for the vectors of all
/// wordings, one for the answers.
///
/// # Errors
/// Fewer than 20 texts, no paraphrase or one twice, what the embedder refuses.
pub fn check(
    embedder: &Embedder,
    texts: &[String],
    asked: &Question<'_>,
    settings: &CheckSettings,
    progress: &dyn Progress,
) -> Result<Report> {
    let wordings: Vec<&str> = std::iter::once(asked.question)
        .chain(asked.paraphrases.iter().map(String::as_str))
        .chain([""])
        .collect();
    for (i, wording) in wordings.iter().enumerate() {
        if wordings[..i].contains(wording) {
            return Err(Error::Setting {
                what: "the paraphrases",
                problem: format!("{wording:?} is there twice, or empty"),
            });
        }
    }
    let chosen =
        Random::new(settings.seed, "check").choose(texts.len(), Some(settings.texts), |_| true);
    let texts: Vec<&str> = chosen.iter().map(|i| texts[*i].as_str()).collect();
    let count = wordings.len();
    let request = Request {
        questions: wordings.iter().map(|w| w.to_string()).collect(),
        answer_tokens: None,
        ..asked.request.clone()
    };
    let mut parts = vec![Vec::new(); count];
    let mut dim = 0;
    for window in texts.chunks((1024 / count).max(1)) {
        let output = embedder.run(window, &request, progress)?;
        dim = output.dim;
        for (i, vector) in output.embeddings.chunks_exact(dim).enumerate() {
            parts[i % count].extend_from_slice(vector);
        }
    }
    let mut matrices = parts.into_iter().map(|data| Matrix { data, dim });
    let (Some(own), Some(empty)) = (matrices.next(), matrices.next_back()) else {
        unreachable!("the question and the empty one are always there");
    };
    let measures = measure(
        &Wordings {
            own,
            paraphrases: matrices.collect(),
            empty,
        },
        settings,
    )?;
    let answers = match asked.request.answer_tokens {
        Some(_) => Some(ask(embedder, &texts, asked, progress)?),
        None => None,
    };
    Ok(Report {
        question: asked.question.to_string(),
        paraphrases: asked.paraphrases.to_vec(),
        verdict: Verdict::new(&measures, answers.as_ref()),
        measures,
        answers,
    })
}

fn ask(
    embedder: &Embedder,
    texts: &[&str],
    asked: &Question<'_>,
    progress: &dyn Progress,
) -> Result<Answers> {
    let request = Request {
        questions: vec![asked.question.to_string()],
        readout: None,
        ..asked.request.clone()
    };
    let mut answers = Vec::new();
    for window in texts.chunks(1024) {
        answers.extend(embedder.run(window, &request, progress)?.answers);
    }
    Ok(Answers::new(&answers))
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

#[cfg(test)]
mod tests;
