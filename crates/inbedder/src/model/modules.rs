//! A model's linear layers by their Hugging Face names, which is what adapters and trainers speak of, and
//! all its tensors by the names that each file format has for them.

use super::{FAMILIES, Family, ModelSpec, TensorNames};

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

    /// Hugging Face's name of the token embedding.
    pub fn embedding_name(&self) -> String {
        weight(self.hugging_face_names().embedding)
    }

    /// Hugging Face's name of the language-model head, which may be the token embedding.
    pub fn head_name(&self) -> String {
        match self.tied_head {
            true => self.embedding_name(),
            false => weight(self.hugging_face_names().head),
        }
    }

    /// Hugging Face's name of the norm behind the last layer.
    pub fn final_norm_name(&self) -> String {
        weight(self.hugging_face_names().final_norm)
    }

    /// Hugging Face's names of a layer's norms: before attention, and before the MLP.
    pub fn norm_names(&self, layer: usize) -> [String; 2] {
        let names = self.hugging_face_names();
        [names.attention_norm, names.mlp_norm]
            .map(|name| weight(&name.replace("{}", &layer.to_string())))
    }

    /// The names that Hugging Face's files of this family have.
    pub(crate) fn hugging_face_names(&self) -> &'static TensorNames {
        &self.family().config_names
    }

    /// The names that GGUF files of this family have.
    pub(crate) fn gguf_names(&self) -> &'static TensorNames {
        &self.family().gguf_names
    }

    fn family(&self) -> &'static Family {
        let family = FAMILIES.iter().find(|family| family.name == self.family);
        family.expect("a spec is made by a family")
    }

    /// Every tensor of the model, in the order in which they are used.
    pub(crate) fn tensors(&self) -> Vec<StoredTensor> {
        let mut tensors = Vec::new();
        let embedding = vec![self.vocabulary, self.hidden];
        let whole = |slot: Slot, shape: &[usize]| StoredTensor {
            slot,
            layer: None,
            part: "weight",
            shape: shape.to_vec(),
            rotary: false,
            head_rows: self.heads.dim,
        };
        tensors.push(whole(|n| n.embedding, &embedding));
        for layer in 0..self.layers {
            self.add_layer(layer, &whole, &mut tensors);
        }
        tensors.push(whole(|n| n.final_norm, &[self.hidden]));
        if !self.tied_head {
            tensors.push(whole(|n| n.head, &embedding));
        }
        tensors
    }

    fn add_layer(
        &self,
        layer: usize,
        whole: &dyn Fn(Slot, &[usize]) -> StoredTensor,
        tensors: &mut Vec<StoredTensor>,
    ) {
        let heads = self.heads;
        let (query, kv) = (heads.query * heads.dim, heads.kv * heads.dim);
        let (hidden, units) = (self.hidden, self.intermediate);
        let (attention, mlp) = (self.attention_bias, self.mlp_bias);
        let mut linear = |slot: Slot, shape: [usize; 2], rotary, bias: bool| {
            let layer = Some(layer);
            let tensor = whole(slot, &shape);
            tensors.push(StoredTensor {
                layer,
                rotary,
                ..tensor
            });
            if bias {
                let (part, tensor) = ("bias", whole(slot, &shape[..1]));
                tensors.push(StoredTensor {
                    layer,
                    rotary,
                    part,
                    ..tensor
                });
            }
        };
        linear(|n| n.query, [query, hidden], true, attention);
        linear(|n| n.key, [kv, hidden], true, attention);
        linear(|n| n.value, [kv, hidden], false, attention);
        linear(|n| n.attention_out, [hidden, query], false, attention);
        linear(|n| n.gate, [units, hidden], false, mlp);
        linear(|n| n.up, [units, hidden], false, mlp);
        linear(|n| n.down, [hidden, units], false, mlp);
        let norms: [Slot; 2] = [|n| n.attention_norm, |n| n.mlp_norm];
        for slot in norms {
            let layer = Some(layer);
            tensors.push(StoredTensor {
                layer,
                ..whole(slot, &[hidden])
            });
        }
    }
}

fn weight(layer: &str) -> String {
    format!("{layer}.weight")
}

/// Where a tensor's name stands among those of a file format.
type Slot = fn(&TensorNames) -> &'static str;

/// A tensor of a model, whatever the file calls it.
#[derive(Debug, Clone)]
pub(crate) struct StoredTensor {
    slot: Slot,
    /// Number of its layer; `None` for what is there once.
    layer: Option<usize>,
    /// `weight` or `bias`.
    part: &'static str,
    /// Row-major.
    pub(crate) shape: Vec<usize>,
    /// Rows of a head may be stored in pairs.
    pub(crate) rotary: bool,
    /// Rows of a head.
    pub(crate) head_rows: usize,
}

impl StoredTensor {
    /// Its name in a file.
    pub(crate) fn name(&self, names: &TensorNames) -> String {
        format!("{}.{}", self.layer_name(names), self.part)
    }

    /// The layer whose weights it is, as adapters name it; `None` for a bias.
    pub(crate) fn module(&self, names: &TensorNames) -> Option<String> {
        (self.part == "weight").then(|| self.layer_name(names))
    }

    fn layer_name(&self, names: &TensorNames) -> String {
        let name = (self.slot)(names);
        let numbered = self
            .layer
            .map(|layer| name.replace("{}", &layer.to_string()));
        numbered.unwrap_or_else(|| name.to_string())
    }
}

/// Where a file with `paired_rotary` holds row `row` of a query or key matrix whose heads have
/// `head_rows` rows: rotate-half row `j · half + i` of a head is its row `2i + j`.
pub(crate) fn stored_row(head_rows: usize, row: usize) -> usize {
    let (head, within) = (row / head_rows, row % head_rows);
    let half = head_rows / 2;
    head * head_rows + 2 * (within % half) + within / half
}
