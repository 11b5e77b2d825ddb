//! HDBSCAN (Campello, Moulavi and Sander 2013; the `hdbscan` crate): clusters where vectors lie densely,
//! as many as there are, and outliers that belong to none.

use crate::pairwise::condensed;
use crate::{Error, Result, Vectors};
use hdbscan::{DistanceMetric, HdbscanHyperParams, NnAlgorithm};

/// Up to so many vectors [`Hdbscan::fit`] makes all distances beforehand by matrix products (0.6 GB);
/// beyond, the crate takes them one by one, which is slow but needs no room.
pub const MATRIX: usize = 10_000;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hdbscan {
    /// A cluster has at least so many vectors (2 or more).
    pub min_cluster_size: usize,
    /// Neighbours that make a place dense, the vector itself among them.
    pub min_samples: usize,
}

impl Hdbscan {
    /// scikit-learn's defaults: clusters of 5 or more.
    pub fn new() -> Self {
        Self {
            min_cluster_size: 5,
            min_samples: 5,
        }
    }

    /// Each vector's cluster, `None` for outliers; numbered in the order in which the vectors first
    /// meet them.
    ///
    /// # Errors
    /// [`Error::Neighbours`] for settings that ask for more vectors than there are, or for clusters
    /// of one; [`Error::InstructionSet`]; [`Error::Hdbscan`].
    pub fn fit(&self, vectors: &Vectors<'_>) -> Result<Vec<Option<usize>>> {
        let rows = vectors.rows();
        for (what, value, least) in [
            ("the least size of a cluster", self.min_cluster_size, 2),
            ("the number of neighbours", self.min_samples, 1),
        ] {
            if value < least || value > rows {
                return Err(Error::Neighbours {
                    what,
                    value,
                    least,
                    rows,
                });
            }
        }
        let settings = HdbscanHyperParams::builder()
            .min_cluster_size(self.min_cluster_size)
            .min_samples(self.min_samples)
            .nn_algorithm(NnAlgorithm::BruteForce);
        let (data, metric) = if rows <= MATRIX {
            (
                square(&condensed(vectors)?, rows),
                DistanceMetric::Precalculated,
            )
        } else {
            let rows = (0..rows).map(|i| vectors.row(i).to_vec());
            (rows.collect(), DistanceMetric::Euclidean)
        };
        let settings = settings.dist_metric(metric).build();
        let labels = hdbscan::Hdbscan::new(&data, settings).cluster_par();
        let mut numbers = std::collections::HashMap::new();
        let number = |label: i32| {
            let next = numbers.len();
            (label >= 0).then(|| *numbers.entry(label).or_insert(next))
        };
        Ok(labels
            .map_err(Error::Hdbscan)?
            .into_iter()
            .map(number)
            .collect())
    }
}

impl Default for Hdbscan {
    fn default() -> Self {
        Self::new()
    }
}

/// The full matrix of condensed distances.
fn square(condensed: &[f32], rows: usize) -> Vec<Vec<f32>> {
    let mut matrix = vec![vec![0.0; rows]; rows];
    let pairs = (0..rows).flat_map(|i| (i + 1..rows).map(move |j| (i, j)));
    for ((i, j), distance) in pairs.zip(condensed) {
        matrix[i][j] = *distance;
        matrix[j][i] = *distance;
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_places_are_clusters_and_the_rest_are_outliers() {
        let mut random = crate::random::Random::new(5, 0);
        let mut data = Vec::new();
        for i in 0..90 {
            let place = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]][i % 3];
            data.extend(place.map(|x: f32| x + random.unit() as f32));
        }
        data.extend([50.0, 50.0, -60.0, 5.0]);
        let vectors = Vectors::new(&data, 2).unwrap();
        let found = Hdbscan::new().fit(&vectors).unwrap();
        assert_eq!(found[..3], [Some(0), Some(1), Some(2)]);
        assert!((0..90).all(|i| found[i] == Some(i % 3)), "{found:?}");
        assert_eq!(found[90..], [None, None]);
    }

    #[test]
    fn more_neighbours_than_vectors_are_refused() {
        let vectors = Vectors::new(&[1.0, 2.0, 3.0], 1).unwrap();
        let refused = Hdbscan::new().fit(&vectors);
        assert!(matches!(refused, Err(Error::Neighbours { rows: 3, .. })));
        let single = Hdbscan {
            min_cluster_size: 1,
            min_samples: 1,
        };
        assert!(matches!(
            single.fit(&vectors),
            Err(Error::Neighbours { least: 2, .. })
        ));
    }
}
