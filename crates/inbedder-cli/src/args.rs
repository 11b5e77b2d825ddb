//! Arguments, as plain values. What they mean is decided in `commands`.

mod center;
mod cluster;
mod eval;
mod models;
mod train;

pub(crate) use center::CenterArgs;
pub(crate) use cluster::{ClusterArgs, Count, Method};
pub(crate) use eval::{CheckArgs, EvalArgs};
pub(crate) use models::{MergeModelArgs, ModelsAction, ModelsArgs};
pub(crate) use train::{FrozenPrecision, PlotArgs, ScheduleArg, Train, TrainAction, TrainArgs};

use clap::{Args, Parser, Subcommand, ValueEnum};
use inbedder::adapter::AdapterDefaults;
use inbedder::{Normalize, Precision, Readout, Request, Template, Truncate};
use std::path::PathBuf;

/// Ask a question about each text; get the answer and its embedding.
///
/// A language model answers your question about every text, and the hidden state of the expected
/// answer is the text's embedding: the same texts lie one way under one question and another way
/// under the next.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  inbedder compare
  inbedder compare \"I love cats!\" \"I hate dogs!\" -q \"Which animal is mentioned?\"
  inbedder ask reviews.jsonl -q \"What is the customer complaining about?\"
  inbedder embed reviews.jsonl -q \"How does the writer feel?\" -o feelings.parquet --answers
  inbedder cluster reviews.jsonl -q \"How does the writer feel?\" -k auto -o feelings.jsonl
  inbedder check reviews.jsonl -q \"How does the writer feel?\"
  inbedder ask reviews.jsonl -q \"What is it about?\" --adapter my-adapter";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show how a few texts group under each question
    Compare(CompareArgs),
    /// Answer every question about every text
    Ask(AskArgs),
    /// Embed every text under every question
    Embed(EmbedArgs),
    /// Cluster texts under a question and name the clusters
    Cluster(ClusterArgs),
    /// Join the outputs of embed --shard
    Merge(MergeArgs),
    /// Measure the speed of embedding on this machine
    Bench(BenchArgs),
    /// Measure systems on tasks with known answers
    Eval(EvalArgs),
    /// Tell whether a question is any good for some texts
    Check(CheckArgs),
    /// Train an adapter on question–answer pairs
    Train(TrainArgs),
    /// List the built-in models, fetch one, or merge an adapter into one
    Models(ModelsArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
}

impl Cli {
    /// -1 quiet, 0 normal, 1 verbose.
    pub(crate) fn verbosity(&self) -> i8 {
        let run = match &self.command {
            Command::Compare(args) => &args.run,
            Command::Ask(args) => &args.run,
            Command::Embed(args) => &args.run,
            Command::Bench(args) => &args.run,
            Command::Eval(args) => &args.run,
            Command::Check(args) => &args.run,
            Command::Cluster(args) => &args.run,
            Command::Train(args) => return i8::from(args.verbose) - i8::from(args.quiet),
            Command::Merge(_) | Command::Models(_) | Command::Completions(_) => return 0,
        };
        i8::from(run.verbose) - i8::from(run.quiet)
    }
}

/// Without texts it runs a built-in demonstration.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder compare
  inbedder compare \"I love cats!\" \"I love dogs!\" \"I hate cats!\" \\
      -q \"Which animal is mentioned?\" -q \"How does the writer feel?\"
  inbedder compare \"late again\" \"great price\" -q \"What is it about?\" --json")]
pub(crate) struct CompareArgs {
    /// Texts to compare
    pub(crate) texts: Vec<String>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder ask reviews.jsonl -q \"What is it about?\" -q \"How does the writer feel?\"
  inbedder ask tickets.csv --text-field body -q \"Which product?\" --format jsonl | head
  cat lines.txt | inbedder ask - -q \"Who is mentioned?\"")]
pub(crate) struct AskArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// How answers are printed [default: table on a terminal, else jsonl]
    #[arg(long, value_enum)]
    pub(crate) format: Option<AnswerFormat>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerFormat {
    Table,
    Jsonl,
}

/// The output's format is that of its name: .parquet, .jsonl (also .gz, .zst), .npy, .safetensors.
///
/// Parquet and JSON lines hold a row per text and question with the input's other columns; npy and
/// safetensors hold texts × dimensions, or questions × texts × dimensions for several questions.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder embed reviews.jsonl -q \"How does the writer feel?\" -o feelings.parquet --answers
  inbedder embed news.csv.gz --text-field body -q \"Where?\" -q \"Topic?\" -o news.npy
  inbedder embed texts.txt -q \"What is it about?\" -o out.safetensors --layer 24 --limit 1000
  inbedder embed millions.jsonl.zst -q \"Topic?\" -o out.parquet --resume --on-error skip
  inbedder embed new.jsonl -q \"Topic?\" -o new.parquet --center-from old.parquet")]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// Output file; its extension names the format
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Also generate the answers in words (parquet and jsonl)
    #[arg(long)]
    pub(crate) answers: bool,
    /// Replace an output that exists
    #[arg(long)]
    pub(crate) force: bool,
    /// Keep finished parts in OUT.parts: stopped at any moment, the same command goes on from there
    #[arg(long)]
    pub(crate) resume: bool,
    /// Embed part I of N, every N-th text; `inbedder merge` joins the outputs
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// What to do about a text that cannot be read: skip writes it to OUT.errors.jsonl
    #[arg(long, value_enum, default_value_t = OnError::Stop)]
    pub(crate) on_error: OnError,
    #[command(flatten)]
    pub(crate) center: CenterArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    Stop,
    Skip,
}

/// Part `index` (from 1) of `count`: texts `index - 1`, `index - 1 + count`, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) count: usize,
}

impl Shard {
    /// Whether the text with this number, from 0, is in it.
    pub(crate) fn takes(self, text: usize) -> bool {
        text % self.count == self.index - 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    /// # Errors
    /// Anything but two numbers `I/N` with 1 ≤ I ≤ N.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some((index.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
        });
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err("expected I/N with 1 ≤ I ≤ N, as in 2/3".to_string()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// Rows come back in the order of the input. Every part must be there once, and be of the same job.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder embed all.jsonl -q \"Topic?\" -o part1.parquet --shard 1/2
  inbedder embed all.jsonl -q \"Topic?\" -o part2.parquet --shard 2/2
  inbedder merge part1.parquet part2.parquet -o all.parquet")]
pub(crate) struct MergeArgs {
    /// Outputs of embed --shard, in any order (.parquet, .jsonl)
    #[arg(required = true)]
    pub(crate) parts: Vec<PathBuf>,
    /// Output file, of the same format
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Replace an output that exists
    #[arg(long)]
    pub(crate) force: bool,
}

/// Tokens per second of whole runs (a first one warms up), and the linear layers' operations as a
/// share of what the cores could do in registers alone.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder bench
  inbedder bench reviews.jsonl -q \"How does the writer feel?\" --precision int8 --threads 1
  inbedder bench news.jsonl -q \"Where?\" -q \"Topic?\" --limit 100 --json
  inbedder bench --peak")]
pub(crate) struct BenchArgs {
    /// File of texts [default: 64 built-in texts of about 100 tokens]
    pub(crate) input: Option<PathBuf>,
    /// Column or field that holds the text
    #[arg(long, default_value = "text", value_name = "NAME")]
    pub(crate) text_field: String,
    /// Use the first N texts only
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Runs to time
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rounds: u64,
    /// Also generate the answers
    #[arg(long)]
    pub(crate) answers: bool,
    /// Print the cores' peak in each precision instead: products in registers alone
    #[arg(long)]
    pub(crate) peak: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  inbedder completions bash > ~/.local/share/bash-completion/completions/inbedder"
)]
pub(crate) struct CompletionsArgs {
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Which texts.
#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// File of texts (.txt, .jsonl, .csv, .tsv, .parquet; also .gz, .zst), or - for standard input
    pub(crate) input: PathBuf,
    /// Column or field that holds the text
    #[arg(long, default_value = "text", value_name = "NAME")]
    pub(crate) text_field: String,
    /// Format of the input, when its name does not tell [standard input: jsonl if it starts with {, else txt]
    #[arg(long, value_enum)]
    pub(crate) input_format: Option<InputFormat>,
    /// Read the first N texts only
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    Txt,
    Jsonl,
    Csv,
    Tsv,
    Parquet,
}

/// Which questions, of which model.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// A question to ask about every text (repeatable)
    #[arg(short, long = "question", value_name = "QUESTION")]
    pub(crate) questions: Vec<String>,
    /// A file of questions, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) questions_file: Option<PathBuf>,
    /// Folder, .gguf file, hf:owner/name[@revision] or built-in name
    #[arg(long, default_value = "default")]
    pub(crate) model: String,
    /// LoRA adapter: a PEFT folder, hf:owner/name[@revision], a built-in name, or none [default: the
    /// one that the model's built-in name brings]
    #[arg(long, value_name = "ADAPTER")]
    pub(crate) adapter: Option<String>,
    /// Which states make the embedding: fst_gen (where the answer begins) or avg_ppt (mean of the
    /// prompt) [default: the adapter's, else fst_gen]
    #[arg(long)]
    pub(crate) readout: Option<Readout>,
    /// Layer to read: 0 is the token embedding [default: the adapter's, else the last, after the final
    /// norm]
    #[arg(long, value_name = "N")]
    pub(crate) layer: Option<usize>,
    /// Scaling of vectors: l2 or none
    #[arg(long, default_value_t)]
    pub(crate) normalize: Normalize,
    /// Precision of the weights: auto (bf16 where the chip multiplies it, else f32), f32, bf16 or int8
    #[arg(long, default_value = "auto")]
    pub(crate) precision: PrecisionChoice,
    /// Worker threads [default: one per core]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    pub(crate) threads: usize,
    /// Tokens that a worker reads at a time
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub(crate) token_budget: usize,
    /// Longest prompt, in tokens
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub(crate) max_tokens: usize,
    /// Longest answer, in tokens
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) max_new_tokens: usize,
    /// Prompt: inbedder, alpaca, llama2-chat, or a pattern with {input} and {instruction} [default: the
    /// adapter's, else inbedder]
    #[arg(long, value_name = "NAME|PATTERN")]
    pub(crate) template: Option<Template>,
    /// What is cut from a prompt that is too long: text (the text's end) or left (the prompt's beginning)
    #[arg(long, default_value_t)]
    pub(crate) truncate: Truncate,
    /// Print nothing but results and errors
    #[arg(long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print what is done and how long it takes
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// `auto` or a precision by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrecisionChoice(pub(crate) Option<Precision>);

impl std::str::FromStr for PrecisionChoice {
    type Err = String;

    /// # Errors
    /// A message that lists the names.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self(None)),
            _ => name.parse().map(|precision| Self(Some(precision))),
        }
    }
}

impl RunArgs {
    /// The library's request for some questions, before a model is loaded; see [`Self::settle`].
    pub(crate) fn request(&self, questions: Vec<String>) -> Request {
        let mut request = Request {
            truncate: self.truncate,
            max_tokens: self.max_tokens,
            normalize: self.normalize,
            token_budget: self.token_budget,
            ..Request::new(questions)
        };
        self.settle(&mut request, &AdapterDefaults::default());
        request
    }

    /// Puts what an adapter was trained to be used with wherever the user said nothing.
    pub(crate) fn settle(&self, request: &mut Request, defaults: &AdapterDefaults) {
        let template = self.template.as_ref().or(defaults.template.as_ref());
        request.template = template.cloned().unwrap_or_default();
        if request.readout.is_some() {
            request.readout = self.readout.or(defaults.readout).or(request.readout);
        }
        request.layer = self.layer.or(defaults.layer);
    }
}
