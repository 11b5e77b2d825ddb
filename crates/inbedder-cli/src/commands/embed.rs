//! `inbedder embed`: every text under every question, into a file.

use super::{each_window, load, some_questions};
use crate::args::{EmbedArgs, OnError};
use crate::error::{Error, Result};
use crate::input::{Input, Rejects};
use crate::output::{Metadata, Plan, Target};
use crate::parts::Parts;
use serde_json::json;
use std::sync::Arc;

pub(crate) fn run(args: &EmbedArgs) -> Result<()> {
    let mut request = args.run.request(some_questions(&args.run)?);
    request.answer_tokens = args.answers.then_some(args.run.max_new_tokens);
    if args.resume && args.output.is_file() && !args.force {
        tracing::info!("{} is there: nothing is left to do", args.output.display());
        return Parts::remove(&args.output);
    }
    let target = Target::check(&args.output, args.answers, args.force)?;
    let rejects = match args.on_error {
        OnError::Stop => None,
        OnError::Skip => Some(Rejects::new(&args.output)?),
    };
    let input = Input::open(&args.input, rejects, args.shard)?;
    let embedder = load(&args.run, &request)?;
    let mut metadata = Metadata::new(&embedder, &request)?;
    metadata.shard = args.shard.map(|shard| shard.to_string());
    let mut job = json!(metadata);
    job["answer_tokens"] = json!(request.answer_tokens);
    job["texts"] = json!(input.rows);
    let parts = if args.resume {
        Some(Parts::open(&args.output, &job, args.force)?)
    } else {
        None
    };
    let folder = parts.as_ref().map(|_| Parts::folder(&args.output));
    let mut writer = target.create(
        &Plan {
            metadata,
            texts: input.rows,
            text_field: input.text_field(),
            carried: Arc::clone(&input.carried),
            answers: args.answers,
            embeddings: true,
        },
        folder.as_deref(),
    )?;
    let done = each_window(
        &embedder,
        &input,
        &request,
        args.run.quiet,
        parts.as_ref(),
        |window, output| writer.write(window, output),
    );
    if let (Err(Error::Interrupted), Some(folder)) = (&done, &folder) {
        tracing::info!("what is done is kept in {}", folder.display());
    }
    done?;
    input.keep_rejects()?;
    writer.finish()?;
    if parts.is_some() {
        Parts::remove(&args.output)?;
    }
    Ok(())
}
