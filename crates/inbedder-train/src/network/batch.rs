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
    /// Of every bag that is told from the batch's others: the objective `answer-contrast`.
    pub contrast: f32,
    /// Of every pair of bags in a batch: the objective `answer-cosine`.
    pub cosine: f32,
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
        let compared = scale.contrast != 0.0 || scale.cosine != 0.0;
        if compared {
            // A row with no other target gets an empty list.
            for (_, end) in plan_ends(rows, &plan) {
                targets.entry(end).or_default();
            }
        } else {
            targets.retain(|_, tokens| !tokens.is_empty());
        }
        let (at, tokens): (Vec<usize>, _) = targets.into_iter().unzip();
        let mut batch = Self {
            targets: Targets {
                own: vec![None; at.len()],
                rows: at,
                tokens,
                answers: Vec::new(),
                contrast: scale.contrast,
                cosine: scale.cosine,
            },
            plan,
        };
        if compared {
            batch.tell_apart(rows);
        }
        batch
    }

    /// Gives the rows with a bag their place among the distinct ones: the same text's answers to other
    /// questions, and other texts' to the same one, are what an answer is told from, or compared with.
    fn tell_apart(&mut self, rows: &[Row]) {
        for (row, end) in plan_ends(rows, &self.plan) {
            let targets = &mut self.targets;
            let known = targets.answers.iter().position(|answer| *answer == row.bag);
            let own = known.unwrap_or(targets.answers.len());
            if known.is_none() {
                targets.answers.push(row.bag.clone());
            }
            if let Ok(at) = targets.rows.binary_search(&end) {
                targets.own[at] = Some(own);
            }
        }
    }
}

/// The rows that have a bag, each with the plan's row of its prompt's last token.
fn plan_ends<'a>(rows: &'a [Row], plan: &'a Plan) -> impl Iterator<Item = (&'a Row, usize)> {
    let rows = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| !row.bag.is_empty());
    rows.filter_map(|(i, row)| {
        let end = plan.prompt_rows(i).nth(row.prompt_ids.len() - 1)?;
        Some((row, end))
    })
}
