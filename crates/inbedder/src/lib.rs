//! Text embeddings that follow an instruction: a language model answers a question about each
//! text, and the hidden state of the expected answer is the embedding.

#![deny(unsafe_code)]

mod embedder;
mod error;
pub mod tokenizer;
pub mod weights;

pub use embedder::*;
pub use error::{Error, Result};
