//! `inbedder train`.

use crate::args::{FrozenPrecision, PlotArgs, ScheduleArg, Train, TrainAction, TrainArgs};
use crate::error::{Error, Result};
use crate::progress::{FetchBar, TrainBar, catch_interrupts};
use inbedder::checkpoint::Checkpoint;
use inbedder::source::{Cache, ModelRef};
use inbedder::{Isa, Precision};
use inbedder_train::data::{
    Answers, Exclusion, Measured, Mix, MixFile, Passage, Sources, Split, Validation,
    ValidationSize, passages, subset,
};
use inbedder_train::network::{Lora, Trained};
use inbedder_train::optimizer::AdamW;
use inbedder_train::schedule::{Decay, Schedule};
use inbedder_train::{
    Base, Care, End, Objective, Settings, Trainer, measure, run as train, write_start,
};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    if let Some(TrainAction::Plot(args)) = &args.action {
        return plot(args);
    }
    let Some(out) = &args.output else {
        return Err(Error::Usage("no output: add -o FOLDER".to_string()));
    };
    catch_interrupts();
    let settings = settings(args)?;
    settings.check()?;
    let files = args
        .model
        .parse::<ModelRef>()?
        .resolve(&Cache::from_env()?, &FetchBar::new())?;
    let checkpoint = Checkpoint::open(&files)?;
    let (data, held_out) = data(args, &checkpoint)?;
    let mut trainer = Trainer::new(checkpoint, settings, data)?;
    let base = Base {
        name: args.model.clone(),
        files,
    };
    if let Some(path) = &args.rows.dump_batches {
        if args.what.train == Train::Lora {
            write_start(&trainer, &base, out)?;
        }
        return dump(&mut trainer, path);
    }
    finish(&mut trainer, &base, &held_out, out, args)
}

fn plot(args: &PlotArgs) -> Result<()> {
    let svg = inbedder_train::plot(&args.metrics)?;
    std::fs::write(&args.output, svg).map_err(|cause| Error::output(&args.output, cause))
}

fn finish(
    trainer: &mut Trainer,
    base: &Base,
    held_out: &Measured,
    out: &Path,
    args: &TrainArgs,
) -> Result<()> {
    let care = Care {
        out: out.to_path_buf(),
        resume: args.resume,
        checkpoint_every: Duration::try_from_secs_f64(60.0 * args.care.checkpoint_minutes.max(0.0))
            .unwrap_or(Duration::MAX),
        keep: args.care.keep,
        validate_every: args.care.validate_every.max(1),
    };
    let settings = trainer.settings();
    tracing::info!(
        "{} numbers in {} tensors, {} steps of at most {} tokens, {} weights, {} threads, {}",
        trainer.parameters().len(),
        trainer.parameters().tensors.len(),
        trainer.steps(),
        settings.tokens_per_step,
        settings.precision,
        settings.threads,
        isa()?,
    );
    let bar = TrainBar::new(args.quiet);
    match train(trainer, base, held_out, &care, &bar)? {
        End::Done => {
            bar.finish();
            match args.what.train {
                Train::Lora => tracing::info!("trained; use it with --adapter {}", out.display()),
                Train::All | Train::Head => {
                    tracing::info!(
                        "trained; use it with --model {}",
                        out.join("model").display()
                    );
                }
            }
            Ok(())
        }
        End::Stopped => Err(Error::Stopped {
            path: out.to_path_buf(),
        }),
    }
}

fn isa() -> Result<Isa> {
    Ok(Isa::detect().map_err(inbedder::Error::InstructionSet)?)
}

fn settings(args: &TrainArgs) -> Result<Settings> {
    let (what, how) = (&args.what, &args.how);
    let trained = match what.train {
        Train::All => Trained::All,
        Train::Head => Trained::Head,
        Train::Lora => Trained::Lora(Lora {
            rank: what.rank,
            alpha: what.alpha.unwrap_or(2.0 * what.rank as f32),
            rslora: what.rslora,
            dropout: what.dropout,
            targets: what.targets.clone(),
            top_layers: what.top_layers,
        }),
    };
    let precision = match (how.precision, &trained) {
        (FrozenPrecision::Bf16, _) => Precision::Bf16,
        (FrozenPrecision::Auto, Trained::Lora(_)) => Precision::fastest_faithful(isa()?),
        _ => Precision::F32,
    };
    Ok(Settings {
        trained,
        objective: Objective {
            causal: what.causal,
            whole_answer: what.whole_answer,
            contrast: what.answer_contrast,
            cosine: what.answer_cosine,
        },
        answers: Answers {
            without_stop_words: !args.rows.keep_stop_words,
            leading_space: !args.rows.no_leading_space,
        },
        template: what.template.to_string(),
        max_tokens: args.rows.max_tokens,
        tokens_per_step: how.tokens_per_step,
        tokens_per_batch: how.tokens_per_batch,
        epochs: how.epochs,
        max_steps: how.max_steps,
        schedule: Schedule {
            learning_rate: how.learning_rate,
            decay: match how.schedule {
                ScheduleArg::Cosine => Decay::Cosine,
                ScheduleArg::Linear => Decay::Linear,
                ScheduleArg::Constant => Decay::Constant,
            },
            warmup: how.warmup,
        },
        optimizer: AdamW {
            beta1: how.beta1,
            beta2: how.beta2,
            eps: how.eps,
            weight_decay: how.weight_decay,
        },
        clip: how.clip,
        seed: how.seed,
        precision: precision.to_string(),
        threads: match how.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        },
    })
}

/// What is learnt from, and what is held out.
fn data(args: &TrainArgs, checkpoint: &Checkpoint) -> Result<(Measured, Measured)> {
    let rows = &args.rows;
    let plain = rows_files(&args.data);
    let mix = Mix {
        files: plain.chain(rows.mix.iter().cloned()).collect(),
        sources: Sources {
            only: (!rows.sources.is_empty()).then(|| rows.sources.clone()),
            without: rows.without_sources.clone(),
        },
        exclusion: rows.exclude.as_deref().map(Exclusion::read).transpose()?,
        on_excluded: rows.on_excluded,
    };
    let (read, counts) = mix.read()?;
    let answers = Answers {
        without_stop_words: !rows.keep_stop_words,
        leading_space: !rows.no_leading_space,
    };
    let split = Split {
        held_out: rows.held_out,
        seed: args.how.seed,
    };
    let (learnt, held_out) = split.apply(passages(&mix, read, answers));
    let learnt = match rows.rows {
        Some(rows) => subset(learnt, rows, args.how.seed, Passage::rows),
        None => learnt,
    };
    if let Some(folder) = &rows.validation_tasks {
        Validation::new(&held_out, ValidationSize::default(), args.how.seed).write(folder)?;
    }
    let (most, seed) = (args.care.validation_questions, args.how.seed);
    let held_out = subset(held_out, most, seed, |passage| passage.questions.len());
    let (learnt, overlong) = measure(checkpoint, &args.what.template, learnt, rows.max_tokens)?;
    let held_out = match held_out.is_empty() {
        true => Measured::default(),
        false => measure(checkpoint, &args.what.template, held_out, rows.max_tokens)?.0,
    };
    tracing::info!(
        "{} of {} rows: {} texts to learn from, {} to look at; {} excluded, {} questions too long",
        counts.kept.values().sum::<usize>(),
        counts.rows,
        learnt.passages.len(),
        held_out.passages.len(),
        counts.excluded,
        overlong.questions,
    );
    Ok((learnt, held_out))
}

fn rows_files(paths: &[std::path::PathBuf]) -> impl Iterator<Item = MixFile> {
    paths.iter().map(|path| MixFile {
        path: path.clone(),
        weight: 1.0,
    })
}

/// Every step's rows, a line each.
fn dump(trainer: &mut Trainer, path: &Path) -> Result<()> {
    let file = std::fs::File::create(path).map_err(|cause| Error::output(path, cause))?;
    let mut file = std::io::BufWriter::new(file);
    for step in 1..=trainer.steps() {
        let line = serde_json::to_string(&trainer.rows_of(step)?)
            .map_err(|cause| Error::output(path, cause))?;
        writeln!(file, "{line}").map_err(|cause| Error::write(path, cause))?;
    }
    file.flush().map_err(|cause| Error::write(path, cause))
}
