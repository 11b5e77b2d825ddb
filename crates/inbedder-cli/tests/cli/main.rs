//! The command from outside: what it prints, writes and refuses. It runs on a tiny random model, so
//! nothing here judges answers.
//!
//! `support`: running it; `inputs`: what is read and refused; `outputs`: what is written, and what is
//! left when writing fails; `commands`: the rest.

mod commands;
mod inputs;
mod outputs;
mod support;
