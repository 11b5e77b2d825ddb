//! A part of the data for a shorter run.

use super::passages::Passage;
use crate::random::Random;

/// Whole passages, drawn at random, until they have `rows` answers; in the order of the draw.
pub fn subset(mut passages: Vec<Passage>, rows: usize, seed: u64) -> Vec<Passage> {
    Random::new(seed, "subset").shuffle(&mut passages);
    let mut answers = 0;
    let enough = passages.iter().position(|passage| {
        let begun = answers >= rows;
        answers += passage
            .questions
            .iter()
            .map(|q| q.answers.len())
            .sum::<usize>();
        begun
    });
    passages.truncate(enough.unwrap_or(passages.len()));
    passages
}

#[cfg(test)]
mod tests {
    use super::super::Question;
    use super::*;

    #[test]
    fn a_part_has_enough_rows_and_not_a_passage_more() {
        let passage = |i: usize| Passage {
            text: i.to_string(),
            source: None,
            weight: 1.0,
            questions: vec![
                Question {
                    instruction: "?".to_string(),
                    answers: vec![" a".to_string(), " b".to_string()],
                };
                1 + i % 2
            ],
        };
        let all: Vec<Passage> = (0..40).map(passage).collect();
        let rows = |part: &[Passage]| part.iter().map(|p| 2 * p.questions.len()).sum::<usize>();
        let part = subset(all.clone(), 31, 1);
        assert!(rows(&part) >= 31 && rows(&part[..part.len() - 1]) < 31);
        assert_eq!(part, subset(all.clone(), 31, 1));
        assert_ne!(part, subset(all.clone(), 31, 2));
        assert_eq!(subset(all.clone(), 1000, 1).len(), 40);
        assert!(subset(all, 0, 1).is_empty());
    }
}
