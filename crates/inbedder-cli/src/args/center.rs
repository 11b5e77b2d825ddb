//! `--center`: what all vectors of a question have in common is taken off.

use clap::Args;
use inbedder::adapter::AdapterDefaults;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct CenterArgs {
    /// Take the texts' mean vector off, each question's own; the output's metadata keeps it [default: as
    /// the adapter says, for three texts or more]
    #[arg(long)]
    pub(crate) center: bool,
    /// Leave the mean in, whatever the adapter says
    #[arg(long, conflicts_with = "center")]
    pub(crate) no_center: bool,
    /// Take off the means that an earlier --center output was made with (for texts that come later)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["center", "no_center"])]
    pub(crate) center_from: Option<PathBuf>,
}

impl CenterArgs {
    /// Whether the mean of these texts is taken off. By an adapter's default that of one or two is not:
    /// nothing, or one direction, would be left.
    pub(crate) fn own_mean(&self, defaults: &AdapterDefaults, texts: usize) -> bool {
        let open = !self.no_center && self.center_from.is_none();
        self.center || open && defaults.center == Some(true) && texts > 2
    }
}
