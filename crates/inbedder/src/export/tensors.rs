//! Every tensor of a model with its adapter, as rows in Hugging Face's order.

use crate::adapter::LoraAdapter;
use crate::checkpoint::Checkpoint;
use crate::model::StoredTensor;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The tensors that the model is made of.
pub(super) struct Tensors<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    adapter: Option<&'a LoraAdapter>,
    /// By Hugging Face's name: what stands in the place of the checkpoint's numbers.
    trained: &'a BTreeMap<String, &'a [f32]>,
    /// In the order in which they are used.
    pub(super) all: &'a [StoredTensor],
}

impl<'a> Tensors<'a> {
    /// # Errors
    /// A trained tensor that the model has not; one that is missing, of another shape, or stored in a format that is not read.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        adapter: Option<&'a LoraAdapter>,
        trained: &'a BTreeMap<String, &'a [f32]>,
    ) -> Result<Self> {
        let all = &checkpoint.tensors[..];
        let names = checkpoint.spec.hugging_face_names();
        for name in trained.keys() {
            if !all.iter().any(|tensor| tensor.name(names) == *name) {
                return Err(Error::TensorMissing {
                    path: checkpoint
                        .weights
                        .paths()
                        .next()
                        .unwrap_or(Path::new(""))
                        .into(),
                    tensor: name.clone(),
                });
            }
        }
        for tensor in all {
            let name = tensor.name(&checkpoint.names);
            checkpoint.weights.expect_shape(&name, &tensor.shape)?;
        }
        Ok(Self {
            checkpoint,
            adapter,
            trained,
            all,
        })
    }

    /// A tensor's numbers, row-major. Whole tensors: the largest is the token embedding.
    pub(super) fn read(&self, tensor: &StoredTensor) -> Vec<f32> {
        let checkpoint = self.checkpoint;
        let name = tensor.name(checkpoint.spec.hugging_face_names());
        if let Some(trained) = self.trained.get(&name) {
            return trained.to_vec();
        }
        let mut values = checkpoint
            .read_stored(tensor)
            .expect("every tensor was looked up and has its shape");
        let plain = tensor.module(checkpoint.spec.hugging_face_names());
        let delta = self.adapter.zip(plain);
        if let Some(delta) = delta.and_then(|(adapter, module)| adapter.delta(&module)) {
            let width = values.len() / tensor.shape[0];
            for (row, out) in values.chunks_exact_mut(width).enumerate() {
                delta.add_row(row, out);
            }
        }
        values
    }
}
