//! `inbedder compare`: how a few texts lie to each other under each question.

use super::ask::one_line;
use super::{load, questions};
use crate::args::CompareArgs;
use crate::error::{Error, Result};
use anstyle::{RgbColor, Style};
use inbedder::Output;
use serde_json::json;
use std::io::Write;

/// Texts that group by animal under one question and by feeling or place under the others.
const DEMONSTRATION: [&str; 6] = [
    "I love my cat, she purrs beside me on the sofa.",
    "I adore my dog, he waits for me at the kitchen door.",
    "The cat scratched the sofa again. I am so angry!",
    "The dog barked in the kitchen all night again, so annoying.",
    "My parrot in the garden makes me smile every morning.",
    "The parrot screeched in the garden all morning, I am so annoyed.",
];
const DEMONSTRATION_QUESTIONS: [&str; 3] = [
    "Which animal is mentioned?",
    "How does the writer feel?",
    "Where is the animal?",
];

pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let mut asked = questions(&args.run)?;
    let mut texts = args.texts.clone();
    let demonstration = texts.is_empty();
    if demonstration {
        texts = DEMONSTRATION.map(str::to_string).to_vec();
        if asked.is_empty() {
            asked = DEMONSTRATION_QUESTIONS.map(str::to_string).to_vec();
        }
    } else if asked.is_empty() {
        let problem = "no question: add one with -q, for example -q \"How does the writer feel?\"";
        return Err(Error::Usage(problem.to_string()));
    }
    let mut request = args.run.request(asked);
    request.answer_tokens = Some(args.run.max_new_tokens);
    let embedder = load(&args.run, &mut request)?;
    let output = embedder.run(
        &texts,
        &request,
        &crate::progress::Bar::new(texts.len() as u64, true),
    )?;
    let views: Vec<View> = (0..request.questions.len())
        .map(|q| {
            View::new(
                &request.questions[q],
                q,
                &output,
                texts.len(),
                request.questions.len(),
            )
        })
        .collect();
    let mut out = if args.json {
        as_json(&texts, &views)
    } else {
        as_tables(&texts, &views)
    };
    if demonstration && !args.json {
        out.push_str(
            "The same texts under another question: a number is the similarity of two texts' expected \
             answers (the mean\nof the texts taken off), and should be high where the answers agree. Try \
             your own: inbedder compare TEXT TEXT … -q QUESTION\n",
        );
    }
    let mut stdout = anstream::stdout().lock();
    stdout
        .write_all(out.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Error::Stdout)
}

/// The texts under one question.
struct View<'a> {
    question: &'a str,
    answers: Vec<&'a str>,
    /// `[text][text]`: cosine similarity.
    similarities: Vec<Vec<f32>>,
    /// `[text][text]`: the same after the mean of the texts was taken off, which all have in common.
    centred: Vec<Vec<f32>>,
}

impl<'a> View<'a> {
    fn new(
        question: &'a str,
        q: usize,
        output: &'a Output,
        texts: usize,
        questions: usize,
    ) -> Self {
        let dim = output.dim;
        let vector =
            |text: usize| output.embeddings[(text * questions + q) * dim..][..dim].to_vec();
        let vectors: Vec<Vec<f32>> = (0..texts).map(vector).collect();
        let mean: Vec<f32> = (0..dim)
            .map(|d| vectors.iter().map(|v| v[d]).sum::<f32>() / texts as f32)
            .collect();
        let off = |v: &Vec<f32>| v.iter().zip(&mean).map(|(v, m)| v - m).collect();
        Self {
            question,
            answers: (0..texts)
                .map(|text| output.answers[text * questions + q].as_str())
                .collect(),
            similarities: matrix(&vectors),
            centred: matrix(&vectors.iter().map(off).collect::<Vec<_>>()),
        }
    }

    /// What is shown: vectors of one question crowd together, so with three texts or more the mean is
    /// taken off.
    fn shown(&self) -> &[Vec<f32>] {
        if self.answers.len() > 2 {
            &self.centred
        } else {
            &self.similarities
        }
    }
}

fn matrix(vectors: &[Vec<f32>]) -> Vec<Vec<f32>> {
    vectors
        .iter()
        .map(|a| vectors.iter().map(|b| inbedder::cosine(a, b)).collect())
        .collect()
}

fn as_json(texts: &[String], views: &[View<'_>]) -> String {
    let view = |view: &View<'_>| json!({"question": view.question, "answers": view.answers, "similarities": view.similarities, "centred": view.centred});
    let views: Vec<_> = views.iter().map(view).collect();
    format!("{:#}\n", json!({"texts": texts, "questions": views}))
}

fn as_tables(texts: &[String], views: &[View<'_>]) -> String {
    let bold = Style::new().bold();
    let mut out = String::new();
    let answer_width = views
        .iter()
        .flat_map(|view| &view.answers)
        .map(|a| a.chars().count())
        .max();
    let answer_width = answer_width.unwrap_or(0).clamp(6, 32);
    for view in views {
        out.push_str(&format!("{bold}{}{bold:#}\n", view.question));
        let shown = view.shown();
        let (least, most) = spread(shown);
        for (i, text) in texts.iter().enumerate() {
            let answer = one_line(view.answers[i], answer_width);
            out.push_str(&format!(
                "{:>3} {:<44} {answer:<answer_width$} ",
                i + 1,
                one_line(text, 44)
            ));
            for (j, similarity) in shown[i].iter().enumerate() {
                let style = if i == j {
                    Style::new().dimmed()
                } else {
                    shade(*similarity, least, most)
                };
                out.push_str(&format!(" {style}{similarity:>5.2}{style:#}"));
            }
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// The least and the largest similarity of two different texts.
fn spread(similarities: &[Vec<f32>]) -> (f32, f32) {
    let pairs = similarities.iter().enumerate();
    let others = pairs.flat_map(|(i, row)| row.iter().enumerate().filter(move |(j, _)| *j != i));
    others.fold(
        (f32::INFINITY, f32::NEG_INFINITY),
        |(least, most), (_, s)| (least.min(*s), most.max(*s)),
    )
}

/// From grey (least alike) to green (most alike), relative to what the question's texts span.
fn shade(similarity: f32, least: f32, most: f32) -> Style {
    let at = if most > least {
        (similarity - least) / (most - least)
    } else {
        0.5
    };
    let mix = |from: f32, to: f32| (from + (to - from) * at) as u8;
    Style::new().fg_color(Some(
        RgbColor(mix(128.0, 0.0), mix(128.0, 200.0), mix(128.0, 80.0)).into(),
    ))
}
