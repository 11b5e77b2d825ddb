//! From files to batches: small real files, and properties of splits, orders and cuts.

mod files;
mod laws;
mod targets;

use super::*;

/// A passage of some questions, each with one answer.
fn passage(text: &str, questions: &[(&str, &str)]) -> Passage {
    let question = |(instruction, answer): &(&str, &str)| Question {
        instruction: instruction.to_string(),
        answers: vec![answer.to_string()],
    };
    Passage {
        text: text.to_string(),
        source: None,
        weight: 1.0,
        questions: questions.iter().map(question).collect(),
    }
}
