//! A model that can be trained: the forward pass of `inbedder` with every step's inputs kept, and
//! the way back through it, over the same plans. A text with nine questions is read, and
//! back-propagated through, once.
//!
//! Frozen weights are packed once for each direction, in f32 or bf16; what is trained is f32 and is
//! packed again after each step of the optimiser.

mod backward;
mod batch;
mod cosine;
mod dropout;
mod forward;
mod head;
mod linear;
mod load;
mod parameters;
mod tape;

pub use batch::Scale;
pub use head::Targets;
pub use load::{Lora, Trained};
pub use parameters::{Parameter, Parameters};
pub use tape::Workspace;

use crate::Result;
use crate::random::mix;
use dropout::Dropout;
use inbedder::ModelSpec;
use inbedder::checkpoint::Checkpoint;
use inbedder::model::RotaryTable;
use inbedder::plan::Plan;
use inbedder_kernels::Isa;
use linear::Linear;
use std::ops::Range;

/// The weights of a norm.
struct Norm {
    weight: Vec<f32>,
    place: Option<Range<usize>>,
}

struct Layer {
    attention_norm: Norm,
    mlp_norm: Norm,
    /// Query, key, value, attention output, gate, up, down: as `tape` numbers them.
    linear: [Linear; 7],
}

impl At {
    /// The linear layers of a layer.
    fn of(layer: usize, key: Option<u64>) -> impl Fn(usize) -> Self + Copy {
        move |linear| Self { layer, linear, key }
    }
}

/// A model with trained numbers.
pub struct Network {
    spec: ModelSpec,
    isa: Isa,
    layers: Vec<Layer>,
    final_norm: Norm,
    head: Linear,
    /// The mean of the head's rows as they are in the checkpoint.
    head_mean: Vec<f64>,
    checkpoint: Checkpoint,
    /// Place of the token embedding among the trained numbers.
    embedding: Option<Range<usize>>,
    rotary: RotaryTable,
    /// The lowest layer that anything is trained in or below; L if nothing is.
    first_trained: usize,
    /// Rank of the LoRA matrices; 0 without.
    rank: usize,
    dropout: f32,
}

/// Prompts with their answers as one trie, and what is to come after some of its rows.
#[derive(Debug, Clone)]
pub struct Batch {
    /// All tokens that are read.
    pub plan: Plan,
    /// What is to be said after them.
    pub targets: Targets,
}

/// One of a layer's linear layers, as `tape` numbers them, in a pass; `key` is the batch's for dropout.
#[derive(Clone, Copy)]
struct At {
    layer: usize,
    linear: usize,
    key: Option<u64>,
}

impl Network {
    /// The shape of the model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The checkpoint that it was made of.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Takes over what the optimiser has made of the trained numbers.
    pub fn refresh(&mut self, values: &[f32]) {
        let isa = self.isa;
        for layer in &mut self.layers {
            for linear in &mut layer.linear {
                linear.refresh(isa, values);
            }
            layer.attention_norm.refresh(values);
            layer.mlp_norm.refresh(values);
        }
        self.final_norm.refresh(values);
        self.head.refresh(isa, values);
    }

    /// The loss of a batch, without gradients and without dropout.
    ///
    /// # Errors
    /// A row of the token embedding, or of the head, that cannot be read.
    pub fn loss(&self, batch: &Batch, values: &[f32], work: &mut Workspace) -> Result<f64> {
        self.forward(&batch.plan, values, None, work)?;
        self.read(&batch.targets, None, work)
    }

    /// The loss of a batch; its gradients are added to `sums`. `key` tells the batch's dropout from
    /// every other's.
    ///
    /// # Errors
    /// As for [`Self::loss`].
    pub fn gradients(
        &self,
        batch: &Batch,
        values: &[f32],
        key: u64,
        sums: &mut [f32],
        work: &mut Workspace,
    ) -> Result<f64> {
        let key = (self.dropout > 0.0).then_some(key);
        self.forward(&batch.plan, values, key, work)?;
        let loss = self.read(&batch.targets, Some(sums), work)?;
        self.backward(&batch.plan, key, sums, work);
        Ok(loss)
    }

    /// Dropout of one linear layer in a batch.
    fn dropout_of(&self, at: At) -> Option<Dropout> {
        at.key.map(|key| Dropout {
            probability: self.dropout,
            key: mix(key ^ mix((at.layer * 7 + at.linear + 1) as u64)),
        })
    }

    /// The tape of a layer; layers that are not back-propagated through share one.
    fn tape_of(&self, layer: usize) -> usize {
        let kept = self.spec.layers - self.first_trained;
        layer.checked_sub(self.first_trained).unwrap_or(kept)
    }
}

impl Norm {
    fn refresh(&mut self, values: &[f32]) {
        if let Some(place) = &self.place {
            self.weight.copy_from_slice(&values[place.clone()]);
        }
    }
}

#[cfg(test)]
mod tests;
