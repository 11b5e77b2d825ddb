//! Rotation at every level against the definition.

use super::*;
use crate::simd::tests::{assert_close, noise};

#[test]
fn pairs_turn_by_their_angle() {
    for isa in Isa::available() {
        for half in 1..40 {
            let angles = noise(half, 7);
            let cos: Vec<f32> = angles.iter().map(|a| a.cos()).collect();
            let sin: Vec<f32> = angles.iter().map(|a| a.sin()).collect();
            let before = noise(3 * 2 * half, 1);
            let mut row = before.clone();
            rotate(isa, &mut row, &cos, &sin);
            let mut expected = before.clone();
            for (head, x) in before.chunks(2 * half).enumerate() {
                for i in 0..half {
                    let out = &mut expected[head * 2 * half..];
                    out[i] = x[i] * cos[i] - x[i + half] * sin[i];
                    out[i + half] = x[i + half] * cos[i] + x[i] * sin[i];
                }
            }
            assert_close(isa.name(), &row, &expected, 1e-6);
        }
    }
}
