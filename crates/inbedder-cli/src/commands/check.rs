//! `inbedder check`: whether questions are any good for some texts.

use super::{lines, load, some_questions};
use crate::args::CheckArgs;
use crate::error::{Error, Result};
use crate::input::Input;
use crate::progress::Bar;
use inbedder_eval::CheckSettings;
use inbedder_eval::check::{Question, check};
use std::io::Write;

pub(crate) fn run(args: &CheckArgs) -> Result<()> {
    let mut request = args.run.request(some_questions(&args.run)?);
    request.answer_tokens = (!args.no_answers).then_some(args.run.max_new_tokens);
    let given = args.paraphrases.as_deref().map(lines).transpose()?;
    let input = Input::open(&args.input, None, None)?;
    let mut texts = Vec::with_capacity(input.rows);
    for window in input.windows(1024)? {
        texts.extend(window?.texts);
    }
    let settings = CheckSettings {
        texts: args.max_texts,
        paraphrases: args.paraphrase,
        clusters: args.clusters,
        seed: args.seed,
    };
    let embedder = load(&args.run, &mut request)?;
    let mut reports = Vec::new();
    for question in &request.questions {
        let paraphrases = match &given {
            Some(given) => given.clone(),
            None => inbedder_eval::rewordings(question, args.paraphrase)?,
        };
        let asked = Question {
            question,
            paraphrases: &paraphrases,
            request: &request,
        };
        // Read once for the vectors, once more for the answers.
        let passes = 1 + u64::from(!args.no_answers);
        let bar = Bar::new(
            passes * texts.len().min(args.max_texts) as u64,
            args.run.quiet,
        );
        reports.push(check(&embedder, &texts, &asked, &settings, &bar)?);
        bar.clear();
    }
    let out = if args.json {
        format!("{:#}\n", serde_json::json!(reports))
    } else {
        let lines: Vec<String> = reports.iter().map(|report| report.lines()).collect();
        lines.join("\n")
    };
    let mut stdout = anstream::stdout().lock();
    stdout
        .write_all(out.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Error::Stdout)
}
