//! `inbedder completions`: completions for a shell, made from the arguments themselves.

use crate::args::{Cli, CompletionsArgs};
use crate::error::{Error, Result};
use clap::CommandFactory;
use std::io::Write;

pub(crate) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "inbedder", &mut script);
    std::io::stdout().write_all(&script).map_err(Error::Stdout)
}
