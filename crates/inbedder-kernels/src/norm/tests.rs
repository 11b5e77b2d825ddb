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

#[test]
fn gradients_equal_differences_of_the_plain_loop() {
    for isa in Isa::available() {
        for width in [1, 5, 16, 37] {
            let (x, weight, grad) = (noise(2 * width, 1), noise(width, 2), noise(2 * width, 3));
            let loss = |x: &[f32], weight: &[f32]| -> f64 {
                let rows = x.chunks(width).zip(grad.chunks(width));
                let row = |(x, grad): (&[f32], &[f32])| {
                    let squares = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                    let scale = 1.0 / (squares / width as f64 + 1e-2).sqrt();
                    let terms = x.iter().zip(weight).zip(grad);
                    terms
                        .map(|((x, w), g)| f64::from(*x) * scale * f64::from(*w) * f64::from(*g))
                        .sum::<f64>()
                };
                rows.map(row).sum()
            };
            let slopes = |values: &[f32], loss: &dyn Fn(&[f32]) -> f64| -> Vec<f32> {
                let slope = |i: usize| {
                    let (mut up, mut down) = (values.to_vec(), values.to_vec());
                    (up[i], down[i]) = (values[i] + 1e-3, values[i] - 1e-3);
                    ((loss(&up) - loss(&down)) / f64::from(up[i] - down[i])) as f32
                };
                (0..values.len()).map(slope).collect()
            };
            let (mut dx, mut dweight) = (vec![1.0; 2 * width], vec![2.0; width]);
            let inputs = (&x[..], &weight[..], 1e-2);
            rms_norm_backward(isa, inputs, (&grad, width), &mut dx, Some(&mut dweight));
            dx.iter_mut().for_each(|d| *d -= 1.0);
            dweight.iter_mut().for_each(|d| *d -= 2.0);
            assert_close(isa.name(), &dx, &slopes(&x, &|x| loss(x, &weight)), 2e-3);
            assert_close(
                isa.name(),
                &dweight,
                &slopes(&weight, &|w| loss(&x, w)),
                2e-3,
            );
        }
    }
}
