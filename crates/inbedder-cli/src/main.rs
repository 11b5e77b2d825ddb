//! The `inbedder` command: arguments, input and output files, progress. It parses, calls the
//! library and prints; what it knows about models is their names.
//!
//! Standard output holds results and nothing else; progress, notes and errors go to standard error.
//! Exit status: 0; 1 for a failure while running; 2 for wrong usage or input; 130 when interrupted.

mod args;
mod commands;
mod embeddings;
mod error;
mod input;
mod output;
mod parts;
mod progress;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    progress::start_log(cli.verbosity());
    let result = match &cli.command {
        Command::Compare(args) => commands::compare::run(args),
        Command::Ask(args) => commands::ask::run(args),
        Command::Embed(args) => commands::embed::run(args),
        Command::Cluster(args) => commands::cluster::run(args),
        Command::Merge(args) => commands::merge::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Eval(args) => commands::eval::run(args),
        Command::Check(args) => commands::check::run(args),
        Command::Train(args) => commands::train::run(args),
        Command::Models(args) => commands::models::run(args),
        Command::Completions(args) => commands::completions::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_closed_pipe() {
                anstream::eprintln!("error: {error}");
            }
            ExitCode::from(error.exit_status())
        }
    }
}
