//! `inbedder eval`: systems on tasks with known answers.

use super::load;
use crate::args::EvalArgs;
use crate::error::{Error, Result};
use crate::progress::Bar;
use inbedder::source::Cache;
use inbedder::{Embedder, Progress, Readout, Request};
use inbedder_eval::{
    Baseline, CheckSettings, Evaluation, FileSource, Manifest, ModelSource, Reading, Results,
    Settings, Source, System, Watch, export_prompts, report, systems,
};
use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &EvalArgs) -> Result<()> {
    if !args.run.questions.is_empty() || args.run.questions_file.is_some() {
        let problem = "the questions are those of tasks.json: leave out -q and --questions-file";
        return Err(Error::Usage(problem.to_string()));
    }
    let mut manifest = Manifest::open(&args.data)?;
    if let Some(pattern) = &args.tasks {
        manifest.select(pattern)?;
    }
    let settings = settings(args);
    let baselines: Vec<Baseline> = args
        .baselines
        .iter()
        .map(|name| Baseline::parse(name))
        .collect();
    if let Some(folder) = &args.export_prompts {
        let empty = baselines.contains(&Baseline::Empty);
        let count = export_prompts(&manifest, &settings, ("peer", empty), folder)?;
        tracing::info!("{count} prompts are in {}", folder.display());
        return Ok(());
    }
    let (sources, systems) = sources(args, &baselines)?;
    let mut evaluation = Evaluation {
        manifest,
        settings,
        sources,
        systems,
    };
    let results = evaluation.run(args.published.as_deref(), &Terminal(args))?;
    write(args, &results)?;
    print(&report::summary(&results))?;
    match results.failed {
        0 => Ok(()),
        failed => Err(Error::Tasks {
            failed,
            of: results.tasks.len(),
        }),
    }
}

fn settings(args: &EvalArgs) -> Settings {
    Settings {
        max_texts: args.max_texts,
        seed: args.seed,
        clusterings: args.clusterings,
        protocol: args.protocol,
        resamples: args.resamples,
        robustness: !args.no_robustness,
        robustness_texts: args.robustness_texts,
        check: args.check.then_some(CheckSettings {
            texts: args.check_texts,
            paraphrases: args.check_paraphrases,
            clusters: None,
            seed: args.seed,
        }),
    }
}

/// Where vectors come from, and the systems that are measured with them.
type Sources = (Vec<Box<dyn Source>>, Vec<System>);

/// The model, baselines that are models, and folders of vectors, with their systems.
fn sources(args: &EvalArgs, baselines: &[Baseline]) -> Result<Sources> {
    let cache = cache(args)?;
    let mut request = args.run.request(vec![String::new()]);
    let embedder = load(&args.run, &mut request)?;
    let main = read_at(&embedder, &request);
    let (readouts, mut systems) = systems(&args.run.model, main, baselines);
    let main = ModelSource::new(embedder, Reading { request, readouts }, &cache)?;
    let mut sources: Vec<Box<dyn Source>> = vec![Box::new(main)];
    for baseline in baselines {
        let mut run = args.run.clone();
        run.layer = None;
        match baseline {
            Baseline::Model(model) => (run.model, run.adapter) = (model.clone(), None),
            Baseline::Base => run.adapter = Some("none".to_string()),
            Baseline::Empty | Baseline::Readout(..) => continue,
        }
        let mut request = run.request(vec![String::new()]);
        let embedder = load(&run, &mut request)?;
        let readouts = vec![read_at(&embedder, &request)];
        let reading = Reading { request, readouts };
        sources.push(Box::new(ModelSource::new(embedder, reading, &cache)?));
    }
    for folder in &args.vectors {
        let source = FileSource::open(folder)?;
        systems.push(System {
            name: source.name().to_string(),
            source: sources.len(),
            reading: 0,
            empty: false,
        });
        sources.push(Box::new(source));
    }
    Ok((sources, systems))
}

/// The readout and the layer of a request.
fn read_at(embedder: &Embedder, request: &Request) -> (Readout, usize) {
    let readout = request.readout.unwrap_or_default();
    (readout, request.layer.unwrap_or(embedder.info().layers))
}

fn cache(args: &EvalArgs) -> Result<PathBuf> {
    Ok(match &args.cache {
        Some(folder) => folder.clone(),
        None => Cache::from_env()?.root.join("eval"),
    })
}

/// Writes what is known so far into the files that were asked for.
fn write(args: &EvalArgs, results: &Results) -> Result<(), inbedder_eval::Error> {
    let json = |path: &Path| {
        let text = format!("{:#}\n", serde_json::json!(results));
        inbedder_eval::write(path, text.as_bytes())
    };
    args.output.as_deref().map_or(Ok(()), json)?;
    if let Some(path) = &args.markdown {
        inbedder_eval::write(path, report::markdown(results).as_bytes())?;
    }
    match &args.report {
        Some(path) => inbedder_eval::write(path, report::html(results).as_bytes()),
        None => Ok(()),
    }
}

fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(Error::Stdout)
}

/// A bar for every reading, lines and files for every task.
struct Terminal<'a>(&'a EvalArgs);

struct FileBar(Bar);

impl Progress for FileBar {
    fn advance(&self, texts: usize, tokens: usize) -> bool {
        self.0.advance(texts, tokens)
    }
}

impl Drop for FileBar {
    fn drop(&mut self) {
        self.0.clear();
    }
}

impl Watch for Terminal<'_> {
    fn reading(&self, file: &str, texts: usize) -> Box<dyn Progress + '_> {
        tracing::debug!("embedding {file}");
        Box::new(FileBar(Bar::new(texts as u64, self.0.run.quiet)))
    }

    fn done(&self, results: &Results) -> Result<(), inbedder_eval::Error> {
        // A closed pipe is found out by what is printed last.
        drop(print(&report::last_task(results)));
        write(self.0, results)
    }
}
