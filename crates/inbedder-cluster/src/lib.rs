//! Clusters of embeddings, what they are about, and how well they fit what is known.
//!
//! Vectors in, partitions and numbers out: [`KMeans`] (full and mini-batch), [`Hdbscan`] and
//! [`Dendrogram`] find clusters, [`choose_k`] how many there are, [`describe()`] puts them into words. For
//! two labellings of the same things [`Contingency`] has the measures. [`Centering`] takes off what all
//! vectors of a question have in common, before any of this.
//!
//! Everything random is drawn from a stream that the seed alone decides (ChaCha), and every sum is
//! taken in an order that does not depend on the threads: one seed, one result, on any number of
//! cores. Work is split over the rayon pool that a call is made in.
//!
//! Dimensions in the docs: `rows` are vectors (a text's under one question), `dim` is their length, k
//! the number of clusters.

#![forbid(unsafe_code)]

mod agglomerative;
mod centering;
mod centers;
mod choose;
mod density;
mod describe;
mod error;
mod find;
mod kmeans;
mod metrics;
mod pairwise;
mod partition;
mod random;
mod vectors;
pub mod words;

pub use agglomerative::{Dendrogram, Linkage, MOST as MOST_AGGLOMERATIVE, Merge};
pub use centering::{Centering, Means};
pub use choose::{Candidate, Choice, choose_k};
pub use density::{Hdbscan, MATRIX as FAST_HDBSCAN};
pub use describe::{Agreement, Cluster, Description, Frequent, Known, Near, Weighted, describe};
pub use error::{Error, Result};
pub use find::{Finder, Found};
pub use kmeans::{Clustering, KMeans, Method};
pub use metrics::{Contingency, VMeasure};
pub use partition::Partition;
pub use vectors::{Vectors, of_question};
