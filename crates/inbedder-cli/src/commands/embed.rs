//! `inbedder embed`: every text under every question, into a file.

use super::{each_window, load, some_questions};
use crate::args::EmbedArgs;
use crate::error::Result;
use crate::input::Input;
use crate::output::{Metadata, Plan, Target};
use std::sync::Arc;

pub(crate) fn run(args: &EmbedArgs) -> Result<()> {
    let mut request = args.run.request(some_questions(&args.run)?);
    request.answer_tokens = args.answers.then_some(args.run.max_new_tokens);
    let target = Target::check(&args.output, args.answers, args.force)?;
    let input = Input::open(&args.input)?;
    let embedder = load(&args.run, &request)?;
    let mut writer = target.create(&Plan {
        metadata: Metadata::new(&embedder, &request)?,
        texts: input.rows,
        text_field: input.text_field(),
        carried: Arc::clone(&input.carried),
        answers: args.answers,
        embeddings: true,
    })?;
    each_window(
        &embedder,
        &input,
        &request,
        args.run.quiet,
        |window, output| writer.write(window, output),
    )?;
    writer.finish()
}
