//! LoRA adapters: small trained differences to a base model's linear layers, in PEFT's folders.
//!
//! An adapted layer computes W + s · B · A (Hu et al., "LoRA: Low-Rank Adaptation of Large Language
//! Models", arXiv 2106.09685), with s = alpha / rank, or alpha / √rank with `rslora` (Kalajdzievski,
//! arXiv 2312.03732). The sum is made row by row while weights are packed, so that an adapted model
//! runs as fast as its base. Whatever else PEFT knows (DoRA, biases, embeddings, whole modules) is
//! refused by name rather than passed over: a model that lacks a part of its adapter gives plausible
//! vectors that mean nothing.
//!
//! Names are Hugging Face's, and so is the order of rows: who stores rows otherwise (GGUF) puts them
//! in that order before a delta is added.

mod config;
mod defaults;
mod read;
mod save;
mod source;
mod targets;
#[cfg(test)]
mod tests;

pub use defaults::{AdapterBase, AdapterDefaults};
pub use save::{AdapterDtype, save};
pub(crate) use source::builtin_adapter;
pub use source::{AdapterChoice, AdapterRef, AdapterSource, BuiltinAdapter};

use std::collections::BTreeMap;

/// Files of an adapter's folder.
pub(crate) const CONFIG: &str = "adapter_config.json";
pub(crate) const WEIGHTS: &str = "adapter_model.safetensors";
pub(crate) const DEFAULTS: &str = "inbedder.json";

/// An adapter in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraAdapter {
    /// What its file calls the base model; a name for people, checked by nobody.
    pub base: Option<String>,
    /// The scale is alpha / √rank instead of alpha / rank.
    pub rslora: bool,
    /// By the layer's Hugging Face name, such as `model.layers.0.self_attn.q_proj`.
    pub modules: BTreeMap<String, LoraModule>,
    /// What the adapter was trained to be used with.
    pub defaults: AdapterDefaults,
}

/// The difference of one linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraModule {
    /// Rows of A, columns of B; at least 1.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f32,
    /// Width of the layer's input.
    pub inputs: usize,
    /// Width of the layer's output.
    pub outputs: usize,
    /// `[rank, inputs]`.
    pub a: Vec<f32>,
    /// `[outputs, rank]`.
    pub b: Vec<f32>,
}

impl LoraAdapter {
    /// The factor s of a module.
    pub fn scale(&self, module: &LoraModule) -> f32 {
        let rank = module.rank as f32;
        module.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// The difference that a layer of this name gets, if any.
    pub(crate) fn delta(&self, name: &str) -> Option<Delta<'_>> {
        let module = self.modules.get(name)?;
        Some(Delta {
            module,
            scale: self.scale(module),
        })
    }
}

/// A layer's difference s · B · A.
#[derive(Clone, Copy)]
pub(crate) struct Delta<'a> {
    module: &'a LoraModule,
    scale: f32,
}

impl Delta<'_> {
    /// Adds row `row` of the difference to a row of the weight matrix, `[inputs]`.
    pub(crate) fn add_row(self, row: usize, weights: &mut [f32]) {
        let LoraModule {
            rank, inputs, a, b, ..
        } = self.module;
        for (b, a) in b[row * rank..][..*rank].iter().zip(a.chunks_exact(*inputs)) {
            let factor = self.scale * b;
            for (weight, a) in weights.iter_mut().zip(a) {
                *weight += factor * a;
            }
        }
    }
}
