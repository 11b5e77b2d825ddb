//! Activations times packed weights, with the element-wise work that follows fused behind each
//! tile: bias, residual addition, SiLU gate.

use crate::isa::on_level;
use crate::matrix::{Outputs, PackedMatrix};
use crate::simd::{Simd, each_vector, read, silu, write};
use crate::threads::{Shared, Threads};
use crate::tile::{MAX_PANEL, MAX_ROWS, Sums, Tile, multiply, panel};
use std::ops::Range;

/// What happens to a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// It replaces what the output held.
    Store,
    /// It is added to what the output held (a residual stream).
    Add,
}

/// Rows of activations: `rows` rows of `width` floats, `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows that lie `stride` floats apart.
    ///
    /// # Panics
    /// If `data` is too short for `rows` rows of `stride` (the last may end early).
    pub fn new(data: &'a [f32], rows: usize, stride: usize) -> Self {
        assert!(rows == 0 || (rows - 1) * stride < data.len().max(1));
        Self { data, rows, stride }
    }
}

/// `out (+)= x · wᵀ (+ bias)`, for a gated matrix `out (+)= SiLU(x · gateᵀ) · (x · upᵀ)`.
///
/// `out` holds `x`'s number of rows, `out_stride` apart, each `w.width()` wide.
///
/// # Panics
/// If a buffer is shorter than its shape says.
pub fn gemm(
    x: Rows,
    w: &PackedMatrix,
    into: Into,
    out: &mut [f32],
    out_stride: usize,
    threads: Threads,
) {
    if x.rows == 0 || w.width == 0 {
        return;
    }
    assert!(
        (x.rows - 1) * x.stride + w.inputs <= x.data.len(),
        "activations too short"
    );
    assert!(
        (x.rows - 1) * out_stride + w.width <= out.len(),
        "output too short"
    );
    assert!(out_stride >= w.width, "output rows overlap");
    let out = Shared::new(out);
    threads.split(w.panel_count(), |panels| {
        let job = Job {
            x,
            w,
            into,
            out,
            out_stride,
            panels,
        };
        on_level!(w.isa, multiply_panels(job: Job<'_>));
    });
}

struct Job<'a> {
    x: Rows<'a>,
    w: &'a PackedMatrix,
    into: Into,
    out: Shared,
    out_stride: usize,
    panels: Range<usize>,
}

/// # Safety
/// `gemm` checked the shapes; no other thread has the same panels; the level's instructions are
/// there.
#[inline(always)]
unsafe fn multiply_panels<S: Simd>(job: Job<'_>) {
    let Job { x, w, .. } = job;
    let mut sums: Sums = [0.0; MAX_ROWS * MAX_PANEL];
    for p in job.panels.clone() {
        for first in (0..x.rows).step_by(S::TILE_ROWS) {
            let rows = S::TILE_ROWS.min(x.rows - first);
            // SAFETY: rows `first..first + rows` of x exist and are at least `inputs` wide; panel p
            // is whole; `sums` holds MAX_ROWS × MAX_PANEL floats.
            unsafe {
                multiply::<S>(Tile {
                    rows,
                    k: w.inputs,
                    x: x.data.as_ptr().add(first * x.stride),
                    x_stride: x.stride,
                    panel: w.panels.as_ptr().add(p * w.inputs * panel::<S>()),
                    sums: sums.as_mut_ptr(),
                    sums_stride: panel::<S>(),
                    accumulate: false,
                });
                finish::<S>(&job, p, first, rows, &mut sums);
            }
        }
    }
}

/// Writes one tile out.
///
/// # Safety
/// As for `multiply_panels`; `sums` holds the tile of rows `first..first + rows` and panel p.
#[inline(always)]
unsafe fn finish<S: Simd>(job: &Job<'_>, p: usize, first: usize, rows: usize, sums: &mut Sums) {
    let w = job.w;
    let column = p * w.panel_outputs();
    let width = w.panel_outputs().min(w.width - column);
    for r in 0..rows {
        // SAFETY: row `first + r` and columns `column..column + width` are inside `out` (checked by
        // `gemm`) and belong to this panel alone; the bias has a value for every packed column.
        unsafe {
            let sums = sums.as_mut_ptr().add(r * panel::<S>());
            if let Some(bias) = &w.bias {
                let bias = bias.as_ptr().add(p * panel::<S>());
                each_vector!(S, panel::<S>(), |i, part| {
                    let sum = S::add(read::<S>(sums.add(i), part), read::<S>(bias.add(i), part));
                    write::<S>(sums.add(i), part, sum);
                });
            }
            let out = job.out.get().add((first + r) * job.out_stride + column);
            each_vector!(S, width, |i, part| {
                let mut v = S::load(sums.add(i));
                if w.outputs == Outputs::Gated {
                    v = S::mul(silu::<S>(v), S::load(sums.add(i + S::LANES)));
                }
                if job.into == Into::Add {
                    v = S::add(read::<S>(out.add(i), part), v);
                }
                write::<S>(out.add(i), part, v);
            });
        }
    }
}

#[cfg(test)]
mod tests;
