//! What a core could do at most: the microkernel's multiply-adds with its weights held in
//! registers, one row's activations at a time from the first cache, and no epilogue. Speeds of the
//! whole forward pass are reported as a share of it.

use crate::dot::{Dot, DotKernel, on_format};
use crate::format::{Format, Precision};
use crate::isa::Isa;
use crate::memory::Aligned;
use crate::simd::Simd;
use crate::tile::{MAX_PANEL, MAX_ROWS, VECTORS};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Steps of activations that a pass reads; a tile's stay in the first cache.
const STEPS: usize = 64;
/// Passes between two looks at the clock.
const PASSES: usize = 256;

/// Multiplications and additions per second (a multiply-add is two) of `threads` cores at once, in
/// the arithmetic that products of this precision use at this level: the sum over the cores of the
/// best of each's short runs over `time`.
pub fn peak_operations(isa: Isa, precision: Precision, threads: usize, time: Duration) -> f64 {
    // Widened bf16 is multiplied as f32 is.
    let format = match Format::of(precision, isa) {
        Format::WideBf16 => Format::F32,
        format => format,
    };
    std::thread::scope(|scope| {
        let cores: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| one_core(isa, format, time)))
            .collect();
        let speeds = cores.into_iter().map(|core| core.join());
        speeds.map(|speed| speed.unwrap_or(0.0)).sum()
    })
}

fn one_core(isa: Isa, format: Format, time: Duration) -> f64 {
    let x = Aligned::zeros(MAX_ROWS * STEPS * 2);
    let mut sums = Aligned::zeros(MAX_ROWS * MAX_PANEL);
    let (begin, mut best) = (Instant::now(), 0.0f64);
    while begin.elapsed() < time {
        let (start, mut operations) = (Instant::now(), 0);
        let spin = Spin {
            x: &x,
            sums: &mut sums,
            group: format.group(),
            operations: &mut operations,
        };
        // SAFETY: the buffers hold what `Spin` asks for, and the format is the level's.
        unsafe { on_format(isa, format, spin) };
        best = best.max(operations as f64 / start.elapsed().as_secs_f64());
    }
    best
}

struct Spin<'a> {
    /// `[row][step]` groups of activations: `MAX_ROWS · STEPS` of at most 8 bytes.
    x: &'a Aligned,
    /// `MAX_ROWS · MAX_PANEL`, so that the sums are wanted.
    sums: &'a mut Aligned,
    group: usize,
    operations: &'a mut usize,
}

impl DotKernel for Spin<'_> {
    /// # Safety
    /// The buffers are of the sizes named at the fields; the instructions of `D` are there.
    #[inline(always)]
    unsafe fn run<D: Dot>(self) {
        // SAFETY: the contract is passed on, with as many rows as the level's tile has.
        unsafe {
            match D::S::TILE_ROWS {
                2 => spin::<D, 2>(self),
                6 => spin::<D, 6>(self),
                _ => spin::<D, 12>(self),
            }
        }
    }
}

/// # Safety
/// As for `Spin::run`; `ROWS` ≤ `MAX_ROWS`.
#[inline(always)]
unsafe fn spin<D: Dot, const ROWS: usize>(job: Spin<'_>) {
    // SAFETY: reads group i < STEPS of row r < ROWS and a vector of weights at the front of `x`,
    // which is longer than one; writes ROWS × VECTORS vectors, as many as `sums` holds.
    unsafe {
        let x = job.x.bytes().as_ptr();
        let mut sums = [[D::zero(); VECTORS]; ROWS];
        for _ in 0..PASSES {
            let w = [D::w(black_box(x)), D::w(black_box(x))];
            for i in 0..STEPS {
                for (r, row) in sums.iter_mut().enumerate() {
                    let x = D::x(x.add((r * STEPS + i) * D::X_BYTES));
                    for (sum, w) in row.iter_mut().zip(w) {
                        *sum = D::dot(x, w, *sum);
                    }
                }
            }
        }
        let to = job.sums.as_mut_ptr();
        for (i, sum) in sums.iter().flatten().enumerate() {
            D::store(to.add(i * D::S::LANES), *sum);
        }
        black_box(to);
        *job.operations = 2 * ROWS * VECTORS * D::S::LANES * job.group * STEPS * PASSES;
    }
}
