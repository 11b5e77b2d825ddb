//! The numbers under inbedder: packed weight matrices and their products, attention over row
//! ranges, norms, rotary embedding. Numbers in, numbers out: nothing here knows a model, a token or
//! a file, and all `unsafe` arithmetic of the workspace lives here.
//!
//! Every kernel is one text over the leaf operations of `simd`, instantiated for each instruction
//! set of the ladder `scalar` → `avx2` → `avx512`; [`Isa`] names the level, found at run time.
//!
//! Shapes in the docs: rows are tokens, `k` is the dimension that a product sums over, a panel is
//! two vectors of columns.

mod activations;
mod attention;
mod dot;
mod format;
mod gate;
mod gemm;
mod isa;
mod kv_cache;
mod matrix;
mod memory;
mod norm;
mod outer;
mod peak;
mod rotary;
mod simd;
mod threads;
mod tile;

pub use activations::{Activations, Rows, Staging};
pub use attention::{
    Backward, Heads, QueryTile, Span, attention, attention_backward, queries_per_tile,
};
pub use format::Precision;
pub use gate::{gate, gate_backward};
pub use gemm::{Into, gemm};
pub use isa::Isa;
pub use kv_cache::KvCache;
pub use matrix::PackedMatrix;
pub use norm::{rms_norm, rms_norm_backward};
pub use outer::{Matrix, outer};
pub use peak::peak_operations;
pub use rotary::rotate;
pub use threads::Threads;
