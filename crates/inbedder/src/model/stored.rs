//! Every tensor of a model by its Hugging Face name, and where a checkpoint of any layout has it:
//! for who wants a model's numbers one by one, to train them or to write them down.

use super::{ModelSpec, TensorNames};

/// A tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTensor {
    /// Hugging Face's name, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// `[outputs, inputs]` of a linear layer, `[vocabulary, hidden]`, or the length of a vector.
    pub shape: Vec<usize>,
    /// Its name in the file.
    pub(crate) stored: String,
    /// The file has each head's rows in pairs; see [`paired_row`].
    pub(crate) paired: bool,
}

impl ModelSpec {
    /// All tensors, in the order in which they are used; `names` are those of the file.
    pub(crate) fn tensors(&self, names: &TensorNames) -> Vec<NamedTensor> {
        let plain = self.hugging_face_names();
        let (vocabulary, hidden, units) = (self.vocabulary, self.hidden, self.intermediate);
        let (query, kv) = (
            self.heads.query * self.heads.dim,
            self.heads.kv * self.heads.dim,
        );
        let mut all = Vec::new();
        let mut add =
            |layer: Option<usize>, name: fn(&TensorNames) -> &str, part, shape: &[usize]| {
                let full = |names: &TensorNames| {
                    let layer = layer.map(|layer| layer.to_string()).unwrap_or_default();
                    format!("{}.{part}", name(names).replace("{}", &layer))
                };
                let turned = name(plain) == plain.query || name(plain) == plain.key;
                all.push(NamedTensor {
                    name: full(plain),
                    shape: shape.to_vec(),
                    stored: full(names),
                    paired: names.paired_rotary && turned,
                });
            };
        add(None, |n| n.embedding, "weight", &[vocabulary, hidden]);
        for layer in 0..self.layers {
            let layer = Some(layer);
            let mut linear = |name: fn(&TensorNames) -> &str, shape: [usize; 2], bias: bool| {
                add(layer, name, "weight", &shape);
                if bias {
                    add(layer, name, "bias", &shape[..1]);
                }
            };
            linear(|n| n.query, [query, hidden], self.attention_bias);
            linear(|n| n.key, [kv, hidden], self.attention_bias);
            linear(|n| n.value, [kv, hidden], self.attention_bias);
            linear(|n| n.attention_out, [hidden, query], self.attention_bias);
            linear(|n| n.gate, [units, hidden], self.mlp_bias);
            linear(|n| n.up, [units, hidden], self.mlp_bias);
            linear(|n| n.down, [hidden, units], self.mlp_bias);
            add(layer, |n| n.attention_norm, "weight", &[hidden]);
            add(layer, |n| n.mlp_norm, "weight", &[hidden]);
        }
        add(None, |n| n.final_norm, "weight", &[hidden]);
        if !self.tied_head {
            add(None, |n| n.head, "weight", &[vocabulary, hidden]);
        }
        all
    }
}

/// Where a file with paired rows has row `row`: row `2i + j` of a head of `dim` rows is the
/// rotate-half row `j · half + i`.
pub(crate) fn paired_row(dim: usize, row: usize) -> usize {
    let (head, within) = (row / dim, row % dim);
    head * dim + 2 * (within % (dim / 2)) + within / (dim / 2)
}
