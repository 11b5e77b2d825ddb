//! All distances between vectors, for the methods that want them.

use crate::Result;
use crate::centers::{Centers, isa, squared_lengths};
use crate::vectors::Vectors;
use rayon::prelude::*;

/// Vectors whose distances to all others are taken at a time.
const BLOCK: usize = 256;

/// Euclidean distances of all pairs i < j, row by row of the upper triangle (SciPy's condensed form):
/// `rows · (rows − 1) / 2` numbers.
pub(crate) fn condensed(vectors: &Vectors<'_>) -> Result<Vec<f32>> {
    let (_, shifted) = vectors.shifted();
    let (rows, dim, isa) = (vectors.rows(), vectors.dim(), isa()?);
    let mut distances = vec![0.0; rows * rows.saturating_sub(1) / 2];
    let mut left = distances.as_mut_slice();
    for first in (0..rows).step_by(BLOCK) {
        let block = BLOCK.min(rows - first);
        let points = Centers::new(isa, &shifted[first * dim..][..block * dim], dim);
        let others = Vectors::new(&shifted[first * dim..], dim)?;
        let mut squared = vec![0.0; others.rows() * block];
        let lengths = squared_lengths(&others);
        points.each(
            &others,
            &lengths,
            (&mut squared, block),
            |out, distances| {
                out.copy_from_slice(distances);
            },
        );
        let mut triangle = Vec::with_capacity(block);
        for i in 0..block {
            let (own, rest) = left.split_at_mut(others.rows() - i - 1);
            triangle.push(own);
            left = rest;
        }
        triangle.into_par_iter().enumerate().for_each(|(i, own)| {
            for (j, distance) in own.iter_mut().enumerate() {
                *distance = squared[(i + 1 + j) * block + i].sqrt();
            }
        });
    }
    Ok(distances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::squared_distance;

    #[test]
    fn every_pair_is_in_its_place() {
        let data: Vec<f32> = (0..600 * 3).map(|i| (i as f32 * 1.7).sin()).collect();
        let vectors = Vectors::new(&data, 3).unwrap();
        let found = condensed(&vectors).unwrap();
        let mut at = 0;
        for i in 0..600 {
            for j in i + 1..600 {
                let expected = squared_distance(vectors.row(i), vectors.row(j)).sqrt();
                // Near pairs lose digits: an error of 1e-6 in the square.
                assert!((f64::from(found[at]) - expected).abs() < 3e-3, "{i} {j}");
                at += 1;
            }
        }
        assert_eq!(at, found.len());
        assert!(
            condensed(&Vectors::new(&[1.0], 1).unwrap())
                .unwrap()
                .is_empty()
        );
    }
}
