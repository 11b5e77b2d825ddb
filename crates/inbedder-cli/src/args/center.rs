//! `--center`: what all vectors of a question have in common is taken off.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct CenterArgs {
    /// Take the texts' mean vector off, each question's own; the output's metadata keeps it
    #[arg(long)]
    pub(crate) center: bool,
    /// Take off the means that an earlier --center output was made with (for texts that come later)
    #[arg(long, value_name = "FILE", conflicts_with = "center")]
    pub(crate) center_from: Option<PathBuf>,
}
