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
    /// How many of them, one after the other, are in each of the workers' batches: the objectives that
    /// compare questions compare those of a batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<usize>,
}

impl Step {
    /// Puts batches of rows together.
    pub(crate) fn new(step: u64, batches: Vec<Vec<Row>>) -> Self {
        Self {
            step,
            batches: batches.iter().map(Vec::len).collect(),
            rows: batches.into_iter().flatten().collect(),
        }
    }
}

/// A question with one answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Text and question, with whatever the tokenizer puts in front; free of loss.
    pub prompt_ids: Vec<u32>,
    /// The answer and the token that ends it: the targets of `causal`.
    pub answer_ids: Vec<u32>,
    /// Of `whole-answer`: the targets at the prompt's last token, with their weights. They are the
    /// question's, so of several rows with one prompt the first alone has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bag: Vec<(u32, f32)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_step_of_the_golden_values() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../golden/train/batch.jsonl"
        );
        let steps: Vec<(u64, Step)> = inbedder_rows::read(path.as_ref()).unwrap();
        let [(1, step)] = &steps[..] else {
            panic!("one step, found {}", steps.len());
        };
        let prompts: HashSet<&[u32]> = step.rows.iter().map(|row| &row.prompt_ids[..]).collect();
        assert_eq!((step.rows.len(), prompts.len()), (8, 7));
        let mut with_bag = HashSet::new();
        for row in &step.rows {
            assert_eq!(row.answer_ids.last(), Some(&1));
            if !row.bag.is_empty() {
                let sum: f32 = row.bag.iter().map(|(_, weight)| weight).sum();
                assert!((sum - 1.0).abs() < 1e-6);
                assert!(with_bag.insert(&row.prompt_ids), "a question has one bag");
            }
        }
        assert_eq!(with_bag.len(), prompts.len());
    }
}
