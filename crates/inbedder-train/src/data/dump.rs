//! Batches written down, so that another trainer can take the same steps on the same rows in the same
//! order: a line of JSON per optimiser step.

use serde::{Deserialize, Serialize};

/// An optimiser step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// From 1.
    pub step: u64,
    /// The loss of the step is the mean over all their targets.
    pub rows: Vec<Row>,
}

/// A question with one answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Text and question, with whatever the tokenizer puts in front; free of loss.
    pub prompt_ids: Vec<u32>,
    /// The answer and the token that ends it: the targets of `causal`.
    pub answer_ids: Vec<u32>,
    /// Of `whole-answer`: the targets at the prompt's last token, with their weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bag: Vec<(u32, f32)>,
}
