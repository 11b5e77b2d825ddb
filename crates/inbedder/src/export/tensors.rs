//! Every tensor of a model with its adapter, as rows in Hugging Face's order.

use crate::Result;
use crate::adapter::LoraAdapter;
use crate::checkpoint::Checkpoint;
use crate::model::StoredTensor;

/// The tensors that the model is made of.
pub(super) struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    adapter: Option<&'a LoraAdapter>,
    /// In the order in which they are used.
    pub(super) all: &'a [StoredTensor],
}

impl<'a> Tensors<'a> {
    /// # Errors
    /// A tensor that is missing, of another shape, or stored in a format that is not read.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        adapter: Option<&'a LoraAdapter>,
    ) -> Result<Self> {
        let all = &checkpoint.tensors[..];
        for tensor in all {
            let name = tensor.name(&checkpoint.names);
            checkpoint.weights.expect_shape(&name, &tensor.shape)?;
        }
        Ok(Self {
            checkpoint,
            adapter,
            all,
        })
    }

    /// A tensor's numbers, row-major. Whole tensors: the largest is the token embedding.
    pub(super) fn read(&self, tensor: &StoredTensor) -> Vec<f32> {
        let checkpoint = self.checkpoint;
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
