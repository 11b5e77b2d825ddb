//! Triplets out of held-out passages, to choose layer, readout and settings by without ever touching
//! evaluation data.
//!
//! Answers are compared as they are learnt, without case and signs. One text has the answer of another
//! if they have one in common, and another answer only if they have none in common.

mod draw;
mod write;

use super::passages::Passage;
use super::text::{normal, normal_answer};
use crate::random::Random;
use draw::Asked;
use std::collections::{BTreeMap, BTreeSet};

/// Under one question the anchor has the positive text's answer, and not the negative one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerTriplet {
    /// The question.
    pub instruction: String,
    /// The text that is compared.
    pub anchor: String,
    /// A text with its answer.
    pub positive: String,
    /// A text with another.
    pub negative: String,
}

/// One text under two questions: `p` has its answer to the first and another to the second, `n` the
/// other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionTriplet {
    /// The two questions, in alphabetical order.
    pub instructions: [String; 2],
    /// The text that is compared.
    pub anchor: String,
    /// Its like under the first question.
    pub p: String,
    /// Its like under the second.
    pub n: String,
}

/// How many triplets are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidationSize {
    /// Of one question, over all questions; those that few texts were asked are served first.
    pub answers: usize,
    /// Of one question at most, so that no question rules the rest.
    pub per_question: usize,
    /// Of one text under two questions, for each pair of questions.
    pub per_pair: usize,
    /// Pairs of questions, those with the most texts in common.
    pub pairs: usize,
}

impl Default for ValidationSize {
    fn default() -> Self {
        Self {
            answers: 1000,
            per_question: 200,
            per_pair: 400,
            pairs: 4,
        }
    }
}

/// Fewer triplets of a question, or of a pair of questions, are no task of their own: one triplet more
/// or less would move their score by more than 5 points.
const LEAST: usize = 20;

/// Triplets of held-out passages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    /// Under one question, sorted by it.
    pub answers: Vec<AnswerTriplet>,
    /// Under two, sorted by pair; at least 20 of each pair.
    pub questions: Vec<QuestionTriplet>,
}

impl Validation {
    /// Draws triplets; as many as the passages allow, none where they allow none.
    pub fn new(held_out: &[Passage], size: ValidationSize, seed: u64) -> Self {
        let asked = asked(held_out);
        Self {
            answers: answers(held_out, &asked, size, seed),
            questions: questions(held_out, &asked, size, seed),
        }
    }
}

/// Question → its texts with their answers. A text of two files counts once.
fn asked(passages: &[Passage]) -> BTreeMap<&str, Asked> {
    let mut asked: BTreeMap<&str, Asked> = BTreeMap::new();
    let mut texts: BTreeMap<String, usize> = BTreeMap::new();
    for (number, passage) in passages.iter().enumerate() {
        let text = *texts.entry(normal(&passage.text)).or_insert(number);
        for question in &passage.questions {
            let answers: BTreeSet<String> = question
                .answers
                .iter()
                .map(|answer| normal_answer(answer))
                .collect();
            asked
                .entry(&question.instruction)
                .or_default()
                .add(text, answers);
        }
    }
    asked
}

fn answers(
    passages: &[Passage],
    asked: &BTreeMap<&str, Asked>,
    size: ValidationSize,
    seed: u64,
) -> Vec<AnswerTriplet> {
    let mut of_question: Vec<(&str, Vec<[usize; 3]>)> = Vec::new();
    for (question, texts) in asked {
        let mut random = Random::new(seed, &format!("answers {question}"));
        let drawn = texts.of_one_question(size.per_question, &mut random);
        if !drawn.is_empty() {
            of_question.push((question, drawn));
        }
    }
    // Small questions leave their share to larger ones.
    of_question.sort_by_key(|(question, drawn)| (drawn.len(), *question));
    let mut room = size.answers;
    let mut found: Vec<AnswerTriplet> = Vec::new();
    let count = of_question.len();
    for (place, (question, drawn)) in of_question.into_iter().enumerate() {
        let share = room.div_ceil(count - place).min(drawn.len());
        room -= share;
        let text = |number: usize| passages[number].text.clone();
        found.extend(
            drawn[..share]
                .iter()
                .map(|[anchor, positive, negative]| AnswerTriplet {
                    instruction: question.to_string(),
                    anchor: text(*anchor),
                    positive: text(*positive),
                    negative: text(*negative),
                }),
        );
    }
    // By question; within one as they were drawn.
    found.sort_by(|a, b| a.instruction.cmp(&b.instruction));
    found
}

fn questions(
    passages: &[Passage],
    asked: &BTreeMap<&str, Asked>,
    size: ValidationSize,
    seed: u64,
) -> Vec<QuestionTriplet> {
    let mut pairs = draw::pairs(asked);
    // Most texts in common first.
    pairs.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(a.0.cmp(&b.0)));
    let mut found: Vec<([&str; 2], Vec<[usize; 3]>)> = Vec::new();
    for (pair, texts) in pairs {
        if found.len() == size.pairs || texts.len() < LEAST {
            break;
        }
        let mut random = Random::new(seed, &format!("questions {} | {}", pair[0], pair[1]));
        let sides = pair.map(|question| &asked[question]);
        let drawn = draw::of_two_questions(sides, &texts, size.per_pair, &mut random);
        if drawn.len() >= LEAST {
            found.push((pair, drawn));
        }
    }
    found.sort();
    let text = |number: usize| passages[number].text.clone();
    let triplets = found.into_iter().flat_map(|(pair, drawn)| {
        drawn
            .into_iter()
            .map(move |[anchor, p, n]| QuestionTriplet {
                instructions: pair.map(str::to_string),
                anchor: text(anchor),
                p: text(p),
                n: text(n),
            })
    });
    triplets.collect()
}

#[cfg(test)]
mod tests;
