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
mod measure;
mod verdict;

pub use answers::Answers;
pub use measure::Measures;
pub(crate) use measure::{Wordings, measure};
pub use verdict::{Level, Verdict};

use crate::matrix::Matrix;
use crate::random::Random;
use crate::settings::CheckSettings;
use crate::{Error, Result};
use inbedder::{Embedder, Progress, Request};
use serde::Serialize;

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
    let random = Random::new(settings.seed, "check");
    let chosen = random.choose(texts.len(), Some(settings.texts), |_| true);
    let texts: Vec<&str> = chosen.iter().map(|i| texts[*i].as_str()).collect();
    let measures = measure(&embed(embedder, &texts, asked, progress)?, settings)?;
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

/// Vectors under the question, its paraphrases and the empty question, in one reading of each text.
fn embed(
    embedder: &Embedder,
    texts: &[&str],
    asked: &Question<'_>,
    progress: &dyn Progress,
) -> Result<Wordings> {
    let paraphrases = asked.paraphrases.iter().map(String::as_str);
    let all: Vec<&str> = [asked.question]
        .into_iter()
        .chain(paraphrases)
        .chain([""])
        .collect();
    let twice = all
        .iter()
        .enumerate()
        .find(|(i, wording)| all[..*i].contains(wording));
    if let Some((_, wording)) = twice {
        return Err(Error::Setting {
            what: "the paraphrases",
            problem: format!("{wording:?} is there twice, or empty"),
        });
    }
    let request = Request {
        questions: all.iter().map(|wording| wording.to_string()).collect(),
        answer_tokens: None,
        ..asked.request.clone()
    };
    let mut parts = vec![Vec::new(); all.len()];
    let mut dim = embedder.info().hidden_size;
    for window in texts.chunks((1024 / all.len()).max(1)) {
        let output = embedder.run(window, &request, progress)?;
        dim = output.dim;
        for (i, vector) in output.embeddings.chunks_exact(dim).enumerate() {
            parts[i % all.len()].extend_from_slice(vector);
        }
    }
    let mut matrices = parts.into_iter().map(|data| Matrix { data, dim });
    let (Some(own), Some(empty)) = (matrices.next(), matrices.next_back()) else {
        unreachable!("the question and the empty one are always there");
    };
    Ok(Wordings {
        own,
        paraphrases: matrices.collect(),
        empty,
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

#[cfg(test)]
mod tests;
