//! Two texts in one, each about a person of its own, and a question about either: which half counts is the
//! question's to say, and nothing else tells the halves apart, for their order is drawn by lot.

use super::names::{FIRST, SECOND, has, second};
use super::{Drawn, LEAST, QuestionTriplet, ValidationSize};
use crate::random::Random;

/// Joined triplets for the pairs of questions about a person that have the most.
pub(super) fn triplets(
    texts: &[String],
    drawn: &[Drawn<'_>],
    size: ValidationSize,
    seed: u64,
) -> Vec<QuestionTriplet> {
    let about_first = |drawn: &&Drawn<'_>| {
        has(drawn.question, FIRST) && !has(drawn.question, SECOND) && drawn.triplets.len() >= LEAST
    };
    let about: Vec<&Drawn<'_>> = drawn.iter().filter(about_first).collect();
    let mut pairs: Vec<[&Drawn<'_>; 2]> = Vec::new();
    for (place, one) in about.iter().enumerate() {
        pairs.extend(about[place + 1..].iter().map(|other| [*one, *other]));
    }
    let of_pair = |[one, other]: &[&Drawn<'_>; 2]| one.triplets.len().min(other.triplets.len());
    pairs.sort_by_key(|pair| (usize::MAX - of_pair(pair), pair.map(|side| side.question)));
    let joined = pairs.iter().map(|pair| of_one_pair(texts, *pair, seed));
    let enough = joined.filter(|joined| joined.len() >= LEAST);
    enough.take(size.joined).flatten().collect()
}

fn of_one_pair(texts: &[String], [one, other]: [&Drawn<'_>; 2], seed: u64) -> Vec<QuestionTriplet> {
    let Some(question) = second(other.question) else {
        return Vec::new();
    };
    let mut random = Random::new(seed, &format!("joined {} | {question}", one.question));
    let mut join = |of_first: usize, of_second: usize| {
        let first = texts[of_first].trim();
        let second = second(texts[of_second].trim()).filter(|_| !has(first, SECOND))?;
        Some(match random.below(2) {
            0 => format!("{first}\n{second}"),
            _ => format!("{second}\n{first}"),
        })
    };
    let pairs = one.triplets.iter().zip(&other.triplets);
    let joined = pairs.filter_map(|([anchor, like, unlike], [anchor2, like2, unlike2])| {
        Some(QuestionTriplet {
            instructions: [one.question.to_string(), question.clone()],
            anchor: join(*anchor, *anchor2)?,
            p: join(*like, *unlike2)?,
            n: join(*unlike, *like2)?,
        })
    });
    joined.collect()
}
