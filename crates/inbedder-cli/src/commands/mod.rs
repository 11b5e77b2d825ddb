//! One file per command, and what several of them do alike: questions, loading, running windows.

pub(crate) mod ask;
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod embed;
pub(crate) mod eval;
pub(crate) mod merge;
pub(crate) mod models;
pub(crate) mod train;

use crate::args::RunArgs;
use crate::error::{Error, Result};
use crate::input::{Input, Window};
use crate::parts::Parts;
use crate::progress::{Bar, FetchBar, catch_interrupts};
use inbedder::adapter::AdapterChoice;
use inbedder::{Embedder, LoadOptions, Output, Request, Stats};
use std::path::Path;
use std::time::Instant;

/// Prompts that are asked at a time: enough for long batches, little enough to hold, and to lose
/// when a job is stopped.
const WINDOW: usize = 1024;

/// The questions of `-q` and `--questions-file`.
fn questions(args: &RunArgs) -> Result<Vec<String>> {
    let mut questions = args.questions.clone();
    if let Some(path) = &args.questions_file {
        questions.extend(lines(path)?);
    }
    if let Some(empty) = questions
        .iter()
        .position(|question| question.trim().is_empty())
    {
        return Err(Error::Usage(format!("question {} is empty", empty + 1)));
    }
    if let Some((_, twice)) = questions
        .iter()
        .enumerate()
        .find(|(i, q)| questions[..*i].contains(q))
    {
        return Err(Error::Usage(format!(
            "the question {twice:?} is asked twice"
        )));
    }
    Ok(questions)
}

/// The lines of a file that are not blank.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|cause| Error::input(path, 0, cause))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_string).collect())
}

/// The questions, of which there must be one.
fn some_questions(args: &RunArgs) -> Result<Vec<String>> {
    let questions = questions(args)?;
    if questions.is_empty() {
        let problem = "no question: add one with -q, for example -q \"What is it about?\"";
        return Err(Error::Usage(problem.to_string()));
    }
    Ok(questions)
}

/// Loads the model with its adapter, completes the request by the adapter's defaults and checks it.
fn load(args: &RunArgs, request: &mut Request) -> Result<Embedder> {
    catch_interrupts();
    let start = Instant::now();
    let options = LoadOptions {
        precision: args.precision.0,
        threads: args.threads,
        adapter: adapter(args.adapter.as_deref()),
    };
    let embedder = Embedder::load(&args.model, &options, &FetchBar::new())?;
    args.settle(request, embedder.defaults());
    embedder.check(request)?;
    let info = embedder.info();
    tracing::debug!(
        "loaded {} ({}, {} layers of {}) as {} on {} with {} threads in {:.2} s",
        info.name,
        info.family,
        info.layers,
        info.hidden_size,
        info.precision,
        info.instruction_set,
        info.threads,
        start.elapsed().as_secs_f64(),
    );
    if let Some(adapter) = &info.adapter {
        tracing::debug!("with the adapter {} ({})", adapter.name, adapter.sha256);
    }
    Ok(embedder)
}

/// What `--adapter` says.
fn adapter(named: Option<&str>) -> AdapterChoice {
    named.map_or(AdapterChoice::OfModel, AdapterChoice::from)
}

/// Runs an input window by window; windows that are among the finished parts are not run again.
fn each_window(
    embedder: &Embedder,
    input: &Input,
    request: &Request,
    quiet: bool,
    parts: Option<&Parts>,
    mut take: impl FnMut(&Window, &Output) -> Result<()>,
) -> Result<()> {
    let bar = Bar::new(input.rows as u64, quiet);
    let mut stats = Stats::default();
    let windows = input.windows((WINDOW / request.questions.len()).max(1))?;
    for (number, window) in windows.enumerate() {
        let window = window?;
        let output = match parts
            .map(|parts| parts.load(number, &window))
            .transpose()?
            .flatten()
        {
            Some(output) => {
                bar.skip(window.texts.len());
                output
            }
            None => {
                let output = embedder.run(&window.texts, request, &bar)?;
                if let Some(parts) = parts {
                    parts.save(number, &window, &output)?;
                }
                output
            }
        };
        stats += output.stats;
        take(&window, &output)?;
    }
    let what = if request.readout.is_some() {
        "embedded"
    } else {
        "answered"
    };
    bar.finish(what, &stats);
    Ok(())
}

/// The finished parts of an input in order, all of which must be there.
fn each_part(
    input: &Input,
    request: &Request,
    parts: &Parts,
    mut take: impl FnMut(&Window, Output) -> Result<()>,
) -> Result<()> {
    let windows = input.windows((WINDOW / request.questions.len()).max(1))?;
    for (number, window) in windows.enumerate() {
        let window = window?;
        let Some(output) = parts.load(number, &window)? else {
            return Err(parts.missing(number));
        };
        take(&window, output)?;
    }
    Ok(())
}
