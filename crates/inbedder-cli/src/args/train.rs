//! Arguments of `train`.

use clap::{Args, Subcommand, ValueEnum};
use inbedder_train::data::{HeldOut, MixFile, OnExcluded};
use std::path::PathBuf;

/// Rows are JSON lines {input, instruction, output, source?} (also .gz, .zst): a text, a question about it
/// and a short answer. All questions about a text are read, and learnt from, in one pass. OUT becomes a
/// PEFT folder for --adapter, with metrics.jsonl and checkpoints beside it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_long_help = "\
Examples:
  inbedder train pairs.jsonl -o my-adapter
  inbedder train qa.jsonl.zst --without-sources babi,dream --exclude data/eval -o adapter --rows 100000
  inbedder train qa.jsonl.zst --mix own.jsonl=3 -o adapter --whole-answer 0.5 --epochs 2
  inbedder train pairs.jsonl -o my-adapter --resume      # the same command, after it was stopped
  inbedder train plot my-adapter/metrics.jsonl -o curve.svg
  inbedder ask texts.jsonl -q \"What is it about?\" --adapter my-adapter")]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    pub(crate) action: Option<TrainAction>,
    /// Files of rows
    #[arg(required_unless_present = "mix")]
    pub(crate) data: Vec<PathBuf>,
    /// Folder of the adapter that is made
    #[arg(short, long, value_name = "OUT", required = true)]
    pub(crate) output: Option<PathBuf>,
    /// Go on from the last checkpoint in OUT
    #[arg(long)]
    pub(crate) resume: bool,
    /// Base model: folder, .gguf file, hf:owner/name[@revision] or built-in name
    #[arg(long, default_value = "default")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
    #[command(flatten)]
    pub(crate) what: WhatArgs,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    #[command(flatten)]
    pub(crate) care: CareArgs,
    /// Only warnings and errors, no progress bar
    #[arg(long)]
    pub(crate) quiet: bool,
    /// More notes
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrainAction {
    /// Draw the curves of a run
    Plot(PlotArgs),
}

/// Loss, exact match, learning rate and gradient by step, as one SVG.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder train plot my-adapter/metrics.jsonl -o curve.svg")]
pub(crate) struct PlotArgs {
    /// What training wrote beside the adapter
    #[arg(value_name = "METRICS.jsonl")]
    pub(crate) metrics: PathBuf,
    /// The drawing; one that is there is replaced
    #[arg(short, long, value_name = "FILE.svg")]
    pub(crate) output: PathBuf,
}

/// Which rows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct RowArgs {
    /// A file whose texts are read WEIGHT times per epoch: 0.25 is one in four (repeatable)
    #[arg(long, value_name = "FILE=WEIGHT")]
    pub(crate) mix: Vec<MixFile>,
    /// Only rows of these sources
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) sources: Vec<String>,
    /// No rows of these sources
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) without_sources: Vec<String>,
    /// Refuse rows whose text occurs in any .jsonl file of this folder, compressed or not
    #[arg(long, value_name = "DIR")]
    pub(crate) exclude: Option<PathBuf>,
    /// What to do about such a row: stop with an error, or drop it and count
    #[arg(
        long,
        default_value = "error",
        requires = "exclude",
        value_name = "error|drop"
    )]
    pub(crate) on_excluded: OnExcluded,
    /// Use about N rows: whole texts, drawn at random by the seed
    #[arg(long, value_name = "N")]
    pub(crate) rows: Option<usize>,
    /// Texts held out for validation: a number, or a share such as 0.02
    #[arg(long, default_value = "0.02", value_name = "N", value_parser = held_out)]
    pub(crate) held_out: HeldOut,
    /// Write triplets of the held-out texts into a folder for `inbedder eval`
    #[arg(long, value_name = "DIR")]
    pub(crate) validation_tasks: Option<PathBuf>,
    /// Leave out questions that have more tokens than this with text and answer; at most 8192
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub(crate) max_tokens: usize,
    /// Answers keep their stop-words
    #[arg(long)]
    pub(crate) keep_stop_words: bool,
    /// Answers begin without a space, as those of the method's authors do
    #[arg(long)]
    pub(crate) no_leading_space: bool,
    /// Write the rows of every step to a file, and the adapter before the first step to OUT, for a peer;
    /// train nothing
    #[arg(long, value_name = "FILE")]
    pub(crate) dump_batches: Option<PathBuf>,
}

/// What is trained, and to what end.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is trained")]
pub(crate) struct WhatArgs {
    /// lora: small differences to linear layers; all: every weight; head: the language-model head
    #[arg(long, value_enum, default_value_t = Train::Lora)]
    pub(crate) train: Train,
    /// Rank of LoRA
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) rank: usize,
    /// Numerator of LoRA's scale [default: twice the rank]
    #[arg(long, value_name = "X")]
    pub(crate) alpha: Option<f32>,
    /// Scale by alpha / √rank instead of alpha / rank
    #[arg(long)]
    pub(crate) rslora: bool,
    /// Dropout of LoRA's inputs
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub(crate) dropout: f32,
    /// Layers that get LoRA, such as q_proj,v_proj [default: all linear ones]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) targets: Vec<String>,
    /// LoRA in the last N layers alone
    #[arg(long, value_name = "N")]
    pub(crate) top_layers: Option<usize>,
    /// Weight of the loss of the answer's tokens, one after the other
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub(crate) causal: f32,
    /// Weight of the loss of all the answer's words at its first place
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub(crate) whole_answer: f32,
    /// Weight of the loss of telling the answer from those to other questions and of other texts
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub(crate) answer_contrast: f32,
    /// Weight of the loss of cosines of states that are not those of their answers
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub(crate) answer_cosine: f32,
    /// Prompt pattern, or its name
    #[arg(long, default_value = "inbedder")]
    pub(crate) template: inbedder::Template,
}

/// The optimiser and its steps.
#[derive(Debug, Args)]
#[command(next_help_heading = "Optimiser")]
pub(crate) struct HowArgs {
    /// Highest learning rate
    #[arg(long, default_value_t = 4e-4, value_name = "X")]
    pub(crate) learning_rate: f64,
    /// How the learning rate falls
    #[arg(long, value_enum, default_value_t = ScheduleArg::Cosine)]
    pub(crate) schedule: ScheduleArg,
    /// Share of the steps over which it rises
    #[arg(long, default_value_t = 0.03, value_name = "SHARE")]
    pub(crate) warmup: f64,
    /// Weight decay of AdamW
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub(crate) weight_decay: f32,
    /// Decay of AdamW's mean of gradients
    #[arg(long, default_value_t = 0.9, value_name = "X")]
    pub(crate) beta1: f32,
    /// Decay of AdamW's mean of squares
    #[arg(long, default_value_t = 0.999, value_name = "X")]
    pub(crate) beta2: f32,
    /// AdamW's epsilon
    #[arg(long, default_value_t = 1e-8, value_name = "X")]
    pub(crate) eps: f32,
    /// Longest gradient
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub(crate) clip: f64,
    /// Times that the data is gone through
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) epochs: u64,
    /// End after N steps; the learning rate has fallen by then
    #[arg(long, value_name = "N")]
    pub(crate) max_steps: Option<u64>,
    /// Distinct tokens per step
    #[arg(long, default_value_t = 4096, value_name = "N")]
    pub(crate) tokens_per_step: usize,
    /// Distinct tokens that a worker reads at a time: memory
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub(crate) tokens_per_batch: usize,
    /// Decides the order of the data, where LoRA begins, and dropout
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
    /// Precision of frozen weights
    #[arg(long, value_enum, default_value_t = FrozenPrecision::Auto)]
    pub(crate) precision: FrozenPrecision,
    /// Workers [default: one per core]
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    pub(crate) threads: usize,
}

/// What happens beside the steps.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct CareArgs {
    /// Minutes between checkpoints
    #[arg(long, default_value_t = 5.0, value_name = "X")]
    pub(crate) checkpoint_minutes: f64,
    /// Checkpoints that are kept
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) keep: usize,
    /// Steps between looks at the held-out texts
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(crate) validate_every: u64,
    /// Look at whole held-out texts until they have N questions
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(crate) validation_questions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Train {
    Lora,
    All,
    Head,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleArg {
    Cosine,
    Linear,
    Constant,
}

/// auto: bf16 where the chip multiplies it, else f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FrozenPrecision {
    Auto,
    F32,
    Bf16,
}

/// # Errors
/// Anything but a number of texts or a share below 1.
fn held_out(given: &str) -> Result<HeldOut, String> {
    if let Ok(texts) = given.parse() {
        return Ok(HeldOut::Texts(texts));
    }
    match given.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(HeldOut::Share(share)),
        _ => Err("expected a number of texts, or a share from 0 up to but not 1".to_string()),
    }
}
