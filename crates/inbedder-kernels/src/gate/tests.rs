//! The gate and its gradients at every level against formulas and differences in f64.

use super::*;
use crate::simd::tests::{assert_close, noise};

fn product(gate: f64, up: f64) -> f64 {
    gate / (1.0 + (-gate).exp()) * up
}

#[test]
fn products_and_gradients_equal_the_plain_formulas() {
    for isa in Isa::available() {
        for len in [1, 7, 16, 45] {
            let gates: Vec<f32> = noise(len, 1).iter().map(|g| 6.0 * g).collect();
            let (ups, grads) = (noise(len, 2), noise(len, 3));
            let mut out = vec![9.0; len];
            gate(isa, &gates, &ups, &mut out);
            let wide = |i: usize| (f64::from(gates[i]), f64::from(ups[i]), f64::from(grads[i]));
            let expected = |f: &dyn Fn(f64, f64, f64) -> f64| -> Vec<f32> {
                let values = (0..len).map(wide).map(|(g, u, d)| f(g, u, d) as f32);
                values.collect()
            };
            assert_close(isa.name(), &out, &expected(&|g, u, _| product(g, u)), 1e-5);
            let (mut by_gate, mut by_up) = (gates.clone(), ups.clone());
            gate_backward(isa, &mut by_gate, &mut by_up, &grads);
            let h = 1e-5;
            let slope =
                |g: f64, u: f64, d: f64| d * (product(g + h, u) - product(g - h, u)) / (2.0 * h);
            assert_close(isa.name(), &by_gate, &expected(&slope), 1e-5);
            assert_close(
                isa.name(),
                &by_up,
                &expected(&|g, _, d| d * product(g, 1.0)),
                1e-5,
            );
        }
    }
}
