//! An epoch's order, and batches of it. Both are functions of their arguments: training that was stopped
//! makes them again and goes on at batch n, with no state to replay.

use super::lengths::Length;
use super::passages::Passage;
use crate::random::Random;
use std::ops::Range;

/// A passage with some of its questions; all of them unless a batch cannot hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number of the passage.
    pub passage: usize,
    /// Numbers of its questions.
    pub questions: Range<usize>,
}

/// The passages of an epoch in random order, as often as their weights say: one of weight 2.25 twice,
/// and in one epoch of four, drawn by lot, once more.
pub fn epoch(passages: &[Passage], seed: u64, epoch: u64) -> Vec<Part> {
    let mut random = Random::new(seed, &format!("epoch {epoch}"));
    let mut order = Vec::with_capacity(passages.len());
    for (
        passage,
        Passage {
            weight, questions, ..
        },
    ) in passages.iter().enumerate()
    {
        let copies = weight.floor() + f64::from(u8::from(random.unit() < weight.fract()));
        let part = || Part {
            passage,
            questions: 0..questions.len(),
        };
        order.extend(std::iter::repeat_with(part).take(copies as usize));
    }
    random.shuffle(&mut order);
    order
}

/// Cuts an order into batches of at most `budget` tokens, a passage's text counted once for all its
/// questions. A passage that is over the budget by itself is cut between questions; a question that is
/// over it is a batch of its own. Cutting a batch again by a smaller budget gives its smaller batches.
pub fn cut(order: &[Part], lengths: &[Length], budget: usize) -> Vec<Vec<Part>> {
    let mut batches: Vec<Vec<Part>> = Vec::new();
    let mut used = usize::MAX;
    for part in order {
        for piece in pieces(part, &lengths[part.passage], budget) {
            let tokens = lengths[piece.passage].of(piece.questions.clone());
            used = used.saturating_add(tokens);
            match batches.last_mut() {
                Some(batch) if used <= budget => batch.push(piece),
                _ => {
                    batches.push(vec![piece]);
                    used = tokens;
                }
            }
        }
    }
    batches
}

/// A part, cut between questions as far as the budget makes it.
fn pieces(part: &Part, length: &Length, budget: usize) -> Vec<Part> {
    let mut pieces: Vec<Part> = Vec::new();
    for question in part.questions.clone() {
        match pieces.last_mut() {
            Some(last) if length.of(last.questions.start..question + 1) <= budget => {
                last.questions.end = question + 1;
            }
            _ => pieces.push(Part {
                passage: part.passage,
                questions: question..question + 1,
            }),
        }
    }
    pieces
}
