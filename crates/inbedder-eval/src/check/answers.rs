//! What the answers to a question say of it.

use serde::Serialize;
use std::collections::BTreeMap;

/// Answers that say nothing begin so, normalised.
const UNKNOWN: [&str; 18] = [
    "i don t know",
    "i do not know",
    "i m not sure",
    "i am not sure",
    "i m sorry",
    "i am sorry",
    "i can t",
    "i cannot",
    "i m unable",
    "i am unable",
    "unknown",
    "not known",
    "none",
    "n a",
    "not specified",
    "not mentioned",
    "not stated",
    "it is not clear",
];

/// Counts over the answers of a corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answers {
    /// Distinct answers (lower case, letters and digits alone) over answers that say something.
    pub distinct: f64,
    /// Entropy of the distinct answers over that of as many different ones as there are texts: 0 if all
    /// are alike, 1 if no two are.
    pub diversity: f64,
    /// Share of empty answers.
    pub empty: f64,
    /// Share of answers like "I don't know".
    pub unknown: f64,
    /// The most frequent answers with their shares, up to five.
    pub most_frequent: Vec<(String, f64)>,
}

impl Answers {
    /// Of the answers of all texts.
    pub fn new(answers: &[String]) -> Self {
        let count = answers.len().max(1) as f64;
        let (mut empty, mut unknown) = (0, 0);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for answer in answers {
            let normal = normalise(answer);
            if normal.is_empty() {
                empty += 1;
                continue;
            }
            let begins = |start: &str| {
                let rest = normal.strip_prefix(start);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            };
            unknown += usize::from(UNKNOWN.iter().any(|start| begins(start)));
            *counts.entry(normal).or_default() += 1;
        }
        let said = counts.values().sum::<usize>().max(1) as f64;
        let share = |count: &usize| *count as f64 / said;
        let entropy: f64 = counts.values().map(share).map(|p| -p * p.ln()).sum();
        let distinct = counts.len() as f64 / said;
        let mut most: Vec<(String, f64)> = counts
            .into_iter()
            .map(|(answer, n)| (answer, n as f64 / count))
            .collect();
        // Stable: equal ones stay in the order of the alphabet.
        most.sort_by(|a, b| b.1.total_cmp(&a.1));
        most.truncate(5);
        Self {
            distinct,
            diversity: if said > 1.0 {
                entropy.abs() / said.ln()
            } else {
                0.0
            },
            empty: f64::from(empty) / count,
            unknown: unknown as f64 / count,
            most_frequent: most,
        }
    }
}

/// Lower case, everything but letters and digits a single space.
fn normalise(answer: &str) -> String {
    let lower = answer.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_evasive_answers_are_counted_and_spelling_is_not() {
        let answers = [
            "Anger.",
            "anger",
            "",
            " - ",
            "I don't know.",
            "None",
            "Nonetheless",
        ];
        let found = Answers::new(&answers.map(str::to_string));
        assert_eq!(found.empty, 2.0 / 7.0);
        assert_eq!(found.unknown, 2.0 / 7.0);
        assert_eq!(found.distinct, 4.0 / 5.0);
        assert_eq!(found.most_frequent[0], ("anger".to_string(), 2.0 / 7.0));
        assert!(found.diversity > 0.8 && found.diversity < 1.0);
    }

    #[test]
    fn diversity_is_0_of_equal_answers_and_1_of_different_ones() {
        let diversity = |answers: [&str; 3]| Answers::new(&answers.map(str::to_string)).diversity;
        assert_eq!(diversity(["a", "a", "A!"]), 0.0);
        assert!((diversity(["a", "b", "c"]) - 1.0).abs() < 1e-12);
        assert_eq!(diversity(["", "", ""]), 0.0);
        assert_eq!(Answers::new(&[]).empty, 0.0);
    }
}
