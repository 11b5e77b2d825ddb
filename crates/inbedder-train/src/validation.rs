//! A look at held-out passages: their loss, and whether greedy answers are right.

use crate::data::{Measured, is_answer};
use crate::{Result, Trainer};
use inbedder::adapter::AdapterChoice;
use inbedder::source::ModelFiles;
use inbedder::{Embedder, LoadOptions, Request};
use std::path::Path;

/// Longest answer that is looked at: right ones are a word or two.
const ANSWER_TOKENS: usize = 8;

/// Share of held-out questions whose greedy answer is one of theirs, by a model with the adapter in a
/// folder.
///
/// # Errors
/// A model that cannot be loaded.
pub(crate) fn exact_match(
    files: &ModelFiles,
    adapter: &Path,
    trainer: &Trainer,
    held_out: &Measured,
) -> Result<f64> {
    let options = LoadOptions {
        precision: None,
        threads: trainer.settings().threads,
        adapter: AdapterChoice::Reference(adapter.display().to_string()),
    };
    let embedder = Embedder::from_files("the model in training", files, &options)?;
    let mut texts = Vec::new();
    let mut asked: Vec<Vec<usize>> = Vec::new();
    let (mut wanted, mut request) = (Vec::new(), Request::new(Vec::new()));
    for passage in &held_out.passages {
        texts.push(passage.text.as_str());
        let first = request.questions.len();
        for question in &passage.questions {
            request.questions.push(question.instruction.clone());
            wanted.push(&question.answers);
        }
        asked.push((first..request.questions.len()).collect());
    }
    request.template = trainer.settings().template.parse()?;
    request.readout = None;
    request.answer_tokens = Some(ANSWER_TOKENS);
    let answers = embedder.run_each(&texts, &asked, &request, &())?.answers;
    let right = answers.iter().zip(&wanted);
    let right = right
        .filter(|(answer, wanted)| is_answer(answer, wanted))
        .count();
    Ok(right as f64 / wanted.len() as f64)
}
