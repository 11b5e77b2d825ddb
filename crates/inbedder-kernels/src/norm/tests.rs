//! Norms at every level against a plain loop in f64.

use super::*;
use crate::simd::tests::{assert_close, noise};

fn reference(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let squares = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
    let scale = 1.0 / (squares / x.len() as f64 + f64::from(eps)).sqrt();
    let scaled = x
        .iter()
        .zip(weight)
        .map(|(x, w)| f64::from(*x) * scale * f64::from(*w));
    scaled.map(|v| v as f32).collect()
}

#[test]
fn rows_equal_the_plain_loop_at_every_length() {
    for isa in Isa::available() {
        for width in 1..70 {
            let (x, weight) = (noise(3 * width, 1), noise(width, 2));
            let mut out = vec![5.0; 3 * (width + 2)];
            rms_norm(isa, &x, &weight, 1e-5, &mut out, width + 2);
            for (x, out) in x.chunks(width).zip(out.chunks(width + 2)) {
                assert_close(
                    isa.name(),
                    &out[..width],
                    &reference(x, &weight, 1e-5),
                    1e-5,
                );
                assert_eq!(out[width..], [5.0, 5.0], "{isa}: wrote into the gap");
            }
        }
    }
}

#[test]
fn zeros_stay_zeros_and_nan_spreads_over_its_row_alone() {
    for isa in Isa::available() {
        let mut x = vec![0.0; 40];
        x[25] = f32::NAN;
        let mut out = vec![1.0; 40];
        rms_norm(isa, &x, &[1.0; 20], 1e-5, &mut out, 20);
        assert_eq!(out[..20], [0.0; 20], "{isa}");
        assert!(out[20..].iter().all(|v| v.is_nan()), "{isa}");
    }
}

#[test]
fn no_rows_are_no_work() {
    for isa in Isa::available() {
        rms_norm(isa, &[], &[1.0; 4], 1e-5, &mut [], 4);
    }
}
