//! `inbedder ask`: every text's answer to every question, on standard output.

use super::{each_window, load, some_questions};
use crate::args::{AnswerFormat, AskArgs};
use crate::error::{Error, Result};
use crate::input::{Input, Window};
use crate::output::carried;
use inbedder::Output;
use serde_json::Value;
use std::io::{IsTerminal, Write};

pub(crate) fn run(args: &AskArgs) -> Result<()> {
    let mut request = args.run.request(some_questions(&args.run)?);
    request.readout = None;
    request.answer_tokens = Some(args.run.max_new_tokens);
    let input = Input::open(&args.input, None, None)?;
    let embedder = load(&args.run, &mut request)?;
    let terminal = std::io::stdout().is_terminal();
    let format = args.format.unwrap_or(if terminal {
        AnswerFormat::Table
    } else {
        AnswerFormat::Jsonl
    });
    let mut stdout = anstream::stdout().lock();
    each_window(
        &embedder,
        &input,
        &request,
        args.run.quiet,
        None,
        |window, output| {
            let text = match format {
                AnswerFormat::Table => table(window, output, &request.questions),
                AnswerFormat::Jsonl => {
                    jsonl(window, output, &request.questions, input.text_field())?
                }
            };
            stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush())
                .map_err(Error::Stdout)
        },
    )
}

/// A block per text: the text, then a line per question.
fn table(window: &Window, output: &Output, questions: &[String]) -> String {
    let (bold, dim) = (anstyle::Style::new().bold(), anstyle::Style::new().dimmed());
    let mut out = String::new();
    for (text, answers) in window
        .texts
        .iter()
        .zip(output.answers.chunks(questions.len()))
    {
        out.push_str(&format!("{dim}{}{dim:#}\n", one_line(text, 100)));
        for (question, answer) in questions.iter().zip(answers) {
            out.push_str(&format!("  {question} {bold}{answer}{bold:#}\n"));
        }
    }
    out
}

/// A row per text, the answers by question beside the input's columns.
fn jsonl(
    window: &Window,
    output: &Output,
    questions: &[String],
    text_field: &str,
) -> Result<String> {
    let rows = carried(window).map_err(|cause| Error::Stdout(std::io::Error::other(cause)))?;
    let mut out = String::new();
    for ((text, fields), answers) in window
        .texts
        .iter()
        .zip(rows)
        .zip(output.answers.chunks(questions.len()))
    {
        let mut row = serde_json::Map::new();
        row.insert(text_field.to_string(), Value::from(text.as_str()));
        row.extend(fields);
        let answers = questions
            .iter()
            .zip(answers)
            .map(|(q, a)| (q.clone(), Value::from(a.as_str())));
        row.insert("answers".to_string(), Value::Object(answers.collect()));
        out.push_str(&Value::Object(row).to_string());
        out.push('\n');
    }
    Ok(out)
}

/// A text on one line of at most `width` characters.
pub(super) fn one_line(text: &str, width: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= width {
        return words;
    }
    let cut: String = words.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}
