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

/// Adds the gradient with respect to `x` of [`rms_norm`] to `dx`, and that with respect to `weight`
/// to `dweight`, if given.
///
/// `x` and `dx` hold rows of `weight.len()` floats, one behind the other; rows of `grad`, the
/// gradients of the output, are `grad_stride` apart.
///
/// # Panics
/// If a buffer is shorter than its shape says.
pub fn rms_norm_backward(
    isa: Isa,
    (x, weight, eps): (&[f32], &[f32], f32),
    (grad, grad_stride): (&[f32], usize),
    dx: &mut [f32],
    mut dweight: Option<&mut [f32]>,
) {
    let width = weight.len();
    if width == 0 || x.is_empty() {
        return;
    }
    assert!(
        x.len().is_multiple_of(width) && x.len() == dx.len(),
        "whole rows"
    );
    assert!(dweight.as_ref().is_none_or(|sums| sums.len() == width));
    let rows = x.len() / width;
    assert!(grad_stride >= width && (rows - 1) * grad_stride + width <= grad.len());
    for (row, (x, dx)) in x
        .chunks_exact(width)
        .zip(dx.chunks_exact_mut(width))
        .enumerate()
    {
        let grad = &grad[row * grad_stride..][..width];
        let scale = on_level!(
            isa,
            norm_row_backward(x: &[f32], weight: &[f32], eps: f32, grad: &[f32], dx: &mut [f32])
                -> f32
        );
        if let Some(sums) = &mut dweight {
            for ((sum, grad), x) in sums.iter_mut().zip(grad).zip(x) {
                *sum += grad * x * scale;
            }
        }
    }
}

/// Returns what the row was multiplied by.
///
/// # Safety
/// The four slices have one length; the level's instructions are there.
#[inline(always)]
unsafe fn norm_row_backward<S: Simd>(
    x: &[f32],
    weight: &[f32],
    eps: f32,
    grad: &[f32],
    dx: &mut [f32],
) -> f32 {
    let (x_at, weight_at, grad_at) = (x.as_ptr(), weight.as_ptr(), grad.as_ptr());
    let dx_at = dx.as_mut_ptr();
    // SAFETY: `each_vector` stays inside the common length.
    unsafe {
        let (mut squares, mut along) = (S::splat(0.0), S::splat(0.0));
        each_vector!(S, x.len(), |i, part| {
            let v = read::<S>(x_at.add(i), part);
            let g = S::mul(
                read::<S>(grad_at.add(i), part),
                read::<S>(weight_at.add(i), part),
            );
            squares = S::mul_add(v, v, squares);
            along = S::mul_add(g, v, along);
        });
        let width = x.len() as f32;
        let scale = 1.0 / (S::sum(squares) / width + eps).sqrt();
        // dx = scale · (g − x̂ · mean(g · x̂)) with x̂ = scale · x and g = grad · weight.
        let back = S::splat(-scale * scale * scale * S::sum(along) / width);
        each_vector!(S, x.len(), |i, part| {
            let v = read::<S>(x_at.add(i), part);
            let g = S::mul(
                read::<S>(grad_at.add(i), part),
                read::<S>(weight_at.add(i), part),
            );
            let d = S::mul_add(v, back, S::mul(g, S::splat(scale)));
            write::<S>(dx_at.add(i), part, S::add(read::<S>(dx_at.add(i), part), d));
        });
        scale
    }
}

#[cfg(test)]
mod tests;
