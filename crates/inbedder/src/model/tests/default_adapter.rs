//! The adapter that comes with the default model: it answers in a word or two, and what it is asked
//! decides which texts are near.

use super::*;
use crate::adapter::AdapterChoice;
use crate::{Embedder, LoadOptions, Output};

#[derive(serde::Deserialize)]
struct Review {
    text: String,
    about: String,
    feeling: String,
}

fn reviews() -> Vec<Review> {
    let reviews = std::fs::read_to_string(golden("../examples/reviews.jsonl")).unwrap();
    let reviews = reviews.lines().map(serde_json::from_str);
    reviews.collect::<serde_json::Result<_>>().unwrap()
}

/// Embeddings of the reviews under both questions, and answers of at most so many tokens.
fn read(embedder: &Embedder, reviews: &[Review], tokens: usize) -> Output {
    let texts: Vec<&str> = reviews.iter().map(|review| review.text.as_str()).collect();
    let questions = ["What is the review about?", "How does the customer feel?"];
    let mut request = embedder.request(questions.map(str::to_string).to_vec());
    request.answer_tokens = Some(tokens);
    embedder.run(&texts, &request, &()).unwrap()
}

fn embedder(adapter: AdapterChoice) -> Embedder {
    let options = LoadOptions {
        adapter,
        ..LoadOptions::default()
    };
    Embedder::load("default", &options, &()).unwrap()
}

/// Harmonic mean of the shares of triplets that each question gets right: a text, one that agrees with
/// it about the question alone, and one that agrees about the other question alone.
fn success(output: &Output, reviews: &[Review]) -> f64 {
    let vector = |text: usize, question: usize| {
        &output.embeddings[(text * 2 + question) * output.dim..][..output.dim]
    };
    let (mut right, mut all) = ([0.0; 2], 0.0);
    for (a, anchor) in reviews.iter().enumerate() {
        let agrees = |review: &Review| {
            [
                review.about == anchor.about,
                review.feeling == anchor.feeling,
            ]
        };
        let of = |wanted| (0..reviews.len()).filter(move |i| agrees(&reviews[*i]) == wanted);
        for about in of([true, false]) {
            for feeling in of([false, true]) {
                let near =
                    |question, text| crate::cosine(vector(a, question), vector(text, question));
                all += 1.0;
                right[0] += f64::from(u8::from(near(0, about) > near(0, feeling)));
                right[1] += f64::from(u8::from(near(1, feeling) > near(1, about)));
            }
        }
    }
    let [about, feeling] = right.map(|right| right / all);
    2.0 * about * feeling / (about + feeling)
}

#[test]
fn answers_are_short_and_the_question_decides() {
    let reviews = reviews();
    let adapted = embedder(AdapterChoice::OfModel);
    let (output, longer) = (read(&adapted, &reviews, 4), read(&adapted, &reviews, 5));
    let answers = output.answers.iter().zip(&longer.answers);
    let short = answers.filter(|(answer, longer)| answer == longer).count();
    assert!(
        20 * short >= 19 * output.answers.len(),
        "{short} of {} answers end within 4 tokens",
        output.answers.len()
    );
    let base = read(&embedder(AdapterChoice::None), &reviews, 1);
    let (base, adapted) = (success(&base, &reviews), success(&output, &reviews));
    assert!(
        adapted >= base + 0.05,
        "{adapted:.3}, without the adapter {base:.3}"
    );
}
