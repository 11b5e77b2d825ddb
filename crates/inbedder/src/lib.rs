//! Text embeddings that follow an instruction: a language model answers a question about each
//! text, and the hidden state of the expected answer is the embedding.
//!
//! The method is InBedder's (Peng et al., "Answer is All You Need: Instruction-following Text
//! Embedding via Answering the Question", ACL 2024, arXiv 2402.09642).
//!
//! One direction, no way back: texts × questions → prompts ([`Template`]) → plan (`plan`: a token
//! trie that holds shared beginnings once) → forward (`model`) → [`Readout`] → [`Output`].
//!
//! Dimensions in the docs: rows are distinct tokens of a plan, `hidden` is the width of a hidden
//! state, L the number of layers.
//!
//! Nothing here prints, and nothing but `source` reads the environment or writes files.

#![deny(unsafe_code)]

pub mod adapter;
mod batch;
pub mod checkpoint;
mod embedder;
mod error;
pub mod export;
mod generate;
pub mod model;
mod names;
pub mod plan;
mod prompt;
mod readout;
mod request;
mod run;
pub mod source;
pub mod stop_words;
mod template;
pub mod tokenizer;
pub mod weights;

pub use embedder::{AdapterInfo, Embedder, LikelyToken, LoadOptions, ModelInfo, cosine};
pub use error::{Error, Result};
pub use inbedder_kernels::{Isa, Precision};
pub use model::{LinearModule, ModelSpec, Rotary, RotaryScaling};
pub use prompt::{Prompt, Renderer, Truncate};
pub use readout::{Normalize, Readout};
pub use request::{MAX_ANSWER_TOKENS, MAX_TOKENS, Output, Progress, Request, Stats};
pub use template::Template;
