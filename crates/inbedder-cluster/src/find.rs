//! One door to all methods: vectors in, a partition out, with what the method can tell beside.

use crate::choose::choose_k;
use crate::{Choice, Dendrogram, Hdbscan, KMeans, Linkage, Partition, Result, Vectors};

/// A method with its settings; without a `k`, [`choose_k`] finds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finder {
    /// Full k-means with 10 starts.
    KMeans {
        /// Number of clusters.
        k: Option<usize>,
        /// Decides every random choice.
        seed: u64,
    },
    /// Mini-batch k-means.
    MiniBatch {
        /// Number of clusters.
        k: Option<usize>,
        /// Decides every random choice.
        seed: u64,
    },
    /// Clusters where vectors lie densely, and outliers.
    Hdbscan(Hdbscan),
    /// Clusters joined from single vectors upwards.
    Agglomerative {
        /// Number of clusters.
        k: Option<usize>,
        /// Decides what the choice of k draws.
        seed: u64,
        /// How near two clusters are.
        linkage: Linkage,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The clusters.
    pub partition: Partition,
    /// How many were asked for, or chosen; `None` where the method finds out itself.
    pub k: Option<usize>,
    /// How k was chosen, if it was.
    pub choice: Option<Choice>,
    /// All merges of an agglomerative method.
    pub dendrogram: Option<Dendrogram>,
    /// Sum of squared distances to the centres, of k-means.
    pub inertia: Option<f64>,
}

impl Finder {
    /// Clusters vectors.
    ///
    /// # Errors
    /// Those of the method: a number of clusters that the vectors cannot make, too many vectors.
    pub fn find(&self, vectors: &Vectors<'_>) -> Result<Found> {
        let chosen = |k: Option<usize>, seed: u64| match k {
            Some(k) => Ok((k, None)),
            None => choose_k(vectors, seed).map(|choice| (choice.k, Some(choice))),
        };
        let means = |(k, choice): (usize, Option<Choice>), settings: KMeans| {
            let found = settings.fit(vectors)?;
            Ok(Found {
                partition: Partition::from(&found),
                k: Some(k),
                choice,
                dendrogram: None,
                inertia: Some(found.inertia),
            })
        };
        match *self {
            Self::KMeans { k, seed } => {
                let chosen = chosen(k, seed)?;
                let settings = KMeans::full(chosen.0, seed);
                means(chosen, settings)
            }
            Self::MiniBatch { k, seed } => {
                let chosen = chosen(k, seed)?;
                let settings = KMeans::mini_batch(chosen.0, seed);
                means(chosen, settings)
            }
            Self::Hdbscan(settings) => Ok(Found {
                partition: Partition::new(&settings.fit(vectors)?),
                k: None,
                choice: None,
                dendrogram: None,
                inertia: None,
            }),
            Self::Agglomerative { k, seed, linkage } => {
                let (k, choice) = chosen(k, seed)?;
                let dendrogram = Dendrogram::new(vectors, linkage)?;
                Ok(Found {
                    partition: Partition::from(dendrogram.cut(k)?.as_slice()),
                    k: Some(k),
                    choice,
                    dendrogram: Some(dendrogram),
                    inertia: None,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// Three places in turn.
    fn data() -> Vec<f32> {
        (0..60)
            .flat_map(|i| [(i % 3 * 10) as f32, (i / 3) as f32 * 0.01])
            .collect()
    }

    #[test]
    fn every_method_finds_what_is_plain() {
        let data = data();
        let vectors = Vectors::new(&data, 2).unwrap();
        let (k, seed, linkage) = (None, 1, Linkage::Ward);
        for finder in [
            Finder::KMeans { k, seed },
            Finder::MiniBatch { k, seed },
            Finder::Hdbscan(Hdbscan::new()),
            Finder::Agglomerative { k, seed, linkage },
        ] {
            let found = finder.find(&vectors).unwrap();
            let labels: Vec<_> = (0..60).map(|i| Some(i % 3)).collect();
            assert_eq!(found.partition.labels(), labels, "{finder:?}");
            let merges = found.dendrogram.map(|tree| tree.merges.len());
            assert_eq!(
                merges.is_some(),
                matches!(finder, Finder::Agglomerative { .. })
            );
            assert!(found.choice.is_none_or(|choice| choice.k == 3));
        }
    }

    #[test]
    fn too_many_clusters_are_refused_by_all_that_are_told_how_many() {
        let vectors = Vectors::new(&[1.0, 2.0], 1).unwrap();
        let (k, seed, linkage) = (Some(3), 1, Linkage::Average);
        for finder in [
            Finder::KMeans { k, seed },
            Finder::MiniBatch { k, seed },
            Finder::Agglomerative { k, seed, linkage },
        ] {
            let refused = finder.find(&vectors);
            assert!(matches!(
                refused,
                Err(Error::ClusterCount { k: 3, rows: 2 })
            ));
        }
    }
}
