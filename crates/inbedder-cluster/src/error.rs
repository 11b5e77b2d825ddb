//! The one error type of this crate.

/// What can go wrong in this crate.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Numbers that make no whole vectors.
    #[error("{numbers} numbers make no whole vectors of length {dim}")]
    Shape {
        /// How many numbers there are.
        numbers: usize,
        /// Length of a vector.
        dim: usize,
    },
    /// A vector that holds something else than finite numbers.
    #[error("vector {row} holds {value} in dimension {dimension}: only finite numbers can be clustered", row = row + 1)]
    NotFinite {
        /// The vector, from 0 (from 1 in the message).
        row: usize,
        /// The dimension, from 0.
        dimension: usize,
        /// What stands there.
        value: f32,
    },
    /// More clusters than vectors, or none.
    #[error("{k} clusters of {rows} vectors: the number of clusters must be within 1 to {rows}")]
    ClusterCount {
        /// Clusters asked for.
        k: usize,
        /// Vectors that there are.
        rows: usize,
    },
    /// A setting that must not be zero.
    #[error("{what} must be at least 1")]
    Zero {
        /// The setting.
        what: &'static str,
    },
    /// Two lists that should be of the same things.
    #[error("{what}: {found} of them, expected {expected}")]
    Length {
        /// What the list holds.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// More vectors than a method can take.
    #[error("{rows} vectors are too many for {method} clustering, which takes {most}: use k-means")]
    TooMany {
        /// The method.
        method: &'static str,
        /// Vectors that there are.
        rows: usize,
        /// The most that it takes.
        most: usize,
    },
    /// Fewer vectors than a setting of HDBSCAN needs.
    #[error("{what} is {value}: it must be within {least} to {rows}, the number of vectors")]
    Neighbours {
        /// The setting.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The least that makes sense.
        least: usize,
        /// Vectors that there are.
        rows: usize,
    },
    /// The HDBSCAN crate refused.
    #[error("HDBSCAN: {0}")]
    Hdbscan(#[source] hdbscan::HdbscanError),
    /// `INBEDDER_ISA` names a level that is not there.
    #[error("{0}")]
    InstructionSet(String),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
