//! Greedy answers: the prompts of a batch are continued together, on child segments of their plan,
//! so that no prompt is read again.

use crate::Result;
use crate::model::{Forward, Model, Tap};
use crate::plan::Plan;
use crate::tokenizer::Tokenizer;
use inbedder_kernels::{Into, Rows, Staging, Threads, gemm};

/// Rows of logits at a time: 49,152 tokens × 16 rows are 3 MB.
const LOGIT_ROWS: usize = 16;

/// An answer in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// Generated tokens, without the one that ended the answer.
    pub(crate) tokens: Vec<u32>,
    pub(crate) text: String,
    done: bool,
}

/// Continues prompts greedily.
pub(crate) struct Generator<'a> {
    pub(crate) model: &'a Model,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) max_new_tokens: usize,
    pub(crate) threads: Threads,
}

/// Rows that an answer of at most `max_new_tokens` tokens adds to a plan: the last token is never fed
/// back.
pub(crate) fn added_rows(max_new_tokens: usize) -> usize {
    max_new_tokens.saturating_sub(1)
}

impl Generator<'_> {
    /// Answers to all prompts of the plan, which `forward` has run; `states` are those of the last
    /// layer at the rows `rows`, among them every prompt's last.
    pub(crate) fn run(
        &self,
        plan: &mut Plan,
        forward: &mut Forward<'_>,
        prompts: usize,
        rows: &[usize],
        states: &[f32],
    ) -> Result<Vec<Answer>> {
        let hidden = self.model.spec.hidden;
        let mut answers = vec![Answer::default(); prompts];
        let mut states = states.to_vec();
        let mut rows = rows.to_vec();
        for step in 0..self.max_new_tokens {
            let mut open: Vec<usize> = (0..prompts).filter(|p| !answers[*p].done).collect();
            open.sort_by_key(|p| plan.last_row(*p));
            let last: Vec<f32> = open
                .iter()
                .flat_map(|p| {
                    let at = rows.binary_search(&plan.last_row(*p));
                    let at = at.expect("the last layer's states hold every prompt's last row");
                    &states[at * hidden..][..hidden]
                })
                .copied()
                .collect();
            let mut next = Vec::new();
            for (prompt, token) in open
                .into_iter()
                .zip(likeliest(self.model, &last, self.threads)?)
            {
                if self.push(&mut answers[prompt], token)? {
                    next.push((prompt, token));
                }
            }
            if next.is_empty() || step + 1 == self.max_new_tokens {
                break;
            }
            let first = plan.rows();
            plan.extend(&next);
            rows = (first..plan.rows()).collect();
            let tap = Tap {
                layer: self.model.spec.layers,
                rows: rows.clone(),
            };
            states = forward
                .run(plan, first..plan.rows(), &[tap])?
                .swap_remove(0);
        }
        Ok(answers)
    }

    /// Adds a token; false when it ended the answer.
    fn push(&self, answer: &mut Answer, token: u32) -> Result<bool> {
        if self.tokenizer.eos_ids().contains(&token) {
            answer.done = true;
            return Ok(false);
        }
        answer.tokens.push(token);
        let text = self.tokenizer.decode(&answer.tokens)?;
        // Untuned models like to begin with empty lines: an answer ends at the first newline
        // behind something.
        let begun = text.trim_start();
        let (line, ended) = match begun.split_once('\n') {
            Some((line, _)) => (line, true),
            None => (begun, false),
        };
        answer.text = line.trim_end().to_string();
        answer.done = ended;
        Ok(!ended)
    }
}

/// The token with the highest logit for each row of last-layer states; the first of equals.
pub(crate) fn likeliest(model: &Model, states: &[f32], threads: Threads) -> Result<Vec<u32>> {
    let head = model.head()?;
    let hidden = model.spec.hidden;
    let mut staging = Staging::default();
    let mut logits = vec![0.0; LOGIT_ROWS * head.width()];
    let mut tokens = Vec::with_capacity(states.len() / hidden);
    for chunk in states.chunks(LOGIT_ROWS * hidden) {
        let rows = chunk.len() / hidden;
        let states = head.stage(Rows::new(chunk, rows, hidden), &mut staging);
        gemm(
            states,
            head,
            Into::Store,
            &mut logits,
            head.width(),
            threads,
        );
        tokens.extend(
            logits
                .chunks_exact(head.width())
                .take(rows)
                .map(first_largest),
        );
    }
    Ok(tokens)
}

fn first_largest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    best as u32
}
