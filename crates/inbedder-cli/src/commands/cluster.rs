//! `inbedder cluster`: texts in clusters under each question, with names.

mod corpus;
mod report;

use super::ask::one_line;
use super::{load, questions};
use crate::args::{ClusterArgs, Count, Method};
use crate::embeddings::{self, Embeddings};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::output::{Metadata, TableTarget};
use corpus::Corpus;
use inbedder::{Embedder, Request};
use inbedder_cluster::{
    Centering, Contingency, Description, FAST_HDBSCAN, Found, Known, Vectors, describe,
    of_question, words,
};
use report::Report;
use std::io::Write;
use std::path::Path;

/// Tokens of a direction among which whole words are looked for.
const TOKENS: usize = 5000;

pub(crate) fn run(args: &ClusterArgs) -> Result<()> {
    check(args)?;
    let target = TableTarget::check(&args.output, args.force)?;
    let json = target.beside(".clusters.json", args.force)?;
    let given = args.embeddings.as_deref();
    let text_field = &args.input.text_field;
    let given = given.map(|path| Embeddings::read(path, text_field).map(|read| (path, read)));
    let mut given = given.transpose()?;
    let mut request = request(args, given.as_mut().map(|(path, read)| (*path, read)))?;
    let input = Input::open(&args.input, None, None)?;
    let embedder = load(&args.run, &mut request)?;
    let mut metadata = Metadata::new(&embedder, &request)?;
    // What cannot be told to be raw is left as it is.
    let raw = given.as_ref().is_none_or(|(_, read)| {
        let pairs = read.metadata.as_ref();
        pairs.is_some_and(|pairs| !pairs.contains_key("center_means"))
    });
    let mut corpus = match given {
        Some((path, read)) => {
            checked(args, path, &read, &metadata)?;
            Corpus::of_embeddings(&input, path, read)?
        }
        None => Corpus::embed(&input, &embedder, &request, args.run.quiet)?,
    };
    let own = args
        .center
        .own_mean(embedder.defaults(), corpus.texts().count());
    let own = own && (raw || args.center.center);
    if let Some(centering) = centering(args, own, &corpus, &metadata)? {
        centering.apply(&mut corpus.vectors, request.normalize)?;
        metadata.center_means = Some(centering.means().to_vec());
    }
    let labels = args.labels.as_deref();
    let labels = labels
        .map(|field| corpus.labels(&args.input.input, field))
        .transpose()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.run.threads);
    let pool = pool.build().map_err(inbedder::Error::Threads)?;
    let mut views = Vec::new();
    for question in 0..request.questions.len() {
        let of = (&embedder, &request, question);
        let view = pool.install(|| View::new(args, &corpus, of, labels.as_deref()));
        views.push(view?);
    }
    let report = Report {
        args,
        corpus: &corpus,
        metadata: &metadata,
        views: &views,
    };
    corpus.write(&target, &input, &views)?;
    report.write_json(&json)?;
    let mut stdout = anstream::stdout().lock();
    stdout
        .write_all(report.tables()?.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Error::Stdout)
}

/// Arguments that do not fit together.
fn check(args: &ClusterArgs) -> Result<()> {
    if args.method == Method::Hdbscan && args.k != Count::Auto {
        let problem = "hdbscan finds the number of clusters itself: leave -k out";
        return Err(Error::Usage(problem.to_string()));
    }
    Ok(())
}

/// What is asked: the questions of the arguments or, without any, those of the given vectors, of which
/// the others are left out.
fn request(args: &ClusterArgs, given: Option<(&Path, &mut Embeddings)>) -> Result<Request> {
    let mut asked = questions(&args.run)?;
    if let Some((path, read)) = given {
        match &read.instructions {
            Some(instructions) if asked.is_empty() => asked.clone_from(instructions),
            _ => read.choose(path, &asked)?,
        }
    }
    if asked.is_empty() {
        let problem = "no question: add one with -q, for example -q \"What is it about?\"";
        return Err(Error::Usage(problem.to_string()));
    }
    if args.cross && asked.len() < 2 {
        let problem = "--cross compares questions: ask at least two with -q";
        return Err(Error::Usage(problem.to_string()));
    }
    let mut request = args.run.request(asked);
    request.answer_tokens = (!args.no_answers).then_some(args.run.max_new_tokens);
    Ok(request)
}

/// Checks given vectors against the model and the settings that are asked for.
fn checked(args: &ClusterArgs, path: &Path, read: &Embeddings, metadata: &Metadata) -> Result<()> {
    let Some(pairs) = &read.metadata else {
        tracing::warn!(
            "{} has no metadata: which model, questions and settings it is of is taken on trust",
            path.display()
        );
        if read.dim != metadata.dim {
            let problem = format!(
                "holds vectors of length {}, those of {} have {}",
                read.dim, metadata.model, metadata.dim
            );
            return Err(Error::input(path, 0, problem));
        }
        return Ok(());
    };
    embeddings::expect_same(path, pairs, metadata)?;
    let centred = pairs.contains_key("center_means");
    if centred && (args.center.center || args.center.center_from.is_some()) {
        let problem = "is centred already: leave --center out";
        return Err(Error::input(path, 0, problem));
    }
    if read.answers.is_none() && !args.no_answers {
        tracing::info!(
            "{} has no answers: names come from decoded words (embed --answers writes answers)",
            path.display()
        );
    }
    Ok(())
}

fn centering(
    args: &ClusterArgs,
    own: bool,
    corpus: &Corpus,
    metadata: &Metadata,
) -> Result<Option<Centering>> {
    if let Some(path) = &args.center.center_from {
        return embeddings::centering(path, metadata).map(Some);
    }
    if !own {
        return Ok(None);
    }
    let mut means = inbedder_cluster::Means::new(corpus.questions, corpus.dim);
    means.add(&corpus.vectors)?;
    Ok(Some(means.finish()?))
}

/// The corpus under one question.
struct View {
    question: String,
    found: Found,
    description: Description,
    /// `[text]`: the distance to the centre.
    distances: Vec<Option<f32>>,
}

impl View {
    fn new(
        args: &ClusterArgs,
        corpus: &Corpus,
        (embedder, request, question): (&Embedder, &Request, usize),
        labels: Option<&[String]>,
    ) -> Result<Self> {
        let data = of_question(&corpus.vectors, corpus.dim, corpus.questions, question)?;
        let vectors = Vectors::new(&data, corpus.dim)?;
        if args.method == Method::Hdbscan && vectors.rows() > FAST_HDBSCAN {
            tracing::warn!(
                "hdbscan of more than {FAST_HDBSCAN} texts takes every distance one by one: this is slow"
            );
        }
        let found = args.finder().find(&vectors)?;
        let (filled, asked) = (found.partition.members().len(), found.k);
        if let Some(k) = asked.filter(|k| *k > filled) {
            tracing::warn!("{filled} clusters instead of {k}: there are not more distinct vectors");
        }
        let answers = corpus.answers(question);
        let decoded = decode(
            embedder,
            request,
            corpus,
            (&found, &vectors, answers.as_deref()),
        )?;
        let known = Known {
            answers: answers.as_deref(),
            decoded: decoded.as_deref(),
            labels,
        };
        let centers = found.partition.centers(&vectors)?;
        Ok(Self {
            question: request.questions[question].clone(),
            description: describe(&vectors, &found.partition, known)?,
            distances: found.partition.distances(&vectors, &centers)?,
            found,
        })
    }

    /// How the clusters of two questions fall together.
    fn cross(&self, other: &Self) -> Result<Contingency> {
        let labels = (
            self.found.partition.labels(),
            other.found.partition.labels(),
        );
        Ok(Contingency::new(labels.0, labels.1)?)
    }
}

/// Contrastive decoding: whole words of every cluster's direction. `None` where the head does not read
/// the layer.
fn decode(
    embedder: &Embedder,
    request: &Request,
    corpus: &Corpus,
    (found, vectors, answers): (&Found, &Vectors<'_>, Option<&[String]>),
) -> Result<Option<Vec<Vec<String>>>> {
    let last = embedder.info().layers;
    if request.layer.is_some_and(|layer| layer != last) {
        tracing::info!("no decoded words: only layer {last} is read by the language-model head");
        return Ok(None);
    }
    let answers = answers.into_iter().flatten().map(String::as_str);
    let known = words::vocabulary(corpus.texts().chain(answers));
    let directions = found.partition.directions(vectors)?;
    let words = |direction: &Vec<f32>| {
        let tokens = embedder.likely_tokens(direction, TOKENS)?;
        Ok(words::whole_words(&tokens, &known))
    };
    directions
        .iter()
        .map(words)
        .collect::<Result<_>>()
        .map(Some)
}
