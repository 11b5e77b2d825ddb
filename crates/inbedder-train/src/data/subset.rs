//! A part of the data for a shorter run.

use super::passages::Passage;
use crate::random::Random;

/// Whole passages, drawn at random, until there is `enough` of what `count` counts; in the order of the draw.
pub fn subset(
    mut passages: Vec<Passage>,
    enough: usize,
    seed: u64,
    count: impl Fn(&Passage) -> usize,
) -> Vec<Passage> {
    Random::new(seed, "subset").shuffle(&mut passages);
    let mut counted = 0;
    let enough = passages.iter().position(|passage| {
        let begun = counted >= enough;
        counted += count(passage);
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
        let counts: [fn(&Passage) -> usize; 2] = [Passage::rows, |p| p.questions.len()];
        for count in counts {
            let part = |enough, seed| subset(all.clone(), enough, seed, count);
            let counted = |part: &[Passage]| part.iter().map(count).sum::<usize>();
            let some = part(31, 1);
            assert!(counted(&some) >= 31 && counted(&some[..some.len() - 1]) < 31);
            assert_eq!(some, part(31, 1));
            assert_ne!(some, part(31, 2));
            assert_eq!(part(1000, 1).len(), 40);
            assert!(part(0, 1).is_empty());
        }
        assert_eq!(all[1].rows(), 4, "two questions with two answers each");
    }
}
