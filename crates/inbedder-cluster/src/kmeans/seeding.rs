//! Greedy k-means++: every further seed is the best of a few candidates drawn with a probability
//! proportional to their squared distance from the seeds so far.

use super::{Data, sample};
use crate::centers::Centers;
use crate::random::Random;
use crate::vectors::Vectors;

/// Seeds are drawn from a sample of so many vectors, or of [`ROWS_PER_CLUSTER`] for each cluster if
/// that is more: beyond it a pass over all vectors for every seed costs more than it finds.
const SAMPLE: usize = 20_000;
/// See [`SAMPLE`].
const ROWS_PER_CLUSTER: usize = 50;

/// `[k][dim]`: seeds out of `data`.
pub(super) fn seeds(data: &Data<'_>, k: usize, random: &mut Random) -> Vec<f32> {
    let rows = data.vectors.rows();
    let size = SAMPLE.max(ROWS_PER_CLUSTER * k);
    if rows <= size {
        return plus_plus(data, k, random);
    }
    let chosen = sample(rows, size, random);
    seeds_among(data, &chosen, k, random)
}

/// `[k][dim]`: seeds out of these rows alone.
pub(super) fn seeds_among(
    data: &Data<'_>,
    rows: &[usize],
    k: usize,
    random: &mut Random,
) -> Vec<f32> {
    let dim = data.vectors.dim();
    let copied = data.vectors.gather(rows);
    let lengths = rows.iter().map(|row| data.lengths[*row]).collect();
    // Rows of checked vectors are checked.
    let Ok(vectors) = Vectors::new(&copied, dim) else {
        return Vec::new();
    };
    let data = Data {
        vectors,
        lengths,
        isa: data.isa,
    };
    plus_plus(&data, k, random)
}

fn plus_plus(data: &Data<'_>, k: usize, random: &mut Random) -> Vec<f32> {
    let rows = data.vectors.rows();
    let trials = 2 + (k as f64).ln() as usize;
    let first = random.below(rows);
    let mut seeds = data.vectors.row(first).to_vec();
    let mut closest: Vec<f32> = distances(data, &[first]);
    for _ in 1..k {
        let candidates = draw(&closest, trials, random);
        let distances = distances(data, &candidates);
        let mut sums = vec![0.0f64; trials];
        for (distances, closest) in distances.chunks_exact(trials).zip(&closest) {
            for (sum, distance) in sums.iter_mut().zip(distances) {
                *sum += f64::from(distance.min(*closest));
            }
        }
        let best = (0..trials).fold(0, |best, t| if sums[t] < sums[best] { t } else { best });
        for (closest, distances) in closest.iter_mut().zip(distances.chunks_exact(trials)) {
            *closest = closest.min(distances[best]);
        }
        seeds.extend_from_slice(data.vectors.row(candidates[best]));
    }
    seeds
}

/// `[row][candidate]`: squared distances to some of the rows.
fn distances(data: &Data<'_>, candidates: &[usize]) -> Vec<f32> {
    let points = data.vectors.gather(candidates);
    let width = candidates.len();
    let mut distances = vec![0.0; data.vectors.rows() * width];
    let centers: Centers = data.centers(&points);
    let into = (distances.as_mut_slice(), width);
    centers.each(&data.vectors, &data.lengths, into, |out, distances| {
        out.copy_from_slice(distances);
    });
    distances
}

/// Rows drawn with a probability proportional to `weights`; any row if all weights are 0.
fn draw(weights: &[f32], count: usize, random: &mut Random) -> Vec<usize> {
    let mut sum = 0.0;
    let sums: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += f64::from(*weight);
            sum
        })
        .collect();
    if sum == 0.0 {
        return (0..count).map(|_| random.below(weights.len())).collect();
    }
    (0..count)
        .map(|_| {
            let at = random.unit() * sum;
            sums.partition_point(|sum| *sum <= at).min(sums.len() - 1)
        })
        .collect()
}
