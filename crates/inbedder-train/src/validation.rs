//! A look at held-out passages: whether greedy answers are right.

use crate::Result;
use crate::data::{Measured, is_answer};
use crate::settings::Settings;
use inbedder::adapter::AdapterChoice;
use inbedder::source::ModelFiles;
use inbedder::{Embedder, LoadOptions, Request, Template};

/// Longest answer that is looked at: right ones are a word or two.
const ANSWER_TOKENS: usize = 8;

/// Share of held-out questions whose greedy answer is one of theirs, by a model and an adapter as they were
/// written.
///
/// # Errors
/// A model that cannot be loaded, a question that cannot be asked.
pub(crate) fn exact_match(
    files: &ModelFiles,
    adapter: AdapterChoice,
    settings: &Settings,
    held_out: &Measured,
) -> Result<f64> {
    let options = LoadOptions {
        precision: None,
        threads: settings.threads,
        adapter,
    };
    let embedder = Embedder::from_files("the model in training", files, &options)?;
    share_of_right(&embedder, settings.template.parse()?, held_out)
}

fn share_of_right(embedder: &Embedder, template: Template, held_out: &Measured) -> Result<f64> {
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
    request.template = template;
    request.readout = None;
    request.answer_tokens = Some(ANSWER_TOKENS);
    let answers = embedder.run_each(&texts, &asked, &request, &())?.answers;
    let right = answers.iter().zip(&wanted);
    let right = right
        .filter(|(answer, wanted)| is_answer(answer, wanted))
        .count();
    Ok(right as f64 / wanted.len() as f64)
}
