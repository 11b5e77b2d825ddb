//! A model's linear layers by their Hugging Face names: what adapters and trainers speak of.

use super::{FAMILIES, ModelSpec, TensorNames};

/// A linear layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearModule {
    /// Such as `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// Number of its layer, from 0.
    pub layer: usize,
    /// Rows of its weight matrix `[outputs, inputs]`, in Hugging Face's order.
    pub outputs: usize,
    /// Columns.
    pub inputs: usize,
}

impl ModelSpec {
    /// Every linear layer but the language-model head, in the order in which they run.
    pub fn linear_modules(&self) -> Vec<LinearModule> {
        let names = self.hugging_face_names();
        let heads = self.heads;
        let (query, kv) = (heads.query * heads.dim, heads.kv * heads.dim);
        let (hidden, units) = (self.hidden, self.intermediate);
        let of_layer = |layer: usize| {
            [
                (names.query, query, hidden),
                (names.key, kv, hidden),
                (names.value, kv, hidden),
                (names.attention_out, hidden, query),
                (names.gate, units, hidden),
                (names.up, units, hidden),
                (names.down, hidden, units),
            ]
            .map(|(name, outputs, inputs)| LinearModule {
                name: name.replace("{}", &layer.to_string()),
                layer,
                outputs,
                inputs,
            })
        };
        (0..self.layers).flat_map(of_layer).collect()
    }

    /// The names that Hugging Face's files of this family have.
    pub(crate) fn hugging_face_names(&self) -> &'static TensorNames {
        let family = FAMILIES.iter().find(|family| family.name == self.family);
        &family.expect("a spec is made by a family").config_names
    }
}
