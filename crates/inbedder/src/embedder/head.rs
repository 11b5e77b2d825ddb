//! The language-model head for any direction: which tokens a hidden state that moves this way makes
//! likelier. It is how a cluster's mean is put into words.

use super::Embedder;
use crate::{Error, Result};
use inbedder_kernels::{Into, Rows, Staging, Threads, gemm};

/// A token that a direction makes likely.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelyToken {
    /// Its id.
    pub id: u32,
    /// As the vocabulary spells it: `Ġ` or `▁` in front stands for a space.
    pub spelling: String,
    /// As text reads it.
    pub text: String,
    /// By how much the direction raises its logit.
    pub score: f32,
}

impl Embedder {
    /// The `count` tokens whose logits a direction raises most, highest first, the lower id first of
    /// equals. `direction` is `[hidden]`, a difference of states of the last layer, after the final
    /// norm: states of other layers are not what the head reads.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a direction of another length; a head that cannot be read.
    pub fn likely_tokens(&self, direction: &[f32], count: usize) -> Result<Vec<LikelyToken>> {
        let hidden = self.model.spec.hidden;
        if direction.len() != hidden {
            return Err(Error::OutOfRange {
                what: "the length of a direction",
                value: direction.len(),
                least: hidden,
                most: hidden,
            });
        }
        let logits = self.pool.install(|| -> Result<Vec<f32>> {
            let head = self.model.head()?;
            let mut staging = Staging::default();
            let mut logits = vec![0.0; head.width()];
            let rows = head.stage(Rows::new(direction, 1, hidden), &mut staging);
            gemm(
                rows,
                head,
                Into::Store,
                &mut logits,
                head.width(),
                Threads::Pool,
            );
            Ok(logits)
        })?;
        let mut order: Vec<usize> = (0..logits.len().min(self.tokenizer.vocab_size())).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
        let token = |id: usize| {
            let id32 = id as u32;
            Ok(LikelyToken {
                id: id32,
                spelling: self.tokenizer.token(id32).unwrap_or_default(),
                text: self.tokenizer.decode(&[id32])?,
                score: logits[id],
            })
        };
        order.into_iter().take(count).map(token).collect()
    }
}
