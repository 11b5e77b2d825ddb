//! Cosines and sines of the rotary embedding, by position.

use super::ModelSpec;

/// Tables of `positions` rows of `dim / 2` angles.
pub struct RotaryTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RotaryTable {
    /// Angles of `positions` positions.
    pub fn new(spec: &ModelSpec, positions: usize) -> Self {
        let frequencies = spec.rotary.frequencies(spec.heads.dim);
        let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f32 * f));
        Self {
            half: frequencies.len(),
            cos: angles().map(f32::cos).collect(),
            sin: angles().map(f32::sin).collect(),
        }
    }

    /// Cosines and sines of a position.
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}
