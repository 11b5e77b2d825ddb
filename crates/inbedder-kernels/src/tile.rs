//! The microkernel: a tile of rows times one packed panel. The linear layers, the attention scores
//! and the weighted sum of values all end up here.
//!
//! A panel holds `2 · LANES` columns, stored `[k][2 · LANES]`. Sums run over k in order for every
//! element, whatever the number of rows, so a row's result does not depend on its neighbours.

use crate::isa::{Isa, Level};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Scalar, Simd};

/// Vectors per panel.
const VECTORS: usize = 2;

/// Floats per panel row at any level: the size of buffers that serve them all.
pub(crate) const MAX_PANEL: usize = 32;
/// Rows per tile at any level.
pub(crate) const MAX_ROWS: usize = 12;
/// A tile's sums, `[row][panel column]`.
pub(crate) type Sums = [f32; MAX_ROWS * MAX_PANEL];

/// Columns of a panel at one level.
pub(crate) fn panel_width(isa: Isa) -> usize {
    match isa.level() {
        Level::Scalar => panel::<Scalar>(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => panel::<Avx2>(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => panel::<Avx512>(),
    }
}

/// Columns of a panel.
pub(crate) const fn panel<S: Simd>() -> usize {
    VECTORS * S::LANES
}

/// Rows of activations times one panel.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) k: usize,
    /// `rows` rows of `k` floats, `x_stride` apart.
    pub(crate) x: *const f32,
    pub(crate) x_stride: usize,
    /// `[k][panel]`.
    pub(crate) panel: *const f32,
    /// Where sums start from and go to: `rows` rows, `sums_stride` apart, of `panel` floats.
    pub(crate) sums: *mut f32,
    pub(crate) sums_stride: usize,
    /// Add to what `sums` holds instead of starting at zero.
    pub(crate) accumulate: bool,
}

/// `sums (+)= x · panel` for at most `S::TILE_ROWS` rows.
///
/// # Safety
/// The pointers are valid for the shapes named at the fields, `1 ≤ rows ≤ S::TILE_ROWS`, and the
/// instructions of `S` are there.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd>(tile: Tile) {
    debug_assert!(tile.rows >= 1 && tile.rows <= S::TILE_ROWS);
    // SAFETY: the contract is passed on; each arm handles exactly `rows` rows.
    unsafe {
        match tile.rows {
            1 => multiply_rows::<S, 1>(tile),
            2 => multiply_rows::<S, 2>(tile),
            3 => multiply_rows::<S, 3>(tile),
            4 => multiply_rows::<S, 4>(tile),
            5 => multiply_rows::<S, 5>(tile),
            6 => multiply_rows::<S, 6>(tile),
            7 => multiply_rows::<S, 7>(tile),
            8 => multiply_rows::<S, 8>(tile),
            9 => multiply_rows::<S, 9>(tile),
            10 => multiply_rows::<S, 10>(tile),
            11 => multiply_rows::<S, 11>(tile),
            _ => multiply_rows::<S, 12>(tile),
        }
    }
}

#[inline(always)]
unsafe fn multiply_rows<S: Simd, const ROWS: usize>(tile: Tile) {
    if ROWS > S::TILE_ROWS {
        return; // never taken; keeps the compiler from building tiles that no level uses
    }
    let Tile {
        k,
        x,
        x_stride,
        sums_stride,
        ..
    } = tile;
    // SAFETY: reads x[r · x_stride + i] and panel[i · panel + …] for r < ROWS = rows and i < k, and
    // reads or writes `ROWS` rows of sums, all valid by the caller's contract.
    unsafe {
        let mut sums = [[S::splat(0.0); VECTORS]; ROWS];
        if tile.accumulate {
            for (r, row) in sums.iter_mut().enumerate() {
                for (v, sum) in row.iter_mut().enumerate() {
                    *sum = S::load(tile.sums.add(r * sums_stride + v * S::LANES));
                }
            }
        }
        let mut weights = tile.panel;
        for i in 0..k {
            let w = [S::load(weights), S::load(weights.add(S::LANES))];
            weights = weights.add(panel::<S>());
            for (r, row) in sums.iter_mut().enumerate() {
                let x = S::splat(*x.add(r * x_stride + i));
                for (sum, w) in row.iter_mut().zip(w) {
                    *sum = S::mul_add(x, w, *sum);
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                S::store(tile.sums.add(r * sums_stride + v * S::LANES), *sum);
            }
        }
    }
}
