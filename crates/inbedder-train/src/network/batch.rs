//! From rows of token ids to one trie with targets.

use super::{Batch, Targets};
use crate::data::dump::Row;
use inbedder::plan::Plan;
use std::collections::BTreeMap;

/// What a target counts for, so that a step's loss is a mean whatever batches it is cut into.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Of every answer token, the end included: the objective `causal`.
    pub causal: f32,
    /// Of every bag: the objective `whole-answer`.
    pub whole_answer: f32,
}

impl Batch {
    /// One plan of all rows. Answers that begin alike share their beginning, and the row where they
    /// part has a target for each.
    ///
    /// # Panics
    /// If a row's prompt or answer is empty.
    pub fn new(rows: &[Row], scale: Scale) -> Self {
        // The end token is said, never read; without a causal loss the whole answer is not.
        let read = |row: &Row| match scale.causal {
            0.0 => 0,
            _ => row.answer_ids.len() - 1,
        };
        let sequences: Vec<Vec<u32>> = rows
            .iter()
            .map(|row| [&row.prompt_ids, &row.answer_ids[..read(row)]].concat())
            .collect();
        let plan = Plan::new(&sequences);
        let mut targets: BTreeMap<usize, Vec<(u32, f32)>> = BTreeMap::new();
        for (i, row) in rows.iter().enumerate() {
            let of_answer: Vec<usize> =
                plan.prompt_rows(i).skip(row.prompt_ids.len() - 1).collect();
            if scale.causal != 0.0 {
                for (at, token) in of_answer.iter().zip(&row.answer_ids) {
                    targets.entry(*at).or_default().push((*token, scale.causal));
                }
            }
            if scale.whole_answer != 0.0 {
                let scaled = row
                    .bag
                    .iter()
                    .map(|(id, weight)| (*id, weight * scale.whole_answer));
                targets.entry(of_answer[0]).or_default().extend(scaled);
            }
        }
        targets.retain(|_, tokens| !tokens.is_empty());
        let (rows, tokens) = targets.into_iter().unzip();
        Self {
            plan,
            targets: Targets { rows, tokens },
        }
    }
}
