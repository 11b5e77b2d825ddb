//! Sums of outer products, `out += pᵀ · q`: the gradient of a weight matrix out of the rows that went
//! in and the gradients of the rows that came out.

use crate::dot::F32;
use crate::isa::{Isa, on_level};
use crate::memory::Aligned;
use crate::simd::{Simd, each_vector, read, write};
use crate::threads::{Shared, Threads};
use crate::tile::{MAX_PANEL, MAX_ROWS, Sums, Tile, multiply, panel};
use std::ops::Range;

/// Rows summed in one go: a panel of them takes half of a core's first-level cache.
const BLOCK: usize = 192;

/// A matrix among other numbers: `rows` rows of `width` floats, `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The first row first; the last may end after `width`.
    pub data: &'a [f32],
    /// Floats per row.
    pub width: usize,
    /// Floats from the start of a row to the next.
    pub stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `width` floats, one behind the other.
    pub fn whole(data: &'a [f32], width: usize) -> Self {
        Self {
            data,
            width,
            stride: width,
        }
    }

    fn holds(&self, rows: usize) -> bool {
        self.stride >= self.width && (rows - 1) * self.stride + self.width <= self.data.len()
    }
}

/// `out += pᵀ · q` over `rows` rows of both: `out` is `[p.width][q.width]`.
///
/// A sum is taken in the order of the rows, in blocks of a fixed size, whatever the threads.
///
/// # Panics
/// If a buffer is shorter than its shape says.
pub fn outer(
    isa: Isa,
    rows: usize,
    p: Matrix<'_>,
    q: Matrix<'_>,
    out: &mut [f32],
    threads: Threads,
) {
    if rows == 0 || p.width == 0 || q.width == 0 {
        return;
    }
    assert!(p.holds(rows) && q.holds(rows), "rows too short");
    assert_eq!(out.len(), p.width * q.width, "one sum per pair of columns");
    let out = Shared::new(out);
    threads.split(p.width, |columns| {
        let job = Job {
            rows,
            p: p.data[columns.start..].as_ptr(),
            p_stride: p.stride,
            height: columns.len(),
            q: q.data.as_ptr(),
            q_stride: q.stride,
            width: q.width,
            // SAFETY: `out` holds `q.width` sums for each column of p.
            out: unsafe { out.get().add(columns.start * q.width) },
            out_stride: q.width,
        };
        let mut scratch = Scratch::default();
        let scratch = &mut scratch;
        on_level!(isa, add_outer(job: Job, scratch: &mut Scratch));
    });
}

/// Columns `0..height` of p against columns `0..width` of q, over `rows` rows.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub(crate) rows: usize,
    pub(crate) p: *const f32,
    pub(crate) p_stride: usize,
    pub(crate) height: usize,
    pub(crate) q: *const f32,
    pub(crate) q_stride: usize,
    pub(crate) width: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_stride: usize,
}

/// Buffers of one block.
pub(crate) struct Scratch {
    /// `[column of p][row]`.
    transposed: Vec<f32>,
    /// `[row][panel]`: some columns of q.
    panel: Aligned,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            transposed: Vec::new(),
            panel: Aligned::zeros(BLOCK * MAX_PANEL),
        }
    }
}

/// # Safety
/// The pointers are valid for the shapes named at the fields, nobody else uses `out`, and the
/// instructions of `S` are there.
#[inline(always)]
pub(crate) unsafe fn add_outer<S: Simd>(job: Job, scratch: &mut Scratch) {
    for first in (0..job.rows).step_by(BLOCK) {
        let rows = first..job.rows.min(first + BLOCK);
        // SAFETY: the contract is passed on for rows that exist.
        unsafe {
            transpose(&job, rows.clone(), &mut scratch.transposed);
            for column in (0..job.width).step_by(panel::<S>()) {
                let width = panel::<S>().min(job.width - column);
                copy_panel::<S>(&job, rows.clone(), column..column + width, scratch);
                add_panel::<S>(&job, rows.len(), column..column + width, scratch);
            }
        }
    }
}

/// # Safety
/// As for `add_outer`; `rows` are some of the job's.
#[inline(always)]
unsafe fn transpose(job: &Job, rows: Range<usize>, to: &mut Vec<f32>) {
    to.resize(job.height * rows.len(), 0.0);
    for (i, row) in rows.clone().enumerate() {
        // SAFETY: row `row` of p holds `height` floats.
        let from = unsafe { std::slice::from_raw_parts(job.p.add(row * job.p_stride), job.height) };
        for (to, value) in to[i..].iter_mut().step_by(rows.len()).zip(from) {
            *to = *value;
        }
    }
}

/// # Safety
/// As for `add_outer`; `rows` and `columns` are some of the job's, at most a block and a panel.
#[inline(always)]
unsafe fn copy_panel<S: Simd>(
    job: &Job,
    rows: Range<usize>,
    columns: Range<usize>,
    scratch: &mut Scratch,
) {
    let lines = scratch.panel.chunks_exact_mut(panel::<S>());
    for (row, line) in rows.zip(lines) {
        line[columns.len()..].fill(0.0);
        // SAFETY: the columns are inside row `row` of q, and a line holds a panel of floats.
        unsafe {
            let from = job.q.add(row * job.q_stride + columns.start);
            each_vector!(S, columns.len(), |i, part| {
                write::<S>(line.as_mut_ptr().add(i), part, read::<S>(from.add(i), part));
            });
        }
    }
}

/// # Safety
/// As for `add_outer`; the scratch holds `rows` rows of p, transposed, and of `columns` of q.
#[inline(always)]
unsafe fn add_panel<S: Simd>(job: &Job, rows: usize, columns: Range<usize>, scratch: &Scratch) {
    let mut sums: Sums = [0.0; MAX_ROWS * MAX_PANEL];
    for first in (0..job.height).step_by(S::TILE_ROWS) {
        let height = S::TILE_ROWS.min(job.height - first);
        // SAFETY: `transposed` holds `height` lines of `rows` floats from `first` on, the panel
        // `rows` lines, `sums` a whole tile; the written columns are inside `out`.
        unsafe {
            multiply::<F32<S>>(Tile {
                rows: height,
                steps: rows,
                x: scratch.transposed.as_ptr().add(first * rows).cast(),
                x_stride: 4 * rows,
                panel: scratch.panel.as_ptr().cast(),
                sums: sums.as_mut_ptr(),
                sums_stride: panel::<S>(),
                accumulate: false,
            });
            for r in 0..height {
                let sums = sums.as_ptr().add(r * panel::<S>());
                let out = job.out.add((first + r) * job.out_stride + columns.start);
                each_vector!(S, columns.len(), |i, part| {
                    let sum = S::add(read::<S>(out.add(i), part), read::<S>(sums.add(i), part));
                    write::<S>(out.add(i), part, sum);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
