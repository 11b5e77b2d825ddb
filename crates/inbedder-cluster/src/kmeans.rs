//! k-means. Full: Lloyd's algorithm from greedy k-means++ seeds (Arthur and Vassilvitskii 2007), the
//! best of several starts. Mini-batch: Sculley 2010. Both follow scikit-learn's `KMeans` and
//! `MiniBatchKMeans` in their stopping rules, and so in what their numbers mean; the random numbers are
//! others.
//!
//! Assignment is a matrix product. Bounds à la Elkan or Hamerly are left out: they save distances, but
//! one by one, and tried (Hamerly's), they cost more than they saved on vectors of 576 dimensions
//! (`examples/kmeans.rs`).

mod lloyd;
mod minibatch;
mod seeding;

use crate::centers::{Centers, isa, squared_lengths};
use crate::random::Random;
use crate::vectors::{Vectors, squared_distance};
use crate::{Error, Result};
use inbedder_kernels::Isa;
use rayon::prelude::*;

/// How centres are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// All vectors in every iteration.
    Full {
        /// Iterations of one start at most.
        max_iterations: usize,
    },
    /// A random sample in every iteration, as scikit-learn's `MiniBatchKMeans` with its defaults.
    MiniBatch {
        /// Vectors of a sample.
        batch: usize,
    },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KMeans {
    /// Number of clusters.
    pub k: usize,
    /// Times that seeds are drawn; the best counts. Full k-means runs to the end from each,
    /// mini-batch compares them on a sample.
    pub starts: usize,
    /// Decides every random choice.
    pub seed: u64,
    /// Full or mini-batch.
    pub method: Method,
}

impl KMeans {
    /// Full k-means with 10 starts of at most 300 iterations.
    pub fn full(k: usize, seed: u64) -> Self {
        Self {
            k,
            starts: 10,
            seed,
            method: Method::Full {
                max_iterations: 300,
            },
        }
    }

    /// Mini-batch k-means with samples of 500 and 3 starts: what the authors of InBedder, by way of
    /// mteb, called scikit-learn's defaults.
    pub fn mini_batch(k: usize, seed: u64) -> Self {
        Self {
            k,
            starts: 3,
            seed,
            method: Method::MiniBatch { batch: 500 },
        }
    }

    /// Clusters vectors. One seed gives one result, whatever the threads of the rayon pool it runs in.
    ///
    /// With fewer distinct vectors than clusters some clusters stay empty.
    ///
    /// # Errors
    /// [`Error::ClusterCount`] for no cluster or more clusters than vectors, [`Error::Zero`],
    /// [`Error::InstructionSet`].
    pub fn fit(&self, vectors: &Vectors<'_>) -> Result<Clustering> {
        let (k, rows) = (self.k, vectors.rows());
        if k == 0 || k > rows {
            return Err(Error::ClusterCount { k, rows });
        }
        let (what, size) = match self.method {
            Method::Full { max_iterations } => ("the number of iterations", max_iterations),
            Method::MiniBatch { batch } => ("the size of a batch", batch),
        };
        for (what, size) in [(what, size), ("the number of starts", self.starts)] {
            if size == 0 {
                return Err(Error::Zero { what });
            }
        }
        // Distances lose less to rounding around the origin; the mean is put back at the end.
        let (mean, shifted) = vectors.shifted();
        let data = Data::new(Vectors::new(&shifted, vectors.dim())?, isa()?);
        let (mut centers, iterations) = match self.method {
            Method::Full { max_iterations } => lloyd::best_of(&data, self, max_iterations),
            Method::MiniBatch { batch } => minibatch::run(&data, self, batch),
        };
        let nearest = data.nearest(&centers);
        for center in centers.chunks_exact_mut(vectors.dim()) {
            for (value, mean) in center.iter_mut().zip(&mean) {
                *value += mean;
            }
        }
        let labels: Vec<usize> = nearest.iter().map(|(label, _)| *label as usize).collect();
        let inertia = inertia(vectors, &centers, &labels);
        Ok(Clustering {
            labels,
            centers,
            inertia,
            iterations,
        })
    }
}

/// A partition around centres.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    /// For every vector the number of its cluster, from 0: that of the nearest centre.
    pub labels: Vec<usize>,
    /// `[cluster][dim]`.
    pub centers: Vec<f32>,
    /// Sum of the squared distances of the vectors to their centres.
    pub inertia: f64,
    /// Iterations that the best start took.
    pub iterations: usize,
}

impl Clustering {
    /// Vectors of every cluster; 0 of empty ones.
    pub fn sizes(&self, k: usize) -> Vec<usize> {
        let mut sizes = vec![0; k];
        for label in &self.labels {
            sizes[*label] += 1;
        }
        sizes
    }
}

/// Vectors with what every distance needs.
struct Data<'a> {
    vectors: Vectors<'a>,
    /// `[row]`: |x|².
    lengths: Vec<f32>,
    isa: Isa,
}

impl<'a> Data<'a> {
    fn new(vectors: Vectors<'a>, isa: Isa) -> Self {
        Self {
            lengths: squared_lengths(&vectors),
            vectors,
            isa,
        }
    }

    fn centers(&self, data: &[f32]) -> Centers {
        Centers::new(self.isa, data, self.vectors.dim())
    }

    /// `[row]`: the nearest centre and the squared distance to it.
    fn nearest(&self, centers: &[f32]) -> Vec<(u32, f32)> {
        let mut nearest = vec![(0, 0.0); self.vectors.rows()];
        self.centers(centers)
            .nearest(&self.vectors, &self.lengths, &mut nearest);
        nearest
    }
}

/// A seeded sample of the rows, or all of them, in their order.
fn sample(rows: usize, count: usize, random: &mut Random) -> Vec<usize> {
    if rows <= count {
        return (0..rows).collect();
    }
    let mut sample = random.distinct(count, rows);
    sample.sort_unstable();
    sample
}

/// Sum of squared distances to the centres, in f64 and in the order of the rows.
fn inertia(vectors: &Vectors<'_>, centers: &[f32], labels: &[usize]) -> f64 {
    let dim = vectors.dim();
    let distance = |(i, label): (usize, &usize)| {
        squared_distance(vectors.row(i), &centers[label * dim..][..dim])
    };
    let distances: Vec<f64> = labels.par_iter().enumerate().map(distance).collect();
    distances.iter().sum()
}

#[cfg(test)]
mod tests;
