//! The trainer: question–answer pairs in, an adapter out.
//!
//! A model that answers questions about a text in a word or two holds the answer in the state where the
//! answer begins, which is the embedding; so training is question answering, with short answers and no
//! embedding pairs. [`data`] reads rows, groups them by text and lays out epochs.
//!
//! Nothing here prints.

#![forbid(unsafe_code)]

mod checkpoint;
pub mod data;
mod encode;
mod error;
mod export;
mod metrics;
pub mod network;
pub mod optimizer;
mod plot;
mod random;
mod run;
pub mod schedule;
mod settings;
#[cfg(test)]
mod support;
mod trainer;
mod validation;

pub use encode::Encoder;
pub use error::{Error, Result};
pub use metrics::{Record, StepRecord, Totals, ValidationRecord};
pub use plot::plot;
pub use run::{Base, Care, End, Watch, run, write_start};
pub use settings::{Objective, Settings};
pub use trainer::{StepReport, Trainer, measure};
