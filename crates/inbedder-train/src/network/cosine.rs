//! The objective `answer-cosine`: cosines of the states where answers begin are to be those of the
//! answers, for by cosine embeddings are read, and cross-entropy asks nothing of it. The likeness of two
//! answers is that of the head's rows for their words: similarity-preserving distillation (Tung and Mori,
//! ICCV 2019, arXiv 1907.09682) with the head as the teacher.
//!
//! States are taken as they are, not less their batch's mean: what they have in common is to go, so that
//! cosines say something without a corpus to centre by; and a few centred states cannot all be at right
//! angles, which is what most pairs are to be.

use super::head::Targets;
use super::{Network, Norm};
use crate::Result;

/// A vector of length one, or of zero if there is no direction, and one over the length that it had.
struct Unit {
    vector: Vec<f64>,
    inverse: f64,
}

impl Network {
    /// The loss of all pairs of rows that have an answer of their own, and its gradient by normed row,
    /// `[row of the list][hidden]`. `x` is the whole batch before the final norm.
    ///
    /// # Errors
    /// A row of the head that cannot be read.
    pub(super) fn answer_cosine(&self, targets: &Targets, x: &[f32]) -> Result<(f64, Vec<f32>)> {
        let hidden = self.spec.hidden;
        let mut slopes = vec![0.0; targets.rows.len() * hidden];
        if targets.cosine == 0.0 {
            return Ok((0.0, slopes));
        }
        let answers = targets.answers.iter().map(|bag| self.answer(bag));
        let answers = answers.collect::<Result<Vec<Unit>>>()?;
        let wanted = |a: usize, b: usize| match a == b {
            true => 1.0,
            false => dot(&answers[a].vector, &answers[b].vector).max(0.0),
        };
        let own = targets.own.iter().enumerate();
        let asked: Vec<(usize, usize)> = own.filter_map(|(at, own)| Some((at, (*own)?))).collect();
        let states = asked.iter().map(|(at, _)| {
            let x = &x[targets.rows[*at] * hidden..][..hidden];
            self.state(&self.final_norm, x)
        });
        let states: Vec<Unit> = states.collect();
        let weight = f64::from(targets.cosine);
        let mut loss = 0.0;
        let mut grads = vec![vec![0.0; hidden]; states.len()];
        for (i, (_, a)) in asked.iter().enumerate() {
            for (j, (_, b)) in asked[..i].iter().enumerate() {
                let off = dot(&states[i].vector, &states[j].vector) - wanted(*a, *b);
                loss += weight * off * off;
                add(&mut grads[i], 2.0 * weight * off, &states[j].vector);
                add(&mut grads[j], 2.0 * weight * off, &states[i].vector);
            }
        }
        for ((at, _), (state, grad)) in asked.iter().zip(states.iter().zip(&grads)) {
            state.back(grad, &mut slopes[at * hidden..][..hidden]);
        }
        Ok((loss, slopes))
    }

    /// The direction of a row behind the norm.
    fn state(&self, norm: &Norm, x: &[f32]) -> Unit {
        let mut normed = vec![0.0; x.len()];
        let normed = self.norm(norm, x, &mut normed).data;
        Unit::new(normed.iter().copied().map(f64::from).collect())
    }

    /// The direction of an answer: its words' rows of the head as it is in the checkpoint, less the mean
    /// of all words. Whatever is trained, it stays.
    fn answer(&self, bag: &[(u32, f32)]) -> Result<Unit> {
        let mut sum: Vec<f64> = self.head_mean.iter().map(|mean| -mean).collect();
        let mut row = vec![0.0; self.spec.hidden];
        for (token, share) in bag {
            let token = *token as usize;
            self.checkpoint.head_rows(token..token + 1, &mut row)?;
            let row = row.iter().copied().map(f64::from);
            sum.iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += f64::from(*share) * value);
        }
        Ok(Unit::new(sum))
    }
}

impl Unit {
    fn new(mut vector: Vec<f64>) -> Self {
        let length = dot(&vector, &vector).sqrt();
        let inverse = if length > 0.0 { 1.0 / length } else { 0.0 };
        vector.iter_mut().for_each(|value| *value *= inverse);
        Self { vector, inverse }
    }

    /// From the gradient of the direction to that of the vector, of which the part along itself changes
    /// nothing.
    fn back(&self, grad: &[f64], to: &mut [f32]) {
        let along = dot(grad, &self.vector);
        for ((to, grad), unit) in to.iter_mut().zip(grad).zip(&self.vector) {
            *to = (self.inverse * (grad - along * unit)) as f32;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], times: f64, from: &[f64]) {
    to.iter_mut()
        .zip(from)
        .for_each(|(to, from)| *to += times * from);
}
