//! Activations times packed weights, with the element-wise work that follows fused behind each
//! tile: bias, residual addition, SiLU gate.

use crate::activations::Activations;
use crate::dot::{Dot, DotKernel, on_format};
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

/// `out (+)= x · wᵀ (+ bias)`, for a gated matrix `out (+)= SiLU(x · gateᵀ) · (x · upᵀ)`.
///
/// `out` holds `x`'s number of rows, `out_stride` apart, each `w.width()` wide.
///
/// # Panics
/// If `x` was not staged for this matrix, or `out` is shorter than its shape says.
pub fn gemm(
    x: Activations,
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
        x.format == w.format && x.inputs == w.inputs,
        "activations staged for another matrix"
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
        // SAFETY: the shapes are checked above, the panels are this thread's, and a matrix has a
        // format that its level gives.
        unsafe { on_format(w.isa, w.format, job) };
    });
}

struct Job<'a> {
    x: Activations<'a>,
    w: &'a PackedMatrix,
    into: Into,
    out: Shared,
    out_stride: usize,
    panels: Range<usize>,
}

impl DotKernel for Job<'_> {
    /// # Safety
    /// `gemm` checked the shapes; no other thread has the same panels; the instructions of `D` are
    /// there.
    #[inline(always)]
    unsafe fn run<D: Dot>(self) {
        let Job { x, w, .. } = self;
        let mut sums: Sums = [0.0; MAX_ROWS * MAX_PANEL];
        for p in self.panels.clone() {
            for first in (0..x.rows).step_by(D::S::TILE_ROWS) {
                let rows = D::S::TILE_ROWS.min(x.rows - first);
                // SAFETY: rows `first..first + rows` of x exist and are staged in whole groups; panel
                // p is whole; `sums` holds MAX_ROWS × MAX_PANEL sums.
                unsafe {
                    multiply::<D>(Tile {
                        rows,
                        steps: w.steps(),
                        x: x.data.as_ptr().add(first * x.stride),
                        x_stride: x.stride,
                        panel: w.panels.bytes().as_ptr().add(p * w.panel_bytes()),
                        sums: sums.as_mut_ptr(),
                        sums_stride: panel::<D::S>(),
                        accumulate: false,
                    });
                    if w.format.is_integer() {
                        scale::<D::S>(&self, p, first, rows, &mut sums);
                    }
                    finish::<D::S>(&self, p, first, rows, &mut sums);
                }
            }
        }
    }
}

/// Turns a tile's integer sums into floats.
///
/// # Safety
/// As for `Job::run`; `sums` holds the tile of rows `first..first + rows` and panel p.
#[inline(always)]
unsafe fn scale<S: Simd>(job: &Job<'_>, p: usize, first: usize, rows: usize, sums: &mut Sums) {
    for r in 0..rows {
        // SAFETY: `sums` holds whole panels per row, and there is a scale for every packed column.
        unsafe {
            let sums = sums.as_mut_ptr().add(r * panel::<S>());
            let scales = job.w.scales.as_ptr().add(p * panel::<S>());
            let correction = S::splat_bits(job.x.corrections[first + r] as u32);
            let unit = S::splat(job.x.scales[first + r]);
            each_vector!(S, panel::<S>(), |i, _part| {
                let sum = S::add_integers(S::integer_bits(S::load(sums.add(i))), correction);
                let unit = S::mul(unit, S::load(scales.add(i)));
                S::store(sums.add(i), S::mul(S::to_float(sum), unit));
            });
        }
    }
}

/// Writes one tile out.
///
/// # Safety
/// As for `Job::run`; `sums` holds the tile of rows `first..first + rows` and panel p.
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
