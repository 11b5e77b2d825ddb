//! Robustness to wording (InBedder, section on instruction robustness): V-measures under correct,
//! implicit and incorrect instructions. DCI = lowest correct − highest incorrect, DII = lowest implicit
//! − highest incorrect: above zero, every right wording beats every wrong one.

use serde::{Deserialize, Serialize};

/// The groups' names, in their order.
pub const GROUPS: [&str; 3] = ["correct", "implicit", "incorrect"];

/// Instructions that fit a task, that hint at it, and that do not fit it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wordings {
    #[serde(rename = "instruction")]
    pub(crate) _instruction: Option<String>,
    #[serde(rename = "correct_instructions")]
    pub(crate) correct: Vec<String>,
    #[serde(rename = "implicit_instructions")]
    pub(crate) implicit: Vec<String>,
    #[serde(rename = "incorrect_instructions")]
    pub(crate) incorrect: Vec<String>,
}

impl Wordings {
    /// What keeps DCI and DII from being measured, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let groups = [&self.correct, &self.implicit, &self.incorrect];
        for (group, name) in groups.iter().zip(GROUPS) {
            if group.is_empty() {
                return Err(format!("there is no {name} robustness instruction"));
            }
        }
        let all: Vec<&String> = groups.into_iter().flatten().collect();
        let twice = all.iter().enumerate().find(|(i, w)| all[..*i].contains(w));
        twice.map_or(Ok(()), |(_, twice)| {
            Err(format!(
                "the robustness instruction {twice:?} is there twice"
            ))
        })
    }
}

/// Scores of a task under many instructions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Robustness {
    /// Lowest correct − highest incorrect.
    pub dci: f64,
    /// Lowest implicit − highest incorrect.
    pub dii: f64,
    /// Correct, implicit, incorrect.
    pub groups: [Group; 3],
}

/// Scores of one group of instructions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Mean.
    pub mean: f64,
    /// Lowest.
    pub min: f64,
    /// Highest.
    pub max: f64,
    /// The instructions.
    pub instructions: Vec<String>,
    /// In the order of the instructions.
    pub scores: Vec<f64>,
}

impl Group {
    fn new((instructions, scores): (Vec<String>, Vec<f64>)) -> Self {
        let extreme = |of: fn(f64, f64) -> f64| scores.iter().copied().reduce(of).unwrap_or(0.0);
        Self {
            mean: crate::metrics::mean(&scores),
            min: extreme(f64::min),
            max: extreme(f64::max),
            instructions,
            scores,
        }
    }
}

impl Robustness {
    /// Of correct, implicit and incorrect instructions, at least one each, with their scores.
    pub(crate) fn new(groups: [(Vec<String>, Vec<f64>); 3]) -> Self {
        let groups = groups.map(Group::new);
        Self {
            dci: groups[0].min - groups[2].max,
            dii: groups[1].min - groups[2].max,
            groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_right_wording_is_held_against_the_best_wrong_one() {
        let scores = [vec![0.5, 0.75], vec![0.25, 1.0], vec![0.0, 0.375]];
        let found = Robustness::new(scores.map(|scores| (Vec::new(), scores)));
        assert_eq!((found.dci, found.dii), (0.125, -0.125));
        let correct = &found.groups[0];
        assert_eq!((correct.mean, correct.min, correct.max), (0.625, 0.5, 0.75));
    }
}
