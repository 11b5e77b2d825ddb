//! Text embeddings that follow an instruction: a language model answers a question about each
//! text, and the hidden state of the expected answer is the embedding.

mod embedder;
mod error;

pub use embedder::*;
pub use error::{Error, Result};
