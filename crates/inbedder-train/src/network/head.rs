//! From the last layer's rows to the loss and back: final norm, language-model head and
//! cross-entropy, for the rows that have a target and no others. What the cosines of states are to be
//! is in `cosine`.

use super::linear::{Block, Context, Out};
use super::{Network, Workspace};
use crate::Result;
use inbedder_kernels::{Into, Staging};

/// Rows whose logits exist at a time: with 49,152 tokens six megabytes.
const CHUNK: usize = 32;

/// What is to be said after some rows of a batch: the loss is Σ weight · −log p(token | row), and for
/// the rows that are told their answer from others Σ weight · −log p(answer | row) beside it; for pairs of
/// rows whose cosine is to be that of their answers, Σ weight · (cosine − wanted)².
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    /// Rows, rising.
    pub rows: Vec<usize>,
    /// `[row of the list]`: tokens with their weights.
    pub tokens: Vec<Vec<(u32, f32)>>,
    /// `[row of the list]`: which of `answers` is the row's own.
    pub own: Vec<Option<usize>>,
    /// The batch's distinct answers, each as the bag of its words.
    pub answers: Vec<Vec<(u32, f32)>>,
    /// Weight of a row that is told its answer from the others.
    pub contrast: f32,
    /// Weight of a pair of rows with answers of their own whose cosine is to be that of the answers.
    pub cosine: f32,
}

impl Network {
    /// The loss of the rows in `work.x`; with `sums`, `work.dx` is left with their gradient, and
    /// those of head and final norm are added.
    pub(super) fn read(
        &self,
        targets: &Targets,
        mut sums: Option<&mut [f32]>,
        work: &mut Workspace,
    ) -> Result<f64> {
        let hidden = self.spec.hidden;
        if sums.is_some() {
            work.dx.clear();
            work.dx.resize(work.x.len(), 0.0);
        }
        let (mut loss, of_cosines) = self.answer_cosine(targets, &work.x)?;
        for (chunk, rows) in targets.rows.chunks(CHUNK).enumerate() {
            let x: Vec<f32> = rows
                .iter()
                .flat_map(|row| &work.x[row * hidden..][..hidden])
                .copied()
                .collect();
            let mut normed = vec![0.0; x.len()];
            let normed = self.norm(&self.final_norm, &x, &mut normed);
            let mut logits = self.logits(normed, work);
            for (i, logits) in logits.chunks_exact_mut(self.head.outputs).enumerate() {
                loss += targets.loss(chunk * CHUNK + i, logits);
            }
            if let Some(sums) = sums.as_deref_mut() {
                let also = of_cosines[chunk * CHUNK * hidden..][..x.len()].to_vec();
                let dx = self.read_back((&x, normed), (&logits, also), sums, work);
                for (row, dx) in rows.iter().zip(dx.chunks_exact(hidden)) {
                    work.dx[row * hidden..][..hidden].copy_from_slice(dx);
                }
            }
        }
        Ok(loss)
    }

    /// `[row][vocabulary]`.
    fn logits(&self, normed: Block<'_>, work: &mut Workspace) -> Vec<f32> {
        let mut logits = vec![0.0; normed.rows * self.head.outputs];
        let mut staging = Staging::default();
        let staged = self.head.stage(normed, &mut staging);
        let out = Out {
            to: &mut logits,
            stride: self.head.outputs,
            into: Into::Store,
        };
        let context = Context {
            dropout: None,
            first: 0,
            scratch: &mut work.buffers.linear,
        };
        self.head.forward(normed, staged, &mut [], out, context);
        logits
    }

    /// From the gradients of logits, and what else there is of the normed rows', to those of the rows before
    /// the final norm.
    fn read_back(
        &self,
        (x, normed): (&[f32], Block<'_>),
        (dlogits, mut dnormed): (&[f32], Vec<f32>),
        sums: &mut [f32],
        work: &mut Workspace,
    ) -> Vec<f32> {
        let hidden = self.spec.hidden;
        let grad = Block {
            data: dlogits,
            rows: normed.rows,
            stride: self.head.outputs,
        };
        let out = Out {
            to: &mut dnormed,
            stride: hidden,
            into: Into::Add,
        };
        let context = Context {
            dropout: None,
            first: 0,
            scratch: &mut work.buffers.linear,
        };
        self.head.backward((normed, &[]), grad, out, sums, context);
        let mut dx = vec![0.0; x.len()];
        self.norm_backward(&self.final_norm, x, &dnormed, &mut dx, sums);
        dx
    }
}

impl Targets {
    /// The loss of one of the rows; its logits are replaced by the gradient.
    fn loss(&self, row: usize, logits: &mut [f32]) -> f64 {
        let told = self.own[row].filter(|_| self.contrast != 0.0);
        let contrast = told.map(|own| self.contrast(own, logits));
        let mut loss = cross_entropy(logits, &self.tokens[row]);
        if let Some((of_contrast, by_answer)) = contrast {
            loss += of_contrast;
            for (answer, slope) in self.answers.iter().zip(by_answer) {
                for (token, share) in answer {
                    logits[*token as usize] += slope * share;
                }
            }
        }
        loss
    }

    /// Cross-entropy over the batch's answers, an answer's score being the mean logit of its words: the
    /// loss, and its gradient by score.
    fn contrast(&self, own: usize, logits: &[f32]) -> (f64, Vec<f32>) {
        let score = |answer: &Vec<(u32, f32)>| {
            let terms = answer
                .iter()
                .map(|(token, share)| share * logits[*token as usize]);
            terms.sum::<f32>()
        };
        let mut scores: Vec<f32> = self.answers.iter().map(score).collect();
        let loss = cross_entropy(&mut scores, &[(own as u32, self.contrast)]);
        (loss, scores)
    }
}

/// `Σ weight · −log softmax(logits)[token]`; the logits are replaced by its gradient.
fn cross_entropy(logits: &mut [f32], targets: &[(u32, f32)]) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_target = |logits: &[f32]| -> f64 {
        let terms = targets.iter().map(|(token, weight)| {
            f64::from(*weight) * f64::from(logits[*token as usize] - highest)
        });
        terms.sum()
    };
    let by_targets = of_target(logits);
    let mut total = 0.0f64;
    for logit in logits.iter_mut() {
        *logit = (*logit - highest).exp();
        total += f64::from(*logit);
    }
    let weight: f64 = targets.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let share = (weight / total) as f32;
    logits.iter_mut().for_each(|p| *p *= share);
    for (token, weight) in targets {
        logits[*token as usize] -= weight;
    }
    weight * total.ln() - by_targets
}
