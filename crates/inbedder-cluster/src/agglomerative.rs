//! Agglomerative clustering (the `kodama` crate, Müllner's algorithms): from single vectors upwards
//! the two nearest clusters are joined, and the dendrogram keeps how.

use crate::pairwise::condensed;
use crate::{Error, Result, Vectors};
use kodama::Method;
use serde::Serialize;

/// How near two clusters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Linkage {
    /// By how much joining them raises the squared distances to the centres.
    #[default]
    Ward,
    /// By the mean distance of their members.
    Average,
}

/// The most vectors that [`Dendrogram::new`] takes: their distances fill 0.8 GB.
pub const MOST: usize = 20_000;

/// Two clusters that become one; SciPy's linkage layout. Numbers below the number of vectors are
/// these vectors, number `rows + i` is the cluster made by merge i.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Merge {
    /// The one with the lower number.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// Their distance.
    pub distance: f32,
    /// Vectors in both.
    pub size: usize,
}

/// All merges, from the nearest to the farthest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dendrogram {
    /// One fewer than there are vectors.
    pub merges: Vec<Merge>,
}

impl Dendrogram {
    /// Joins vectors by Euclidean distance until one cluster is left.
    ///
    /// # Errors
    /// [`Error::TooMany`] beyond [`MOST`] vectors, [`Error::InstructionSet`].
    pub fn new(vectors: &Vectors<'_>, linkage: Linkage) -> Result<Self> {
        let rows = vectors.rows();
        if rows > MOST {
            return Err(Error::TooMany {
                method: "agglomerative",
                rows,
                most: MOST,
            });
        }
        if rows < 2 {
            return Ok(Self { merges: Vec::new() });
        }
        let method = match linkage {
            Linkage::Ward => Method::Ward,
            Linkage::Average => Method::Average,
        };
        let tree = kodama::linkage(&mut condensed(vectors)?, rows, method);
        let merges = tree.steps().iter().map(|step| Merge {
            a: step.cluster1,
            b: step.cluster2,
            distance: step.dissimilarity,
            size: step.size,
        });
        Ok(Self {
            merges: merges.collect(),
        })
    }

    /// The partition into k clusters: all merges but the last k − 1. `[row]`, numbered in the order in
    /// which the vectors first meet them.
    ///
    /// # Errors
    /// [`Error::ClusterCount`] for no cluster or more clusters than vectors.
    pub fn cut(&self, k: usize) -> Result<Vec<usize>> {
        let rows = self.merges.len() + 1;
        if k == 0 || k > rows {
            return Err(Error::ClusterCount { k, rows });
        }
        // Each cluster's parent; parents have higher numbers.
        let done = rows - k;
        let mut parents: Vec<usize> = (0..rows + done).collect();
        for (i, merge) in self.merges[..done].iter().enumerate() {
            parents[merge.a] = rows + i;
            parents[merge.b] = rows + i;
        }
        for i in (0..parents.len()).rev() {
            parents[i] = parents[parents[i]];
        }
        let mut numbers = std::collections::HashMap::new();
        let number = |root: &usize| {
            let next = numbers.len();
            *numbers.entry(*root).or_insert(next)
        };
        Ok(parents[..rows].iter().map(number).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Contingency;

    /// `golden/cluster/make.py`.
    #[test]
    fn as_scipy() {
        let cases = include_str!("../../../golden/cluster/linkage.json");
        let cases: serde_json::Value = serde_json::from_str(cases).unwrap();
        for case in cases.as_array().unwrap() {
            let numbers = |value: &serde_json::Value| -> Vec<f64> {
                let list = value.as_array().unwrap();
                list.iter().map(|x| x.as_f64().unwrap()).collect()
            };
            let points: Vec<f32> = numbers(&case["points"]).iter().map(|x| *x as f32).collect();
            let vectors = Vectors::new(&points, 5).unwrap();
            let linkage = match case["method"].as_str().unwrap() {
                "ward" => Linkage::Ward,
                _ => Linkage::Average,
            };
            let found = Dendrogram::new(&vectors, linkage).unwrap();
            let expected = case["merges"].as_array().unwrap();
            assert_eq!(found.merges.len(), expected.len());
            for (merge, expected) in found.merges.iter().zip(expected) {
                let expected = numbers(expected);
                let (a, b, size) = (merge.a as f64, merge.b as f64, merge.size as f64);
                assert_eq!([a, b, size], [expected[0], expected[1], expected[3]]);
                assert!((f64::from(merge.distance) - expected[2]).abs() < 1e-4 * expected[2]);
            }
            for (k, labels) in case["labels"].as_object().unwrap() {
                let cut = found.cut(k.parse().unwrap()).unwrap();
                let labels: Vec<i64> = numbers(labels).iter().map(|x| *x as i64).collect();
                let agreement = Contingency::new(&labels, &cut).unwrap().adjusted_rand();
                assert!((agreement - 1.0).abs() < 1e-12, "{k} clusters");
            }
        }
    }

    #[test]
    fn one_vector_and_none_too_many() {
        let one = Dendrogram::new(&Vectors::new(&[1.0], 1).unwrap(), Linkage::Ward).unwrap();
        assert_eq!(one.cut(1).unwrap(), [0]);
        assert!(one.cut(2).is_err() && one.cut(0).is_err());
        let many = vec![0.0; MOST + 1];
        let refused = Dendrogram::new(&Vectors::new(&many, 1).unwrap(), Linkage::Ward);
        assert!(matches!(refused, Err(Error::TooMany { .. })));
    }
}
