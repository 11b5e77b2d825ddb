//! The one error type of this crate.

/// What can go wrong in this crate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    /// `INBEDDER_ISA` names a level that is not there.
    #[error("{0}")]
    InstructionSet(String),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
