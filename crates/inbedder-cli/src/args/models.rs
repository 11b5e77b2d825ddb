//! Arguments of `inbedder models`.

use clap::{Args, Subcommand};
use inbedder::export::ExportDtype;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder models
  inbedder models pull default
  inbedder models merge --adapter my-adapter -o my-model")]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ModelsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsAction {
    /// Fetch a built-in model into the cache
    #[command(after_long_help = "Examples:\n  inbedder models pull default")]
    Pull {
        /// Its name
        name: String,
    },
    /// Write a model with its adapter merged in, for other programs
    Merge(MergeModelArgs),
}

/// The output is a GGUF file if its name ends in .gguf, else a folder in Hugging Face's layout.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  inbedder models merge --adapter my-adapter -o my-model.gguf
  inbedder models merge --model hf:owner/base --adapter my-adapter -o my-model --dtype bf16
  inbedder models merge --adapter none -o plain-default")]
pub(crate) struct MergeModelArgs {
    /// Folder, .gguf file, hf:owner/name[@revision] or built-in name
    #[arg(long, default_value = "default")]
    pub(crate) model: String,
    /// LoRA adapter: a PEFT folder, hf:owner/name[@revision], a built-in name, or none [default: the
    /// one that the model's built-in name brings]
    #[arg(long, value_name = "ADAPTER")]
    pub(crate) adapter: Option<String>,
    /// Folder or .gguf file to write; it must not be there
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: PathBuf,
    /// Number format: f32, f16, bf16 (folders) or q8_0 (GGUF) [default: f32 for a folder, q8_0 for GGUF]
    #[arg(long)]
    pub(crate) dtype: Option<ExportDtype>,
}
