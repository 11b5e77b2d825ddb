//! Outer products at every level against a plain loop in f64.

use super::*;
use crate::simd::tests::{assert_close, noise};

fn reference(rows: usize, p: &[f32], q: &[f32], out: &[f32]) -> Vec<f32> {
    let (height, width) = (p.len() / rows, q.len() / rows);
    let sum = |i: usize, j: usize| {
        let products =
            (0..rows).map(|r| f64::from(p[r * height + i]) * f64::from(q[r * width + j]));
        products.sum::<f64>() as f32 + out[i * width + j]
    };
    (0..height * width)
        .map(|at| sum(at / width, at % width))
        .collect()
}

#[test]
fn sums_equal_the_plain_loop_at_every_shape() {
    let shapes = [
        (1, 1, 1),
        (5, 16, 7),
        (193, 13, 33),
        (400, 3, 70),
        (31, 40, 64),
    ];
    for isa in Isa::available() {
        for (rows, height, width) in shapes {
            let (p, q) = (noise(rows * height, 1), noise(rows * width, 2));
            let before = noise(height * width, 3);
            let mut out = before.clone();
            let (p_rows, q_rows) = (Matrix::whole(&p, height), Matrix::whole(&q, width));
            outer(isa, rows, p_rows, q_rows, &mut out, Threads::Pool);
            assert_close(isa.name(), &out, &reference(rows, &p, &q, &before), 1e-4);
        }
    }
}

#[test]
fn strides_are_kept() {
    for isa in Isa::available() {
        let (p, q) = (noise(3 * 5, 1), noise(3 * 6, 2));
        let narrow = |rows: &[f32], stride: usize, width: usize| -> Vec<f32> {
            let rows = rows.chunks(stride);
            rows.flat_map(|row| row[..width].to_vec()).collect()
        };
        let mut out = vec![0.0; 4 * 2];
        let (p_rows, q_rows) = (
            Matrix {
                data: &p[..14],
                width: 4,
                stride: 5,
            },
            Matrix {
                data: &q[..14],
                width: 2,
                stride: 6,
            },
        );
        outer(isa, 3, p_rows, q_rows, &mut out, Threads::One);
        let expected = reference(3, &narrow(&p, 5, 4), &narrow(&q, 6, 2), &[0.0; 8]);
        assert_close(isa.name(), &out, &expected, 1e-5);
    }
}
