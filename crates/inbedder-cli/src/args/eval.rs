//! Arguments of `eval` and `check`.

use super::{InputArgs, RunArgs};
use clap::Args;
use inbedder_eval::Protocol;
use std::path::PathBuf;

/// Runs every task of a folder's tasks.json (layouts: docs/evaluation.md). A task that fails is reported
/// as failed, the others run, and the exit status is 1. Vectors are kept in a cache, so that the same
/// command goes on where it was stopped.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder eval data/eval --max-texts 500 --output results.json --report report.html
  inbedder eval data/eval --tasks 'reuters.*,*.emotion-act' --baseline empty --baseline avg_ppt
  inbedder eval data/eval --baseline fst_gen@20 --published data/eval/published.json --markdown table.md
  inbedder eval data/eval --export-prompts peer      # a peer writes its vectors there, then
  inbedder eval data/eval --vectors peer")]
pub(crate) struct EvalArgs {
    /// Folder with tasks.json and its data
    pub(crate) data: PathBuf,
    /// Tasks to run: names separated by commas, * for anything
    #[arg(long, value_name = "PATTERN")]
    pub(crate) tasks: Option<String>,
    /// Measure on a seeded sample of at most N texts (rows) of each task
    #[arg(long, value_name = "N")]
    pub(crate) max_texts: Option<usize>,
    /// Decides samples, clusterings and resamples
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
    /// k-means: full (best of 10 starts) or mteb (mini-batches of 500)
    #[arg(long, default_value_t)]
    pub(crate) protocol: Protocol,
    /// Clusterings per task, of which mean and deviation are shown
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) clusterings: usize,
    /// Resamples of a difference's interval
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) resamples: usize,
    /// Leave out the correct, implicit and incorrect instructions of robustness_instructions.json
    #[arg(long)]
    pub(crate) no_robustness: bool,
    /// Robustness on at most N texts of a task's sample
    #[arg(long, value_name = "N", conflicts_with = "no_robustness")]
    pub(crate) robustness_texts: Option<usize>,
    /// Also check the robustness instructions without labels, and correlate that with their V-measure
    #[arg(long, conflicts_with = "no_robustness")]
    pub(crate) check: bool,
    /// Texts per instruction of --check
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(crate) check_texts: usize,
    /// Rewordings per instruction of --check
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) check_paraphrases: usize,
    /// A second system: empty (no instruction), base (the model without its adapter), a readout (avg_ppt,
    /// fst_gen@20), or a model (repeatable)
    #[arg(long = "baseline", value_name = "NAME")]
    pub(crate) baselines: Vec<String>,
    /// Vectors made elsewhere as a further system (repeatable)
    #[arg(long, value_name = "FOLDER")]
    pub(crate) vectors: Vec<PathBuf>,
    /// Published scores, as further columns
    #[arg(long, value_name = "FILE")]
    pub(crate) published: Option<PathBuf>,
    /// Write every score and setting as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write tables and charts as one HTML file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Folder of the vectors' cache [default: eval beside the models]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cache: Option<PathBuf>,
    /// Only write the prompts that a peer has to embed for --vectors
    #[arg(long, value_name = "FOLDER")]
    pub(crate) export_prompts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Is a question any good for these texts? Measured without labels: how much of the vectors' variance is
/// the text's and how much the wording's, whether clusters stay when the question is reworded and when
/// other texts are looked at, and what the answers are like.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder check reviews.jsonl -q \"How does the writer feel?\"
  inbedder check reviews.jsonl -q \"What is it about?\" -q \"Who wrote it?\" --paraphrase 4
  inbedder check tickets.csv --text-field body -q \"Which product?\" --paraphrases others.txt --json")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// File of rewordings of the question, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "paraphrase")]
    pub(crate) paraphrases: Option<PathBuf>,
    /// Rewordings made by rule, of 8
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) paraphrase: usize,
    /// Look at a seeded sample of at most N texts
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) max_texts: usize,
    /// Clusters [default: a tenth of the texts, 2 to 12]
    #[arg(short = 'k', long, value_name = "N")]
    pub(crate) clusters: Option<usize>,
    /// Decides sample, halves and clusterings
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
    /// Do not generate answers, which takes longer than all the rest
    #[arg(long)]
    pub(crate) no_answers: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}
