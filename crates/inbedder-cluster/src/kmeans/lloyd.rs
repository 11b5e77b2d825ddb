//! Lloyd's algorithm: vectors to their nearest centre, centres to the mean of their vectors, until
//! nothing moves any more.

use super::{Data, KMeans, seeding};
use crate::random::Random;
use crate::vectors::{Vectors, add, squared_distance, subtract};
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
    // Starts side by side: with few vectors there is more to share out in them than in one iteration.
    let starts = (0..settings.starts as u64).into_par_iter();
    let runs = starts.map(|start| {
        let mut random = Random::new(settings.seed, start);
        let seeds = seeding::seeds(data, settings.k, &mut random);
        run(data, seeds, tolerance, max_iterations)
    });
    let runs: Vec<_> = runs.collect();
    // The first of equals.
    let best = runs.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
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
    let k = centers.len() / data.vectors.dim();
    let mut nearest = data.nearest(&centers);
    let mut sums = Sums::new(data, settled(&nearest, k), k);
    let mut iterations = 0;
    while iterations < max_iterations {
        iterations += 1;
        let means = sums.means(&centers);
        let moved = squared_distance(&means, &centers);
        centers = means;
        let next = data.nearest(&centers);
        let same = next.iter().zip(&nearest).all(|(a, b)| a.0 == b.0);
        nearest = next;
        if same || moved <= tolerance {
            break;
        }
        sums.follow(data, settled(&nearest, k));
    }
    let inertia = nearest.iter().map(|(_, distance)| f64::from(*distance));
    (inertia.sum(), centers, iterations)
}

/// `[row]`: the cluster whose mean it counts for: the nearest, but a cluster without vectors gets, as in
/// scikit-learn, the vector farthest from its centre. Where no vector is off its centre, it stays empty.
fn settled(nearest: &[(u32, f32)], k: usize) -> Vec<u32> {
    let mut labels: Vec<u32> = nearest.iter().map(|(label, _)| *label).collect();
    let mut filled = vec![false; k];
    for label in &labels {
        filled[*label as usize] = true;
    }
    let empty: Vec<u32> = (0..k as u32).filter(|c| !filled[*c as usize]).collect();
    if empty.is_empty() {
        return labels;
    }
    let far = (0..nearest.len()).filter(|row| nearest[*row].1 > 0.0);
    let mut far: Vec<usize> = far.collect();
    far.sort_by(|a, b| nearest[*b].1.total_cmp(&nearest[*a].1).then(a.cmp(b)));
    for (cluster, row) in empty.into_iter().zip(far) {
        labels[row] = cluster;
    }
    labels
}

/// The sums of every cluster's vectors. From one iteration to the next few vectors change sides, so
/// that they are taken out here and put in there instead of summing all again, which would take as long
/// as the distances. Whatever the threads, a cluster's sum is made in the order of its rows.
struct Sums {
    /// `[row]`: its cluster.
    labels: Vec<u32>,
    /// `[cluster][dim]`.
    sums: Vec<f64>,
    counts: Vec<usize>,
}

/// A row that enters a cluster (or leaves it).
type Change = (usize, bool);

impl Sums {
    fn new(data: &Data<'_>, labels: Vec<u32>, k: usize) -> Self {
        let mut sums = Self {
            labels: Vec::new(),
            sums: vec![0.0; k * data.vectors.dim()],
            counts: vec![0; k],
        };
        let enter = labels.iter().enumerate();
        let enter = enter.map(|(row, label)| (*label, (row, true)));
        sums.apply(data, enter);
        sums.labels = labels;
        sums
    }

    /// Follows vectors to their new clusters.
    fn follow(&mut self, data: &Data<'_>, labels: Vec<u32>) {
        let before = std::mem::take(&mut self.labels);
        let pairs = before.iter().zip(&labels).enumerate();
        let changed = pairs.filter(|(_, (from, to))| from != to);
        let changes =
            changed.flat_map(|(row, (from, to))| [(*from, (row, false)), (*to, (row, true))]);
        self.apply(data, changes);
        self.labels = labels;
    }

    fn apply(&mut self, data: &Data<'_>, changes: impl Iterator<Item = (u32, Change)>) {
        let mut of_cluster: Vec<Vec<Change>> = vec![Vec::new(); self.counts.len()];
        changes.for_each(|(cluster, change)| of_cluster[cluster as usize].push(change));
        let sums = self.sums.par_chunks_exact_mut(data.vectors.dim());
        let clusters = sums.zip(&mut self.counts).zip(&of_cluster);
        clusters.for_each(|((sums, count), changes)| {
            for (row, enters) in changes {
                let row = data.vectors.row(*row);
                if *enters {
                    add(sums, row);
                    *count += 1;
                } else {
                    subtract(sums, row);
                    *count -= 1;
                }
            }
        });
    }

    /// The mean of every cluster; one without vectors stays where it is.
    fn means(&self, centers: &[f32]) -> Vec<f32> {
        let dim = centers.len() / self.counts.len();
        let mut means = centers.to_vec();
        let clusters = means.chunks_exact_mut(dim).zip(self.sums.chunks_exact(dim));
        for ((mean, sums), count) in clusters.zip(&self.counts).filter(|(_, count)| **count > 0) {
            for (mean, sum) in mean.iter_mut().zip(sums) {
                *mean = (sum / *count as f64) as f32;
            }
        }
        means
    }
}

/// The variance of a dimension, mean over dimensions; the vectors' mean is zero.
fn mean_variance(vectors: &Vectors<'_>) -> f64 {
    let squares = vectors.data().iter().map(|x| f64::from(*x).powi(2));
    squares.sum::<f64>() / vectors.data().len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::centers::isa;

    #[test]
    fn sums_that_follow_are_those_that_are_made_anew() {
        let mut random = Random::new(11, 0);
        let points: Vec<f32> = (0..900 * 7).map(|_| random.unit() as f32 - 0.5).collect();
        let data = Data::new(Vectors::new(&points, 7).unwrap(), isa().unwrap());
        let mut draw = |_| -> Vec<u32> { (0..900).map(|_| random.below(5) as u32).collect() };
        let rounds: Vec<Vec<u32>> = (0..4).map(&mut draw).collect();
        let mut followed = Sums::new(&data, rounds[0].clone(), 6);
        for labels in rounds {
            followed.follow(&data, labels.clone());
            let anew = Sums::new(&data, labels, 6);
            assert_eq!(followed.counts, anew.counts);
            let pairs = followed.sums.iter().zip(&anew.sums);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-9));
            let means = followed.means(&[9.0; 42]);
            assert_eq!(means[35..], [9.0; 7], "the empty cluster stays");
        }
    }

    #[test]
    fn an_empty_cluster_gets_the_farthest_vector_that_is_off_its_centre() {
        let nearest = [(0, 0.5), (0, 2.0), (2, 0.0), (0, 1.0)];
        assert_eq!(settled(&nearest, 4), [0, 1, 2, 3]);
        assert_eq!(settled(&[(0, 0.0), (0, 0.0)], 2), [0, 0]);
    }
}
