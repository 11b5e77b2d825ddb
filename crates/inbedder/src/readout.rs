//! Readouts: which hidden states make the embedding.
//!
//! Names and definitions follow the authors' `lm_encoders_hf/causallm_encoder_hf.py`. p₁ … pₙ are a
//! prompt's states at the chosen layer.

use crate::names::{by_name, name_of};
use crate::plan::Plan;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Which hidden states make the embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readout {
    /// pₙ: the state from which the answer's first token is predicted. Needs no decoding.
    #[default]
    FstGen,
    /// The mean of p₁ … pₙ₋₁ (of p₁ alone when the prompt has one token).
    AvgPpt,
}

/// Every readout with its name.
const READOUTS: [(&str, Readout); 2] = [("fst_gen", Readout::FstGen), ("avg_ppt", Readout::AvgPpt)];

impl Readout {
    /// The rows of the plan whose states the prompts need, rising, each once.
    pub(crate) fn rows(self, plan: &Plan, prompts: usize) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..prompts)
            .flat_map(|p| self.prompt_rows(plan, p))
            .collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn prompt_rows(self, plan: &Plan, prompt: usize) -> Vec<usize> {
        match self {
            Self::FstGen => vec![plan.last_row(prompt)],
            Self::AvgPpt => {
                let mut rows: Vec<usize> = plan.prompt_rows(prompt).collect();
                if rows.len() > 1 {
                    rows.pop();
                }
                rows
            }
        }
    }

    /// A prompt's embedding out of `states`, `[row][hidden]`, which holds the plan's rows `rows`.
    pub(crate) fn embed(
        self,
        plan: &Plan,
        prompt: usize,
        rows: &[usize],
        states: &[f32],
        embedding: &mut [f32],
    ) {
        let hidden = embedding.len();
        let own = self.prompt_rows(plan, prompt);
        // Summed in f64: a mean must not depend on how many rows there are.
        let mut sums = vec![0.0f64; hidden];
        for row in &own {
            let at = rows
                .binary_search(row)
                .expect("`rows` holds every row of the readout");
            for (sum, state) in sums.iter_mut().zip(&states[at * hidden..][..hidden]) {
                *sum += f64::from(*state);
            }
        }
        for (value, sum) in embedding.iter_mut().zip(&sums) {
            *value = (sum / own.len() as f64) as f32;
        }
    }
}

impl FromStr for Readout {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        by_name(&READOUTS, "readout", name)
    }
}

impl fmt::Display for Readout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&READOUTS, *self))
    }
}

/// How a vector is scaled before it is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalize {
    /// To length one; a zero vector stays zero.
    #[default]
    L2,
    /// Not at all.
    None,
}

const NORMALIZATIONS: [(&str, Normalize); 2] = [("l2", Normalize::L2), ("none", Normalize::None)];

impl Normalize {
    /// Scales a vector in place.
    pub fn apply(self, vector: &mut [f32]) {
        if self == Self::None {
            return;
        }
        let length = vector
            .iter()
            .map(|v| f64::from(*v).powi(2))
            .sum::<f64>()
            .sqrt();
        if length > 0.0 {
            for value in vector {
                *value = (f64::from(*value) / length) as f32;
            }
        }
    }
}

impl FromStr for Normalize {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        by_name(&NORMALIZATIONS, "normalization", name)
    }
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&NORMALIZATIONS, *self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fst_gen_is_the_last_state_and_avg_ppt_the_mean_of_those_before() {
        let plan = Plan::new(&[vec![1, 2, 3], vec![1, 2, 4], vec![9]]);
        let states = |rows: &[usize]| rows.iter().map(|r| *r as f32).collect::<Vec<_>>();
        for (readout, prompt, expected) in [
            (Readout::FstGen, 0, plan.last_row(0) as f32),
            (Readout::FstGen, 2, plan.last_row(2) as f32),
            (Readout::AvgPpt, 0, 0.5),
            (Readout::AvgPpt, 1, 0.5),
            (Readout::AvgPpt, 2, plan.last_row(2) as f32),
        ] {
            let rows = readout.rows(&plan, 3);
            let mut embedding = [0.0];
            readout.embed(&plan, prompt, &rows, &states(&rows), &mut embedding);
            assert_eq!(embedding[0], expected, "{readout} of prompt {prompt}");
        }
    }

    #[test]
    fn names_round_trip_and_a_wrong_one_lists_them() {
        for (name, readout) in READOUTS {
            assert_eq!(name.parse::<Readout>().unwrap(), readout);
            assert_eq!(readout.to_string(), name);
        }
        let message = "best".parse::<Readout>().unwrap_err().to_string();
        assert!(
            message.contains("best") && message.contains("fst_gen, avg_ppt"),
            "{message}"
        );
    }

    #[test]
    fn unit_length_and_zero_stays_zero() {
        let mut v = [3.0, 4.0];
        Normalize::L2.apply(&mut v);
        assert_eq!(v, [0.6, 0.8]);
        let mut zero = [0.0, 0.0];
        Normalize::L2.apply(&mut zero);
        assert_eq!(zero, [0.0, 0.0]);
    }
}
