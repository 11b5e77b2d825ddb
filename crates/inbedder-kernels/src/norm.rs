//! RMS normalisation of rows.

use crate::isa::{Isa, on_level};
use crate::simd::{Simd, each_vector, read, write};

/// `out[row] = x[row] / √(mean(x[row]²) + eps) · weight`, row by row.
///
/// `x` holds rows of `weight.len()` floats, one behind the other; rows of `out` are `out_stride`
/// apart.
///
/// # Panics
/// If a buffer is shorter than its shape says.
pub fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32], out_stride: usize) {
    let width = weight.len();
    if width == 0 || x.is_empty() {
        return;
    }
    assert_eq!(x.len() % width, 0, "whole rows");
    let rows = x.len() / width;
    assert!(out_stride >= width && (rows - 1) * out_stride + width <= out.len());
    for (row, x) in x.chunks_exact(width).enumerate() {
        let out = &mut out[row * out_stride..][..width];
        on_level!(isa, norm_row(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]));
    }
}

/// # Safety
/// The three slices have one length; the level's instructions are there.
#[inline(always)]
unsafe fn norm_row<S: Simd>(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let (x_at, weight_at, out_at) = (x.as_ptr(), weight.as_ptr(), out.as_mut_ptr());
    // SAFETY: `each_vector` stays inside the common length.
    unsafe {
        let mut squares = S::splat(0.0);
        each_vector!(S, x.len(), |i, part| {
            let v = read::<S>(x_at.add(i), part);
            squares = S::mul_add(v, v, squares);
        });
        let mean = S::sum(squares) / x.len() as f32;
        let scale = S::splat(1.0 / (mean + eps).sqrt());
        each_vector!(S, x.len(), |i, part| {
            let v = S::mul(read::<S>(x_at.add(i), part), scale);
            let v = S::mul(v, read::<S>(weight_at.add(i), part));
            write::<S>(out_at.add(i), part, v);
        });
    }
}

#[cfg(test)]
mod tests;
