//! Products of every precision at every level against a plain loop in f64.

use super::*;
use crate::format::Precision;
use crate::isa::Isa;
use crate::simd::tests::{assert_close, noise};
use crate::{Rows, Staging};
use proptest::prelude::*;
use std::convert::Infallible;

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

#[derive(Clone, Copy)]
struct Case {
    rows: usize,
    k: usize,
    width: usize,
    gated: bool,
    bias: bool,
    into: Into,
    threads: Threads,
}

impl Case {
    /// Rows of the weight matrix: twice the width if gated.
    fn outputs(&self) -> usize {
        self.width * if self.gated { 2 } else { 1 }
    }

    fn weights(&self) -> Vec<f32> {
        noise(self.outputs() * self.k, 2)
    }

    fn pack(&self, isa: Isa, precision: Precision) -> PackedMatrix {
        let weights = self.weights();
        let fill = |row: usize, out: &mut [f32]| {
            out.copy_from_slice(&weights[row * self.k..][..self.k]);
            Ok::<_, Infallible>(())
        };
        let Ok(matrix) = if self.gated {
            PackedMatrix::pack_gated(isa, precision, self.width, self.k, fill)
        } else {
            PackedMatrix::pack(isa, precision, self.width, self.k, fill)
        };
        if self.bias {
            matrix.with_bias(&self.biases())
        } else {
            matrix
        }
    }

    fn biases(&self) -> Vec<f32> {
        noise(self.outputs(), 4)
    }

    fn run(&self, w: &PackedMatrix, x: &[f32], out: &mut [f32]) {
        let mut staging = Staging::default();
        let x = w.stage(Rows::new(x, self.rows, self.k), &mut staging);
        gemm(x, w, self.into, out, self.width, self.threads);
    }

    fn reference(&self, x: &[f32], out: &mut [f32]) {
        let (w, bias) = (self.weights(), self.biases());
        for r in 0..self.rows {
            let product = |j: usize| {
                let (x, w) = (&x[r * self.k..][..self.k], &w[j * self.k..][..self.k]);
                let dot: f64 = x
                    .iter()
                    .zip(w)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum();
                dot + if self.bias { f64::from(bias[j]) } else { 0.0 }
            };
            for j in 0..self.width {
                let mut value = product(j);
                if self.gated {
                    value = value / (1.0 + (-value).exp()) * product(self.width + j);
                }
                let out = &mut out[r * self.width + j];
                *out = value as f32 + if self.into == Into::Add { *out } else { 0.0 };
            }
        }
    }

    /// How far a precision may be off, relative to one.
    fn tolerance(&self, precision: Precision) -> f32 {
        let k = self.k as f32;
        // Rounding errors of one product times its size, adding up like a random walk; a gated
        // result multiplies two such sums of size √k.
        let unit = match precision {
            Precision::F32 => return 2e-6 * (k + 8.0),
            Precision::Bf16 => 1.0 / 256.0,
            Precision::Int8 => 1.0 / 64.0,
        };
        5.0 * unit * k.sqrt() * if self.gated { k.sqrt() + 1.0 } else { 1.0 }
    }
}

#[track_caller]
fn check(case: Case, x: &[f32]) {
    let before = noise(case.rows * case.width, 5);
    let mut expected = before.clone();
    case.reference(x, &mut expected);
    for isa in Isa::available() {
        for precision in PRECISIONS {
            let mut out = before.clone();
            case.run(&case.pack(isa, precision), x, &mut out);
            assert_close(
                &format!("{isa} {precision:?}"),
                &out,
                &expected,
                case.tolerance(precision),
            );
        }
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
        check(Case { rows, k, width, gated, bias, into, threads }, &noise(rows * k, 1));
    }
}

const PLAIN: Case = Case {
    rows: 14,
    k: 21,
    width: 33,
    gated: false,
    bias: false,
    into: Into::Store,
    threads: Threads::One,
};

#[test]
fn nan_and_infinity_make_their_row_not_finite_and_no_other() {
    let mut x = noise(PLAIN.rows * PLAIN.k, 1);
    x[3 * PLAIN.k + 7] = f32::NAN;
    x[13 * PLAIN.k] = f32::INFINITY;
    for isa in Isa::available() {
        for precision in PRECISIONS {
            let mut out = vec![0.0; PLAIN.rows * PLAIN.width];
            PLAIN.run(&PLAIN.pack(isa, precision), &x, &mut out);
            for (r, row) in out.chunks(PLAIN.width).enumerate() {
                let spoiled = r == 3 || r == 13;
                assert!(
                    row.iter().all(|v| v.is_finite() != spoiled),
                    "{isa} {precision:?}: row {r} {row:?}"
                );
            }
        }
    }
}

/// What each precision's numbers become before they are multiplied; the products are then exact
/// enough for a tight bound, which a rounding or layout error would break.
#[test]
fn low_precisions_equal_the_product_of_rounded_numbers() {
    let case = Case { k: 300, ..PLAIN };
    let (x, w) = (noise(case.rows * case.k, 1), case.weights());
    let bf16 = |v: f32| f32::from_bits(u32::from(crate::format::to_bf16(v)) << 16);
    let quantized = |row: &[f32], limit: f32| -> Vec<f32> {
        let largest = row.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        row.iter()
            .map(|v| (v * (limit / largest)).round_ties_even() * (largest / limit))
            .collect()
    };
    for isa in Isa::available() {
        for precision in [Precision::Bf16, Precision::Int8] {
            let matrix = case.pack(isa, precision);
            let mut out = vec![0.0; case.rows * case.width];
            case.run(&matrix, &x, &mut out);
            let native = matrix.format.activation_bytes() == 2 && !matrix.format.is_integer();
            let limit = matrix.format.activation_limit(case.k);
            let round_x = |row: &[f32]| match precision {
                Precision::Int8 => quantized(row, limit),
                _ if native => row.iter().map(|v| bf16(*v)).collect(),
                _ => row.to_vec(),
            };
            let round_w = |row: &[f32]| match precision {
                Precision::Int8 => quantized(row, 127.0),
                _ => row.iter().map(|v| bf16(*v)).collect(),
            };
            let mut expected = Vec::new();
            for x in x.chunks(case.k).map(round_x) {
                for w in w.chunks(case.k).map(round_w) {
                    let dot: f64 = x
                        .iter()
                        .zip(&w)
                        .map(|(a, b)| f64::from(*a) * f64::from(*b))
                        .sum();
                    expected.push(dot as f32);
                }
            }
            assert_close(&format!("{isa} {precision:?}"), &out, &expected, 1e-4);
        }
    }
}

#[test]
fn extreme_activations_do_not_overflow_integer_sums() {
    let case = Case {
        rows: 1,
        k: 4096,
        width: 8,
        ..PLAIN
    };
    let w = vec![1.0; case.k * case.width];
    for isa in Isa::available() {
        let Ok(matrix) = PackedMatrix::pack(
            isa,
            Precision::Int8,
            case.width,
            case.k,
            |row, out: &mut [f32]| {
                out.copy_from_slice(&w[row * case.k..][..case.k]);
                Ok::<_, Infallible>(())
            },
        );
        for sign in [1.0, -1.0] {
            let mut out = vec![0.0; case.width];
            case.run(&matrix, &vec![sign * 3.0; case.k], &mut out);
            let expected = vec![sign * 3.0 * case.k as f32; case.width];
            assert_close(isa.name(), &out, &expected, 1e-3);
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let case = Case {
        rows: 29,
        k: 96,
        width: 50,
        threads: Threads::Pool,
        ..PLAIN
    };
    let x = noise(case.rows * case.k, 1);
    for isa in Isa::available() {
        for precision in PRECISIONS {
            let w = case.pack(isa, precision);
            let mut together = vec![0.0; case.rows * case.width];
            case.run(&w, &x, &mut together);
            for r in 0..case.rows {
                let one = Case {
                    rows: 1,
                    threads: Threads::One,
                    ..case
                };
                let mut alone = vec![0.0; case.width];
                one.run(&w, &x[r * case.k..], &mut alone);
                assert_eq!(
                    together[r * case.width..][..case.width],
                    alone,
                    "{isa} {precision:?}: row {r}"
                );
            }
        }
    }
}

#[test]
fn strides_leave_the_gaps_alone() {
    let case = Case {
        rows: 5,
        k: 7,
        width: 9,
        ..PLAIN
    };
    let x = noise(case.rows * 10, 1);
    for isa in Isa::available() {
        for precision in PRECISIONS {
            let w = case.pack(isa, precision);
            let mut staging = Staging::default();
            let staged = w.stage(Rows::new(&x, case.rows, 10), &mut staging);
            let mut out = vec![-1.0; case.rows * 12];
            gemm(staged, &w, Into::Store, &mut out, 12, Threads::One);
            for row in out.chunks(12) {
                assert!(row[..case.width].iter().all(|v| *v != -1.0));
                assert_eq!(row[case.width..], [-1.0; 3], "{isa} {precision:?}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "another matrix")]
fn activations_staged_for_other_inputs_are_refused() {
    let isa = Isa::available()[0];
    let (w, other) = (
        PLAIN.pack(isa, Precision::F32),
        Case { k: 5, ..PLAIN }.pack(isa, Precision::F32),
    );
    let mut staging = Staging::default();
    let x = vec![0.0; 21];
    let staged = w.stage(Rows::new(&x, 1, 21), &mut staging);
    gemm(
        staged,
        &other,
        Into::Store,
        &mut [0.0; 33],
        33,
        Threads::One,
    );
}
