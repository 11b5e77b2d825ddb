//! Which vectors belong together, however that was found: clusters by size, and outliers.

use crate::vectors::{add, squared_distance};
use crate::{Clustering, Error, Result, Vectors};
use rayon::prelude::*;

/// Vectors in clusters: the largest has number 0, of equals the one whose first vector comes first.
/// Empty clusters have no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    labels: Vec<Option<usize>>,
    /// `[cluster]`: its vectors, rising.
    members: Vec<Vec<usize>>,
}

impl Partition {
    /// Numbers clusters by size; `None` is an outlier.
    pub fn new(labels: &[Option<usize>]) -> Self {
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (row, label) in labels.iter().enumerate() {
            if let Some(label) = label {
                if *label >= members.len() {
                    members.resize(label + 1, Vec::new());
                }
                members[*label].push(row);
            }
        }
        members.retain(|members| !members.is_empty());
        members.sort_by_key(|members| (std::cmp::Reverse(members.len()), members[0]));
        let mut numbered = vec![None; labels.len()];
        for (cluster, members) in members.iter().enumerate() {
            for row in members {
                numbered[*row] = Some(cluster);
            }
        }
        Self {
            labels: numbered,
            members,
        }
    }

    /// For every vector its cluster.
    pub fn labels(&self) -> &[Option<usize>] {
        &self.labels
    }

    /// `[cluster]`: its vectors, rising; none is empty.
    pub fn members(&self) -> &[Vec<usize>] {
        &self.members
    }

    /// Vectors in no cluster.
    pub fn outliers(&self) -> usize {
        self.labels.iter().filter(|label| label.is_none()).count()
    }

    /// The mean vector of every cluster, `[cluster][dim]`.
    ///
    /// # Errors
    /// [`Error::Length`] if these are not the vectors of the partition.
    pub fn centers(&self, vectors: &Vectors<'_>) -> Result<Vec<Vec<f32>>> {
        self.expect(vectors)?;
        let center = |members: &Vec<usize>| {
            let mut sums = vec![0.0; vectors.dim()];
            for row in members {
                add(&mut sums, vectors.row(*row));
            }
            let count = members.len() as f64;
            sums.iter().map(|sum| (sum / count) as f32).collect()
        };
        Ok(self.members.par_iter().map(center).collect())
    }

    /// Where every cluster lies from the mean of all vectors, `[cluster][dim]`: what contrastive
    /// decoding puts through the language-model head.
    ///
    /// # Errors
    /// As for [`Self::centers`].
    pub fn directions(&self, vectors: &Vectors<'_>) -> Result<Vec<Vec<f32>>> {
        let mean = vectors.mean();
        let mut directions = self.centers(vectors)?;
        for direction in &mut directions {
            for (value, mean) in direction.iter_mut().zip(&mean) {
                *value -= mean;
            }
        }
        Ok(directions)
    }

    /// For every vector the distance to the centre of its cluster; `None` of outliers.
    ///
    /// # Errors
    /// As for [`Self::centers`].
    pub fn distances(
        &self,
        vectors: &Vectors<'_>,
        centers: &[Vec<f32>],
    ) -> Result<Vec<Option<f32>>> {
        self.expect(vectors)?;
        let distance = |(row, label): (usize, &Option<usize>)| {
            let center = &centers[(*label)?];
            Some(squared_distance(vectors.row(row), center).sqrt() as f32)
        };
        Ok(self.labels.par_iter().enumerate().map(distance).collect())
    }

    fn expect(&self, vectors: &Vectors<'_>) -> Result<()> {
        if vectors.rows() == self.labels.len() {
            return Ok(());
        }
        Err(Error::Length {
            what: "vectors",
            found: vectors.rows(),
            expected: self.labels.len(),
        })
    }
}

impl From<&Clustering> for Partition {
    fn from(clustering: &Clustering) -> Self {
        let labels: Vec<_> = clustering.labels.iter().copied().map(Some).collect();
        Self::new(&labels)
    }
}

impl From<&[usize]> for Partition {
    fn from(labels: &[usize]) -> Self {
        Self::new(&labels.iter().copied().map(Some).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_numbered_by_size_and_empty_ones_left_out() {
        let labels = [Some(4), Some(1), None, Some(1), Some(7), Some(7)];
        let partition = Partition::new(&labels);
        let expected = [Some(2), Some(0), None, Some(0), Some(1), Some(1)];
        assert_eq!(partition.labels(), expected);
        assert_eq!(partition.members(), [vec![1, 3], vec![4, 5], vec![0]]);
        assert_eq!(partition.outliers(), 1);
    }

    #[test]
    fn centres_and_distances() {
        let vectors = Vectors::new(&[0.0, 0.0, 2.0, 0.0, 9.0, 9.0], 2).unwrap();
        let partition = Partition::new(&[Some(0), Some(0), None]);
        let centers = partition.centers(&vectors).unwrap();
        assert_eq!(centers, [[1.0, 0.0]]);
        let distances = partition.distances(&vectors, &centers).unwrap();
        assert_eq!(distances, [Some(1.0), Some(1.0), None]);
        let other = Vectors::new(&[0.0], 1).unwrap();
        assert!(matches!(
            partition.centers(&other),
            Err(Error::Length { .. })
        ));
    }
}
