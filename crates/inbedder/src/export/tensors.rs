//! Every tensor of a model with its adapter, as rows in Hugging Face's order.

use crate::Result;
use crate::adapter::LoraAdapter;
use crate::checkpoint::Checkpoint;
use crate::model::{StoredTensor, stored_row};

/// The tensors that the model is made of.
pub(super) struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    adapter: Option<&'a LoraAdapter>,
    /// In the order in which they are used.
    pub(super) all: Vec<StoredTensor>,
}

impl<'a> Tensors<'a> {
    /// # Errors
    /// A tensor that is missing, of another shape, or stored in a format that is not read.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        adapter: Option<&'a LoraAdapter>,
    ) -> Result<Self> {
        let all = checkpoint.spec.tensors();
        for tensor in &all {
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
        let stored = checkpoint
            .weights
            .tensor(&tensor.name(&checkpoint.names))
            .expect("every tensor was looked up");
        let plain = tensor.module(checkpoint.spec.hugging_face_names());
        let delta = self.adapter.zip(plain);
        let delta = delta.and_then(|(adapter, module)| adapter.delta(&module));
        let paired = (tensor.rotary && checkpoint.names.paired_rotary).then_some(tensor.head_rows);
        let mut values = vec![0.0; stored.rows() * stored.row_len()];
        if tensor.shape.len() == 1 {
            // A vector is one row, whose numbers are what rows are in a matrix.
            stored
                .read_rows(0..1, &mut values)
                .expect("the shape was checked");
            let from = |row| paired.map_or(row, |rows| stored_row(rows, row));
            return (0..values.len()).map(|row| values[from(row)]).collect();
        }
        for (row, out) in values.chunks_exact_mut(stored.row_len()).enumerate() {
            let from = paired.map_or(row, |rows| stored_row(rows, row));
            stored
                .read_rows(from..from + 1, out)
                .expect("the shape was checked");
            if let Some(delta) = delta {
                delta.add_row(row, out);
            }
        }
        values
    }
}
