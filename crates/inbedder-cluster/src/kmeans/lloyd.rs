//! Lloyd's algorithm: vectors to their nearest centre, centres to the mean of their vectors, until
//! nothing moves any more.

use super::{Data, KMeans, seeding};
use crate::random::Random;
use crate::vectors::{Vectors, add, squared_distance};
use rayon::prelude::*;

/// A start ends when its centres move by less than this share of the vectors' mean variance
/// (squared, all centres together), as in scikit-learn.
const TOLERANCE: f64 = 1e-4;

/// The centres of the best start, and its iterations.
pub(super) fn best_of(
    data: &Data<'_>,
    settings: &KMeans,
    max_iterations: usize,
) -> (Vec<f32>, usize) {
    let tolerance = TOLERANCE * mean_variance(&data.vectors);
    let mut best: Option<(f64, Vec<f32>, usize)> = None;
    for start in 0..settings.starts {
        let mut random = Random::new(settings.seed, start as u64);
        let seeds = seeding::seeds(data, settings.k, &mut random);
        let (inertia, centers, iterations) = run(data, seeds, tolerance, max_iterations);
        if best.as_ref().is_none_or(|best| inertia < best.0) {
            best = Some((inertia, centers, iterations));
        }
    }
    let (_, centers, iterations) = best.expect("there is at least one start");
    (centers, iterations)
}

/// Inertia, centres and iterations of one start.
fn run(
    data: &Data<'_>,
    mut centers: Vec<f32>,
    tolerance: f64,
    max_iterations: usize,
) -> (f64, Vec<f32>, usize) {
    let mut nearest = data.nearest(&centers);
    let mut iterations = 0;
    while iterations < max_iterations {
        iterations += 1;
        let means = means(data, &nearest, &centers);
        let moved = squared_distance(&means, &centers);
        centers = means;
        let next = data.nearest(&centers);
        let same = next.iter().zip(&nearest).all(|(a, b)| a.0 == b.0);
        nearest = next;
        if same || moved <= tolerance {
            break;
        }
    }
    let inertia = nearest.iter().map(|(_, distance)| f64::from(*distance));
    (inertia.sum(), centers, iterations)
}

/// The mean of every cluster. A cluster without vectors gets, as in scikit-learn, the vector farthest
/// from its centre; where no vector is off its centre, it stays where it is.
fn means(data: &Data<'_>, nearest: &[(u32, f32)], centers: &[f32]) -> Vec<f32> {
    let dim = data.vectors.dim();
    let mut members = vec![Vec::new(); centers.len() / dim];
    for (row, (label, _)) in nearest.iter().enumerate() {
        members[*label as usize].push(row);
    }
    fill_empty(&mut members, nearest);
    let mut means = centers.to_vec();
    let clusters = means.par_chunks_exact_mut(dim).zip(&members);
    clusters.for_each(|(mean, members)| {
        if members.is_empty() {
            return;
        }
        let mut sums = vec![0.0; dim];
        for row in members {
            add(&mut sums, data.vectors.row(*row));
        }
        for (mean, sum) in mean.iter_mut().zip(&sums) {
            *mean = (sum / members.len() as f64) as f32;
        }
    });
    means
}

/// Moves the farthest vectors to clusters that have none.
fn fill_empty(members: &mut [Vec<usize>], nearest: &[(u32, f32)]) {
    let empty: Vec<usize> = (0..members.len())
        .filter(|c| members[*c].is_empty())
        .collect();
    if empty.is_empty() {
        return;
    }
    let mut far: Vec<usize> = (0..nearest.len())
        .filter(|row| nearest[*row].1 > 0.0)
        .collect();
    far.sort_by(|a, b| nearest[*b].1.total_cmp(&nearest[*a].1).then(a.cmp(b)));
    for (cluster, row) in empty.into_iter().zip(far) {
        members[nearest[row].0 as usize].retain(|member| *member != row);
        members[cluster].push(row);
    }
}

/// The variance of a dimension, mean over dimensions; the vectors' mean is zero.
fn mean_variance(vectors: &Vectors<'_>) -> f64 {
    let squares = vectors.data().iter().map(|x| f64::from(*x).powi(2));
    squares.sum::<f64>() / vectors.data().len() as f64
}
