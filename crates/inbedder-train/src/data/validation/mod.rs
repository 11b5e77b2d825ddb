//! Triplets out of held-out passages, to choose layer, readout and settings by without ever touching
//! evaluation data.
//!
//! One text has the answer of another if two of their answers agree in half of their words (stop-words,
//! case and signs do not count), and another answer if no word is in common; what lies between is
//! neither. Questions that differ in a person's name are one (`names`).
//!
//! Few sets of data ask many texts the same two questions. So there are made ones too: two texts about two
//! people, joined, and a question about either (`joined`).

mod draw;
mod joined;
mod names;
mod write;

use super::passages::Passage;
use super::text::normal;
use crate::random::Random;
use draw::Asked;
use std::collections::BTreeMap;

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
    /// The two questions.
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
    /// Of one question, or of one pair of questions, at most.
    pub each: usize,
    /// Pairs of questions, those with the most texts in common.
    pub pairs: usize,
    /// Pairs of questions for joined texts, those with the most triplets.
    pub joined: usize,
}

impl Default for ValidationSize {
    fn default() -> Self {
        Self {
            answers: 1000,
            each: 200,
            pairs: 4,
            joined: 4,
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
    /// Under two, pair by pair; at least 20 of each pair.
    pub questions: Vec<QuestionTriplet>,
    /// Of joined texts under two, pair by pair; at least 20 of each pair.
    pub joined: Vec<QuestionTriplet>,
}

/// Texts, and questions with what they were asked about.
struct Known {
    texts: Vec<String>,
    asked: BTreeMap<String, Asked>,
}

/// Triplets of a question, as numbers of texts: anchor, like, unlike.
struct Drawn<'a> {
    question: &'a str,
    triplets: Vec<[usize; 3]>,
}

impl Validation {
    /// Draws triplets; as many as the passages allow, none where they allow none.
    pub fn new(held_out: &[Passage], size: ValidationSize, seed: u64) -> Self {
        let known = Known::new(held_out);
        let drawn = known.of_one_question(size.each, seed);
        Self {
            questions: known.of_two_questions(size, seed),
            joined: joined::triplets(&known.texts, &drawn, size, seed),
            answers: known.answers(drawn, size.answers),
        }
    }

    /// Whether there is no triplet.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.questions.is_empty() && self.joined.is_empty()
    }
}

impl Known {
    fn new(passages: &[Passage]) -> Self {
        let mut texts = Vec::new();
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        for passage in passages {
            for question in &passage.questions {
                let (text, instruction) = names::unnamed(&passage.text, &question.instruction);
                let number = *numbers.entry(normal(&text)).or_insert(texts.len());
                if number == texts.len() {
                    texts.push(text);
                }
                let asked = asked.entry(instruction).or_default();
                for answer in &question.answers {
                    asked.add(number, answer);
                }
            }
        }
        Self { texts, asked }
    }

    fn of_one_question(&self, most: usize, seed: u64) -> Vec<Drawn<'_>> {
        let drawn = self.asked.iter().map(|(question, texts)| {
            let mut random = Random::new(seed, &format!("answers {question}"));
            let triplets = texts.of_one_question(most, &mut random);
            Drawn { question, triplets }
        });
        drawn.filter(|drawn| !drawn.triplets.is_empty()).collect()
    }

    /// Shares `room` among the questions: what small ones do not need is left to larger ones.
    fn answers(&self, mut drawn: Vec<Drawn<'_>>, mut room: usize) -> Vec<AnswerTriplet> {
        drawn.sort_by_key(|drawn| (drawn.triplets.len(), drawn.question));
        let mut left = drawn.len();
        for Drawn { triplets, .. } in &mut drawn {
            triplets.truncate(room.div_ceil(left));
            room -= triplets.len();
            left -= 1;
        }
        drawn.sort_by_key(|drawn| drawn.question);
        let text = |number: usize| self.texts[number].clone();
        let triplets = drawn.iter().flat_map(|drawn| {
            drawn
                .triplets
                .iter()
                .map(|[anchor, positive, negative]| AnswerTriplet {
                    instruction: drawn.question.to_string(),
                    anchor: text(*anchor),
                    positive: text(*positive),
                    negative: text(*negative),
                })
        });
        triplets.collect()
    }

    fn of_two_questions(&self, size: ValidationSize, seed: u64) -> Vec<QuestionTriplet> {
        let mut pairs = draw::pairs(&self.asked);
        pairs.sort_by_key(|(pair, texts)| (usize::MAX - texts.len(), *pair));
        let mut found: Vec<([&str; 2], Vec<[usize; 3]>)> = Vec::new();
        for (pair, texts) in pairs {
            if found.len() == size.pairs || texts.len() < LEAST {
                break;
            }
            let mut random = Random::new(seed, &format!("questions {} | {}", pair[0], pair[1]));
            let sides = pair.map(|question| &self.asked[question]);
            let drawn = draw::of_two_questions(sides, &texts, size.each, &mut random);
            if drawn.len() >= LEAST {
                found.push((pair, drawn));
            }
        }
        let text = |number: usize| self.texts[number].clone();
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
}

#[cfg(test)]
mod tests;
