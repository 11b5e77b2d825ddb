//! How many clusters? The k whose clusters are tightest against their nearest neighbours: the
//! simplified silhouette (Hruschka, Campello and de Castro 2006), which takes distances to centres
//! where the full one takes them to all members, over a geometric grid of k.
//!
//! A vector pulls its own centre towards itself, the more so the fewer share it; left as it is, that
//! makes the largest k the best. So a vector's distance to its own centre is that to the mean of the
//! *others* (n / (n − 1) times the distance to the mean of all), and one that is alone counts as 0, as in
//! the full silhouette.

use crate::centers::{Centers, isa, squared_lengths};
use crate::kmeans::KMeans;
use crate::random::Random;
use crate::{Result, Vectors};
use serde::Serialize;

/// The largest k that is tried.
const LARGEST: usize = 100;
/// Vectors that are looked at: a seeded sample of more.
const SAMPLE: usize = 10_000;
/// Starts of each k.
const STARTS: usize = 3;

/// One k that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Candidate {
    /// Number of clusters.
    pub k: usize,
    /// Mean over the vectors of (b − a) / max(a, b): a is the distance to the centre of the others in
    /// its cluster, b to the nearest other centre. From −1 to 1; 0 is between two clusters.
    pub silhouette: f64,
    /// Sum of the squared distances to the centres.
    pub inertia: f64,
}

/// The chosen number of clusters, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// The k of the highest silhouette, the smaller of equals; 1 where no k does better than 0 (all
    /// vectors are the same, or there are fewer than three).
    pub k: usize,
    /// All that were tried, by rising k.
    pub curve: Vec<Candidate>,
}

/// Tries k = 2, 3, 4, 6, 8, 11, 16, … (by a factor of √2) up to 100 and half of the vectors.
///
/// # Errors
/// [`Error::InstructionSet`](crate::Error::InstructionSet).
pub fn choose_k(vectors: &Vectors<'_>, seed: u64) -> Result<Choice> {
    // A stream of its own: those from 0 are the starts of k-means.
    let mut random = Random::new(seed, u64::MAX);
    let mut rows: Vec<usize> = random.distinct(SAMPLE, vectors.rows());
    rows.sort_unstable();
    let (_, shifted) = vectors.shifted();
    let shifted = Vectors::new(&shifted, vectors.dim())?.gather(&rows);
    let vectors = Vectors::new(&shifted, vectors.dim())?;
    let mut choice = Choice {
        k: 1,
        curve: Vec::new(),
    };
    let mut best = 0.0;
    for k in grid(vectors.rows() / 2) {
        let settings = KMeans {
            starts: STARTS,
            ..KMeans::full(k, seed)
        };
        let found = settings.fit(&vectors)?;
        let silhouette = silhouette(&vectors, &found.centers)?;
        if silhouette > best {
            best = silhouette;
            choice.k = k;
        }
        choice.curve.push(Candidate {
            k,
            silhouette,
            inertia: found.inertia,
        });
    }
    Ok(choice)
}

/// 2, 3, 4, 6, 8, 11, … up to `largest`.
fn grid(largest: usize) -> Vec<usize> {
    let steps = (2..).map(|step| 2f64.powf(f64::from(step) / 2.0).round() as usize);
    steps.take_while(|k| *k <= largest.min(LARGEST)).collect()
}

fn silhouette(vectors: &Vectors<'_>, centers: &[f32]) -> Result<f64> {
    let count = centers.len() / vectors.dim();
    // Each vector's cluster, and the distances to its centre and to the next.
    let mut near = vec![(0usize, 0.0f32, 0.0f32); vectors.rows()];
    let lengths = squared_lengths(vectors);
    let centers = Centers::new(isa()?, centers, vectors.dim());
    centers.each(vectors, &lengths, (&mut near, 1), |near, distances| {
        for (near, distances) in near.iter_mut().zip(distances.chunks_exact(count)) {
            *near = (0, f32::INFINITY, f32::INFINITY);
            for (cluster, distance) in distances.iter().enumerate() {
                if *distance < near.1 {
                    *near = (cluster, *distance, near.1);
                } else if *distance < near.2 {
                    near.2 = *distance;
                }
            }
        }
    });
    let mut sizes = vec![0usize; count];
    for (cluster, _, _) in &near {
        sizes[*cluster] += 1;
    }
    let value = |(cluster, own, next): &(usize, f32, f32)| match sizes[*cluster] {
        0 | 1 => 0.0,
        size => {
            let without = size as f64 / (size - 1) as f64;
            let (a, b) = (f64::from(own.sqrt()) * without, f64::from(next.sqrt()));
            if a.max(b) > 0.0 {
                (b - a) / a.max(b)
            } else {
                0.0
            }
        }
    };
    Ok(near.iter().map(value).sum::<f64>() / near.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_grows_by_the_root_of_two() {
        assert_eq!(grid(1000), [2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91]);
        assert_eq!(grid(7), [2, 3, 4, 6]);
        assert!(grid(1).is_empty());
    }

    #[test]
    fn places_are_counted() {
        let mut random = Random::new(4, 0);
        for places in [2, 6, 16] {
            let data: Vec<f32> = (0..480)
                .flat_map(|i| {
                    let mut place = vec![0.0; 20];
                    place[i % places] = 4.0;
                    place.iter_mut().for_each(|x| *x += random.unit() as f32);
                    place
                })
                .collect();
            let choice = choose_k(&Vectors::new(&data, 20).unwrap(), 0).unwrap();
            assert_eq!(choice.k, places, "{:?}", choice.curve);
        }
    }

    #[test]
    fn noise_is_not_cut_into_as_many_clusters_as_can_be() {
        let mut random = Random::new(8, 0);
        let data: Vec<f32> = (0..150 * 30).map(|_| random.unit() as f32 - 0.5).collect();
        let choice = choose_k(&Vectors::new(&data, 30).unwrap(), 0).unwrap();
        let last = choice.curve.last().unwrap();
        assert!(choice.k < 30, "{:?}", choice.curve);
        assert!(last.silhouette < 0.1, "{:?}", choice.curve);
    }

    #[test]
    fn vectors_that_are_all_the_same_are_one_cluster() {
        let same = [0.3; 60];
        assert_eq!(choose_k(&Vectors::new(&same, 3).unwrap(), 0).unwrap().k, 1);
        let two = choose_k(&Vectors::new(&[0.0, 1.0], 1).unwrap(), 0).unwrap();
        assert_eq!((two.k, two.curve.len()), (1, 0));
    }
}
