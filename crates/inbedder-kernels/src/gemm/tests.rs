//! Products at every level against a plain loop in f64.

use super::*;
use crate::isa::Isa;
use crate::simd::tests::{assert_close, noise};
use proptest::prelude::*;
use std::convert::Infallible;

struct Case {
    rows: usize,
    k: usize,
    width: usize,
    gated: bool,
    bias: bool,
    into: Into,
    threads: Threads,
}

/// Weight rows of a case: twice the width if gated.
fn weights(case: &Case) -> (usize, Vec<f32>) {
    let n = case.width * if case.gated { 2 } else { 1 };
    (n, noise(n * case.k, 2))
}

fn reference(case: &Case, x: &[f32], bias: &[f32], out: &mut [f32]) {
    let (n, w) = weights(case);
    for r in 0..case.rows {
        let product = |j: usize| {
            let dot =
                (0..case.k).map(|i| f64::from(x[r * case.k + i]) * f64::from(w[j * case.k + i]));
            dot.sum::<f64>() + if case.bias { f64::from(bias[j]) } else { 0.0 }
        };
        assert!(n >= case.width);
        for j in 0..case.width {
            let value = if case.gated {
                let gate = product(j);
                gate / (1.0 + (-gate).exp()) * product(case.width + j)
            } else {
                product(j)
            };
            let out = &mut out[r * case.width + j];
            *out = value as f32 + if case.into == Into::Add { *out } else { 0.0 };
        }
    }
}

#[track_caller]
fn check(case: &Case, x: &[f32]) {
    let (n, w) = weights(case);
    let bias = noise(n, 4);
    let before = noise(case.rows * case.width, 5);
    let mut expected = before.clone();
    reference(case, x, &bias, &mut expected);
    for isa in Isa::available() {
        let fill = |row: usize, out: &mut [f32]| {
            out.copy_from_slice(&w[row * case.k..][..case.k]);
            Ok::<_, Infallible>(())
        };
        let Ok(mut matrix) = if case.gated {
            PackedMatrix::pack_gated(isa, case.width, case.k, fill)
        } else {
            PackedMatrix::pack(isa, case.width, case.k, fill)
        };
        if case.bias {
            matrix = matrix.with_bias(&bias);
        }
        let mut out = before.clone();
        let rows = Rows::new(x, case.rows, case.k);
        gemm(rows, &matrix, case.into, &mut out, case.width, case.threads);
        assert_close(isa.name(), &out, &expected, 2e-6 * (case.k as f32 + 8.0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn products_equal_the_plain_loop(
        rows in 0usize..40, k in 1usize..70, width in 1usize..100,
        gated: bool, bias: bool, add: bool, pool: bool,
    ) {
        let into = if add { Into::Add } else { Into::Store };
        let threads = if pool { Threads::Pool } else { Threads::One };
        let case = Case { rows, k, width, gated, bias, into, threads };
        check(&case, &noise(rows * k, 1));
    }
}

#[test]
fn nan_and_infinity_stay_in_their_row() {
    let case = Case {
        rows: 14,
        k: 20,
        width: 33,
        gated: false,
        bias: true,
        into: Into::Store,
        threads: Threads::One,
    };
    let mut x = noise(case.rows * case.k, 1);
    x[3 * case.k + 7] = f32::NAN;
    x[13 * case.k] = f32::INFINITY;
    check(&case, &x);
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let (k, width, rows) = (96, 50, 29);
    let x = noise(rows * k, 1);
    for isa in Isa::available() {
        let Ok(w) = PackedMatrix::pack(isa, width, k, |row, out: &mut [f32]| {
            out.copy_from_slice(&noise(k, row as u32));
            Ok::<_, Infallible>(())
        });
        let mut together = vec![0.0; rows * width];
        gemm(
            Rows::new(&x, rows, k),
            &w,
            Into::Store,
            &mut together,
            width,
            Threads::Pool,
        );
        for r in 0..rows {
            let mut alone = vec![0.0; width];
            gemm(
                Rows::new(&x[r * k..], 1, k),
                &w,
                Into::Store,
                &mut alone,
                width,
                Threads::One,
            );
            assert_eq!(together[r * width..][..width], alone, "{isa}: row {r}");
        }
    }
}

#[test]
fn strides_leave_the_gaps_alone() {
    let (rows, k, width) = (5, 7, 9);
    let x = noise(rows * 10, 1);
    for isa in Isa::available() {
        let Ok(w) = PackedMatrix::pack(isa, width, k, |row, out: &mut [f32]| {
            out.copy_from_slice(&noise(k, row as u32));
            Ok::<_, Infallible>(())
        });
        let mut out = vec![-1.0; rows * 12];
        gemm(
            Rows::new(&x, rows, 10),
            &w,
            Into::Store,
            &mut out,
            12,
            Threads::One,
        );
        for row in out.chunks(12) {
            assert!(row[..width].iter().all(|v| *v != -1.0));
            assert_eq!(row[width..], [-1.0; 3], "{isa}");
        }
    }
}
