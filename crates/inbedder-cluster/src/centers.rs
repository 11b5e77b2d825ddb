//! Distances to a handful of points (centres, or candidates for them) by one matrix product:
//! |x − c|² = |x|² − 2 x·c + |c|².
//!
//! What the subtraction leaves of two nearly equal numbers is rounding; distances below it count as
//! zero, so that a vector's copies lie at its own place.

use crate::vectors::{Vectors, squared_length};
use crate::{Error, Result};
use inbedder_kernels::{Into, Isa, PackedMatrix, Precision, Rows, Staging, Threads, gemm};
use rayon::prelude::*;

/// Vectors that a worker takes at a time. Fixed: results must not depend on the threads.
const ROWS: usize = 256;
/// A squared distance below this share of |x|² + |c|² is rounding.
const ROUNDING: f32 = 1e-6;

/// Points, packed for products.
pub(crate) struct Centers {
    packed: PackedMatrix,
    /// `[point]`: |c|².
    lengths: Vec<f32>,
}

impl Centers {
    /// `data` holds points of length `dim`.
    pub(crate) fn new(isa: Isa, data: &[f32], dim: usize) -> Self {
        let count = data.len() / dim;
        let fill = |row: usize, out: &mut [f32]| {
            out.copy_from_slice(&data[row * dim..][..dim]);
            Ok::<(), std::convert::Infallible>(())
        };
        let packed = match PackedMatrix::pack(isa, Precision::F32, count, dim, fill) {
            Ok(packed) => packed,
            Err(never) => match never {},
        };
        let lengths = data.chunks_exact(dim);
        let lengths = lengths.map(|c| squared_length(c) as f32).collect();
        Self { packed, lengths }
    }

    /// Calls `take` with pieces of `out`, `width` values a vector, and the squared distances
    /// `[vector][point]` of the vectors that the piece is of. `lengths` are the vectors' |x|².
    pub(crate) fn each<T: Send>(
        &self,
        vectors: &Vectors<'_>,
        lengths: &[f32],
        (out, width): (&mut [T], usize),
        take: impl Fn(&mut [T], &[f32]) + Sync,
    ) {
        let (count, dim) = (self.lengths.len(), vectors.dim());
        let buffers = || (Staging::default(), vec![0.0; ROWS * count]);
        out.par_chunks_mut(ROWS * width).enumerate().for_each_init(
            buffers,
            |(staging, products), (chunk, out)| {
                let rows = out.len() / width;
                let data = &vectors.data()[chunk * ROWS * dim..][..rows * dim];
                let x = self.packed.stage(Rows::new(data, rows, dim), staging);
                let products = &mut products[..rows * count];
                gemm(x, &self.packed, Into::Store, products, count, Threads::One);
                let lengths = &lengths[chunk * ROWS..][..rows];
                for (products, x) in products.chunks_exact_mut(count).zip(lengths) {
                    for (product, c) in products.iter_mut().zip(&self.lengths) {
                        let both = x + c;
                        let distance = both - 2.0 * *product;
                        *product = if distance < ROUNDING * both {
                            0.0
                        } else {
                            distance
                        };
                    }
                }
                take(out, products);
            },
        );
    }

    /// For every vector the nearest point, the first of equals, and the squared distance to it.
    pub(crate) fn nearest(
        &self,
        vectors: &Vectors<'_>,
        lengths: &[f32],
        nearest: &mut [(u32, f32)],
    ) {
        let count = self.lengths.len();
        self.each(vectors, lengths, (nearest, 1), |nearest, distances| {
            for (nearest, distances) in nearest.iter_mut().zip(distances.chunks_exact(count)) {
                *nearest = least(distances);
            }
        });
    }
}

/// |x|² of every vector.
pub(crate) fn squared_lengths(vectors: &Vectors<'_>) -> Vec<f32> {
    let rows = vectors.data().par_chunks_exact(vectors.dim());
    rows.map(|row| squared_length(row) as f32).collect()
}

/// The instruction set to work with.
pub(crate) fn isa() -> Result<Isa> {
    Isa::detect().map_err(Error::InstructionSet)
}

fn least(distances: &[f32]) -> (u32, f32) {
    let mut best = (0, f32::INFINITY);
    for (i, distance) in distances.iter().enumerate() {
        if *distance < best.1 {
            best = (i as u32, *distance);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::squared_distance;

    #[test]
    fn the_nearest_is_that_of_distances_taken_one_by_one() {
        let mut random = crate::random::Random::new(3, 0);
        let mut draw = |n: usize| {
            (0..n)
                .map(|_| random.unit() as f32 - 0.5)
                .collect::<Vec<_>>()
        };
        let (dim, data, points) = (37, draw(700 * 37), draw(41 * 37));
        let vectors = Vectors::new(&data, dim).unwrap();
        let mut nearest = vec![(0, 0.0); 700];
        Centers::new(isa().unwrap(), &points, dim).nearest(
            &vectors,
            &squared_lengths(&vectors),
            &mut nearest,
        );
        for (i, (label, distance)) in nearest.iter().enumerate() {
            let to = |p: &[f32]| squared_distance(vectors.row(i), p);
            let least = points
                .chunks_exact(dim)
                .map(to)
                .fold(f64::INFINITY, f64::min);
            assert!((f64::from(*distance) - least).abs() < 1e-5, "row {i}");
            let own = to(&points[*label as usize * dim..][..dim]);
            assert!(own - least < 1e-5, "row {i}");
        }
    }

    #[test]
    fn a_copy_of_a_point_lies_at_distance_zero() {
        let data: Vec<f32> = (0..300).map(|i| 5.0 + (i as f32 * 0.37).sin()).collect();
        let vectors = Vectors::new(&data, 100).unwrap();
        let mut nearest = vec![(9, 1.0); 3];
        let centers = Centers::new(isa().unwrap(), &data, 100);
        centers.nearest(&vectors, &squared_lengths(&vectors), &mut nearest);
        assert_eq!(nearest, [(0, 0.0), (1, 0.0), (2, 0.0)]);
    }
}
