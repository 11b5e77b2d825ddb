//! The command from outside: what it prints, writes and refuses. It runs on a tiny random model, so
//! nothing here judges answers.
//!
//! `support`: running it; `inputs`: what is read and refused; `outputs`: what is written, and what is
//! left when writing fails; `jobs`: jobs that are stopped, shared or have rows that cannot be read;
//! `adapters`: models with a LoRA adapter, and merging one; `train`: making one; `cluster` and `center`:
//! clusters, and vectors without their mean; `evaluation`: eval and check;
//! `commands`: the rest.

// Helpers of tests are test code too, which `allow-unwrap-in-tests` does not see.
#![allow(clippy::unwrap_used)]

mod adapters;
mod center;
mod cluster;
mod commands;
mod evaluation;
mod inputs;
mod jobs;
mod outputs;
mod support;
mod train;
