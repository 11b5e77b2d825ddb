//! Every protocol of the InBedder paper, on any folder of data in a documented layout, for any system:
//! clustering, triplets, sentence pairs, reranking, robustness to wording, and checks of a question without
//! labels.
//!
//! A [`Manifest`] says which tasks there are, a [`Source`] gives vectors, an [`Evaluation`] scores systems
//! on all tasks and gives [`Results`], which `report` shows. Measures of partitions are
//! `inbedder-cluster`'s. Nothing here prints, and no data is shipped.

#![forbid(unsafe_code)]

mod baseline;
mod bootstrap;
mod cache;
pub mod check;
mod error;
mod export;
mod manifest;
mod matrix;
pub mod metrics;
mod paraphrase;
mod prompts;
mod published;
mod random;
pub mod report;
mod results;
mod robustness;
mod rows;
mod runner;
mod settings;
mod source;
mod tasks;
mod validation;
mod vectors;

pub use baseline::{Baseline, systems};
pub use bootstrap::Difference;
pub use cache::write;
pub use error::{Error, Result};
pub use export::export_prompts;
pub use manifest::{MANIFEST, Manifest, ROBUSTNESS};
pub use matrix::Matrix;
pub use paraphrase::{REWORDINGS, rewordings};
pub use published::Published;
pub use results::{Average, PairResult, Results, SystemInfo, SystemScore, TaskResult};
pub use robustness::{GROUPS, Group, Robustness};
pub use runner::{Evaluation, System, Watch};
pub use settings::{CheckSettings, Protocol, Settings};
pub use source::{ModelSource, Reading, Source, Work};
pub use tasks::{Metric, Size};
pub use validation::Validation;
pub use vectors::FileSource;
