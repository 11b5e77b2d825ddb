//! Mini-batch k-means with the defaults of scikit-learn's `MiniBatchKMeans`: centres are running
//! means, those with next to no vectors are put somewhere else, and it ends when the smoothed inertia
//! of the batches has not fallen for a while.

use super::{Data, KMeans, seeding};
use crate::random::Random;
use crate::vectors::Vectors;

/// Passes over the data at most (`max_iter`).
const PASSES: usize = 100;
/// Batches without improvement after which it ends (`max_no_improvement`).
const PATIENCE: usize = 10;
/// A centre with less than this share of the fullest one's vectors is put somewhere else
/// (`reassignment_ratio`).
const REASSIGN: f64 = 0.01;
/// Seeds are drawn out of this many batches (`init_size`).
const SEED_BATCHES: usize = 3;

/// The centres, and the batches that it took.
pub(super) fn run(data: &Data<'_>, settings: &KMeans, batch: usize) -> (Vec<f32>, usize) {
    let rows = data.vectors.rows();
    let batch = batch.min(rows);
    let mut random = Random::new(settings.seed, 0);
    let mut state = State {
        centers: best_seeds(data, settings, batch, &mut random),
        weights: vec![0.0; settings.k],
        since_reassigned: 0,
    };
    let mut end = Ending::new(rows, batch);
    let steps = PASSES * rows / batch;
    for step in 0..steps {
        let chosen: Vec<usize> = (0..batch).map(|_| random.below(rows)).collect();
        let inertia = state.step(data, &chosen, &mut random);
        if end.reached(step, inertia / batch as f64) {
            return (state.centers, step + 1);
        }
    }
    (state.centers, steps)
}

/// The best of several draws of seeds, by the inertia of a sample.
fn best_seeds(data: &Data<'_>, settings: &KMeans, batch: usize, random: &mut Random) -> Vec<f32> {
    let rows = data.vectors.rows();
    let size = (SEED_BATCHES * batch).max(if SEED_BATCHES * batch < settings.k {
        SEED_BATCHES * settings.k
    } else {
        0
    });
    let size = size.min(rows);
    let validation: Vec<usize> = (0..size).map(|_| random.below(rows)).collect();
    let mut best = (f64::INFINITY, Vec::new());
    for _ in 0..settings.starts {
        let among = random.distinct(size, rows);
        let seeds = seeding::seeds_among(data, &among, settings.k, random);
        let nearest = nearest_among(data, &validation, &seeds);
        let inertia = nearest
            .iter()
            .map(|(_, distance)| f64::from(*distance))
            .sum();
        if inertia < best.0 {
            best = (inertia, seeds);
        }
    }
    best.1
}

fn nearest_among(data: &Data<'_>, rows: &[usize], centers: &[f32]) -> Vec<(u32, f32)> {
    let copied = data.vectors.gather(rows);
    let lengths: Vec<f32> = rows.iter().map(|row| data.lengths[*row]).collect();
    let mut nearest = vec![(0, 0.0); rows.len()];
    // Rows of checked vectors are checked.
    if let Ok(vectors) = Vectors::new(&copied, data.vectors.dim()) {
        data.centers(centers)
            .nearest(&vectors, &lengths, &mut nearest);
    }
    nearest
}

struct State {
    centers: Vec<f32>,
    /// `[cluster]`: vectors so far.
    weights: Vec<f64>,
    since_reassigned: usize,
}

impl State {
    /// Takes a batch in; returns its inertia before.
    fn step(&mut self, data: &Data<'_>, batch: &[usize], random: &mut Random) -> f64 {
        self.since_reassigned += batch.len();
        let k = self.weights.len();
        let reassign = self.weights.contains(&0.0) || self.since_reassigned >= 10 * k;
        let nearest = nearest_among(data, batch, &self.centers);
        let mut members = vec![Vec::new(); k];
        for (row, (label, _)) in batch.iter().zip(&nearest) {
            members[*label as usize].push(*row);
        }
        for (cluster, members) in members.iter().enumerate().filter(|(_, m)| !m.is_empty()) {
            self.take(data, cluster, members);
        }
        if reassign {
            self.since_reassigned = 0;
            self.reassign(data, batch, random);
        }
        nearest
            .iter()
            .map(|(_, distance)| f64::from(*distance))
            .sum()
    }

    /// Moves a centre to the mean of all vectors that it ever had.
    fn take(&mut self, data: &Data<'_>, cluster: usize, members: &[usize]) {
        let dim = data.vectors.dim();
        let before = self.weights[cluster];
        let weight = before + members.len() as f64;
        let center = &mut self.centers[cluster * dim..][..dim];
        let mut sums: Vec<f64> = center.iter().map(|c| f64::from(*c) * before).collect();
        for row in members {
            crate::vectors::add(&mut sums, data.vectors.row(*row));
        }
        for (value, sum) in center.iter_mut().zip(&sums) {
            *value = (sum / weight) as f32;
        }
        self.weights[cluster] = weight;
    }

    /// Puts centres with few vectors on vectors of the batch, at most half a batch of them.
    fn reassign(&mut self, data: &Data<'_>, batch: &[usize], random: &mut Random) {
        let most = self.weights.iter().copied().fold(0.0, f64::max);
        let mut few: Vec<usize> = (0..self.weights.len())
            .filter(|cluster| self.weights[*cluster] < REASSIGN * most)
            .collect();
        few.sort_by(|a, b| self.weights[*a].total_cmp(&self.weights[*b]).then(a.cmp(b)));
        few.truncate(batch.len() / 2);
        let others = (0..self.weights.len()).filter(|cluster| !few.contains(cluster));
        let weight = others
            .map(|cluster| self.weights[cluster])
            .fold(f64::INFINITY, f64::min);
        let dim = data.vectors.dim();
        let places = random.distinct(few.len(), batch.len());
        for (cluster, place) in few.iter().zip(places) {
            let vector = data.vectors.row(batch[place]);
            self.centers[cluster * dim..][..dim].copy_from_slice(vector);
            self.weights[*cluster] = weight;
        }
    }
}

/// When to stop.
struct Ending {
    /// Weight of a batch in the smoothed inertia.
    alpha: f64,
    smoothed: Option<f64>,
    least: f64,
    without_improvement: usize,
}

impl Ending {
    fn new(rows: usize, batch: usize) -> Self {
        Self {
            alpha: (2.0 * batch as f64 / (rows + 1) as f64).min(1.0),
            smoothed: None,
            least: f64::INFINITY,
            without_improvement: 0,
        }
    }

    /// `inertia` is the mean of a vector in the batch. The first is that of the seeds and tells
    /// nothing.
    fn reached(&mut self, step: usize, inertia: f64) -> bool {
        if step == 0 {
            return false;
        }
        let smoothed = self.smoothed.map_or(inertia, |before| {
            before * (1.0 - self.alpha) + inertia * self.alpha
        });
        self.smoothed = Some(smoothed);
        if smoothed < self.least {
            self.least = smoothed;
            self.without_improvement = 0;
        } else {
            self.without_improvement += 1;
        }
        self.without_improvement >= PATIENCE
    }
}
