//! One plain sentence about a question, with its reason.

use super::{Answers, Measures};
use serde::Serialize;

/// From this score on a question is called good.
const GOOD: f64 = 0.6;
/// Below this score it is called poor.
const POOR: f64 = 0.4;

/// What a check amounts to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// From 0 to 1; [`Measures::score`].
    pub score: f64,
    /// What the score is called.
    pub level: Level,
    /// A sentence with the reason.
    pub sentence: String,
}

/// What a score is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// 0.6 or more.
    Good,
    /// In between.
    Doubtful,
    /// Less than 0.4, or answers that say nothing.
    Poor,
}

impl Verdict {
    pub(crate) fn new(measures: &Measures, answers: Option<&Answers>) -> Self {
        let score = measures.score;
        let silent = answers.map_or(0.0, |answers| answers.empty + answers.unknown);
        let (level, sentence) = if silent > 0.5 {
            let share = percent(silent);
            (
                Level::Poor,
                format!("Poor: {share} of the answers are empty or say that it is not known."),
            )
        } else if score >= GOOD {
            let reason = if measures.empty_agreement > 0.8 {
                ", but the empty question gives nearly the same clusters: it may not be needed"
            } else {
                ": its clusters hold when it is reworded and when other texts are looked at"
            };
            (Level::Good, format!("Good{reason}."))
        } else {
            let (level, word) = if score < POOR {
                (Level::Poor, "Poor")
            } else {
                (Level::Doubtful, "Doubtful")
            };
            (level, format!("{word}: {}.", weakest(measures)))
        };
        Self {
            score,
            level,
            sentence,
        }
    }
}

/// The reason: the least of the score's three parts.
fn weakest(measures: &Measures) -> String {
    let parts = [
        (
            measures.text_share,
            format!(
                "only {} of what moves the vectors is the text, {} is the wording",
                percent(measures.text_share),
                percent(measures.wording_share)
            ),
        ),
        (
            measures.paraphrase_agreement,
            format!(
                "the same question in other words gives other clusters (agreement {:.2})",
                measures.paraphrase_agreement
            ),
        ),
        (
            measures.halves_agreement,
            format!(
                "two halves of the texts give different clusters (agreement {:.2}): there may be no groups \
                 of this kind",
                measures.halves_agreement
            ),
        ),
    ];
    let least = parts.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    least.map_or(String::new(), |(_, reason)| reason)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
