//! A look at held-out passages: whether greedy answers are right.

use crate::Result;
use crate::data::{Measured, is_answer};
use crate::settings::Settings;
use inbedder::adapter::AdapterChoice;
use inbedder::source::ModelFiles;
use inbedder::{Embedder, LoadOptions, MAX_TOKENS, Request, Template};

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
    // As in training, where what is too long is left out and nothing is cut.
    request.max_tokens = MAX_TOKENS;
    request.readout = None;
    request.answer_tokens = Some(ANSWER_TOKENS);
    let answers = embedder.run_each(&texts, &asked, &request, &())?.answers;
    let right = answers.iter().zip(&wanted);
    let right = right
        .filter(|(answer, wanted)| is_answer(answer, wanted))
        .count();
    Ok(right as f64 / wanted.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{files, golden, measured, passages};

    #[test]
    fn long_texts_are_asked_about_whole() {
        let model = files(&golden("gqa_tied"));
        let options = LoadOptions::default();
        let embedder = Embedder::from_files("tiny", &model, &options).unwrap();
        let mut held_out = measured(&model, passages());
        for (i, passage) in held_out.passages.iter_mut().enumerate() {
            passage.text = (0..200 + i).map(|n| format!("{n} cats. ")).collect();
        }
        let answers = |max_tokens: usize| {
            let mut request = Request::new(vec!["Is it there?".to_string()]);
            request.answer_tokens = Some(ANSWER_TOKENS);
            request.max_tokens = max_tokens;
            let texts: Vec<&str> = held_out.passages.iter().map(|p| &p.text[..]).collect();
            embedder.run(&texts, &request, &()).unwrap()
        };
        let (whole, cut) = (answers(MAX_TOKENS), answers(512));
        assert_eq!((whole.stats.truncated, cut.stats.truncated), (0, 12));
        assert_ne!(whole.answers, cut.answers);
        for (passage, answer) in held_out.passages.iter_mut().zip(whole.answers) {
            passage.questions[0].answers = vec![answer];
        }
        let share = share_of_right(&embedder, Template::default(), &held_out).unwrap();
        assert_eq!(share, 1.0);
    }
}
