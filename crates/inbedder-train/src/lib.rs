//! The trainer: question–answer pairs in, an adapter out.
//!
//! A model that answers questions about a text in a word or two holds the answer in the state where the
//! answer begins, which is the embedding; so training is question answering, with short answers and no
//! embedding pairs. [`data`] reads rows, groups them by text and lays out epochs.
//!
//! Nothing here prints.

#![forbid(unsafe_code)]

pub mod data;
mod error;
pub mod network;
mod random;

pub use error::{Error, Result};
