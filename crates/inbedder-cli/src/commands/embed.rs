//! `inbedder embed`: every text under every question, into a file.

use super::{each_part, each_window, load, some_questions};
use crate::args::{EmbedArgs, OnError};
use crate::embeddings;
use crate::error::{Error, Result};
use crate::input::{Input, Rejects};
use crate::output::{Format, Metadata, Plan, Target, Writer};
use crate::parts::Parts;
use inbedder::{Embedder, Output, Request};
use inbedder_cluster::Means;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn run(args: &EmbedArgs) -> Result<()> {
    let mut request = args.run.request(some_questions(&args.run)?);
    request.answer_tokens = args.answers.then_some(args.run.max_new_tokens);
    if args.center.center && args.shard.is_some() {
        let problem = "--center of one shard would take off another mean than that of the next: centre \
                       one output, then give it to the shards with --center-from";
        return Err(Error::Usage(problem.to_string()));
    }
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
    let embedder = load(&args.run, &mut request)?;
    let center = args.center.own_mean(embedder.defaults(), input.rows) && args.shard.is_none();
    if center && !args.center.center {
        tracing::info!("centred, as the adapter says; --no-center leaves the mean in");
    }
    let mut metadata = Metadata::new(&embedder, &request)?;
    metadata.shard = args.shard.map(|shard| shard.to_string());
    let mut job = json!(metadata);
    job["answer_tokens"] = json!(request.answer_tokens);
    job["texts"] = json!(input.rows);
    // The parts are the model's own vectors: centred or not, the job is the same.
    let parts = if args.resume {
        Some(Parts::open(&args.output, &job, args.force)?)
    } else if center {
        Some(Parts::temporary(&args.output)?)
    } else {
        None
    };
    let job = Job {
        args,
        input: &input,
        embedder: &embedder,
        request: &request,
        parts: parts.as_ref(),
        center,
    };
    let done = job.run(target, metadata);
    if let (Err(Error::Interrupted), true) = (&done, args.resume) {
        let folder = Parts::folder(&args.output);
        tracing::info!("what is done is kept in {}", folder.display());
    }
    done?;
    if args.resume {
        Parts::remove(&args.output)?;
    }
    Ok(())
}

/// What is to be embedded, and how.
struct Job<'a> {
    args: &'a EmbedArgs,
    input: &'a Input,
    embedder: &'a Embedder,
    request: &'a Request,
    parts: Option<&'a Parts>,
    /// The texts' own mean is taken off.
    center: bool,
}

impl Job<'_> {
    fn run(&self, target: Target, mut metadata: Metadata) -> Result<()> {
        let format = target.format;
        let centering = match (&self.args.center.center_from, self.parts) {
            (Some(path), _) => Some(embeddings::centering(path, &metadata)?),
            (None, Some(parts)) if self.center => {
                let mut means = Means::new(self.request.questions.len(), metadata.dim);
                self.each(Some(parts), |_, output| Ok(means.add(&output.embeddings)?))?;
                Some(means.finish()?)
            }
            _ => None,
        };
        metadata.center_means = centering.as_ref().map(|c| c.means().to_vec());
        if centering.is_some() && format == Format::Npy {
            tracing::warn!(".npy has no metadata: the means that are taken off are not kept");
        }
        let mut writer = self.writer(target, metadata)?;
        let mut write = |window: &_, mut output: Output| {
            if let Some(centering) = &centering {
                centering.apply(&mut output.embeddings, self.request.normalize)?;
            }
            writer.write(window, &output)
        };
        match self.parts {
            // The first pass has made all parts.
            Some(parts) if self.center => {
                each_part(self.input, self.request, parts, write)?;
            }
            parts => self.each(parts, |window, output| write(window, output.clone()))?,
        }
        self.input.keep_rejects()?;
        writer.finish()
    }

    fn each(
        &self,
        parts: Option<&Parts>,
        take: impl FnMut(&crate::input::Window, &Output) -> Result<()>,
    ) -> Result<()> {
        let quiet = self.args.run.quiet;
        each_window(self.embedder, self.input, self.request, quiet, parts, take)
    }

    fn writer(&self, target: Target, metadata: Metadata) -> Result<Box<dyn Writer>> {
        let folder = self.args.resume.then(|| Parts::folder(&self.args.output));
        target.create(
            &Plan {
                metadata,
                texts: self.input.rows,
                text_field: self.input.text_field(),
                carried: Arc::clone(&self.input.carried),
                answers: self.args.answers,
                embeddings: true,
            },
            folder.as_deref().map(Path::new),
        )
    }
}
