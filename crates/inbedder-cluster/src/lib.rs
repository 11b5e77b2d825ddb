//! Clusters of embeddings, what they are about, and how well they fit what is known.
//!
//! Vectors in, partitions and numbers out: [`KMeans`] (full and mini-batch), and for two labellings
//! of the same things [`Contingency`] with the measures on it.
//!
//! Everything random is drawn from a stream that the seed alone decides (ChaCha), and every sum is
//! taken in an order that does not depend on the threads: one seed, one result, on any number of
//! cores. Work is split over the rayon pool that a call is made in.
//!
//! Dimensions in the docs: `rows` are vectors (a text's under one question), `dim` is their length, k
//! the number of clusters.

#![forbid(unsafe_code)]

mod centers;
mod error;
mod kmeans;
mod metrics;
mod random;
mod vectors;

pub use error::{Error, Result};
pub use kmeans::{Clustering, KMeans, Method};
pub use metrics::{Contingency, VMeasure};
pub use vectors::Vectors;
