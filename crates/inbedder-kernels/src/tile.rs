//! The microkernel: a tile of rows times one packed panel. The linear layers, the attention scores
//! and the weighted sum of values all end up here.
//!
//! A panel holds `2 · LANES` columns, stored `[step][2 · LANES]`; a step takes one input, or a group
//! of them where the arithmetic multiplies groups. Sums run over the steps in order for every
//! element, whatever the number of rows, so a row's result does not depend on its neighbours.

use crate::dot::Dot;
use crate::isa::{Isa, Level};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Scalar, Simd};

/// Vectors per panel.
pub(crate) const VECTORS: usize = 2;

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
        Level::Avx512 | Level::Avx512Vnni | Level::Avx512Bf16 => panel::<Avx512>(),
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
    /// Groups of inputs.
    pub(crate) steps: usize,
    /// `rows` rows of `steps` groups, `x_stride` bytes apart.
    pub(crate) x: *const u8,
    pub(crate) x_stride: usize,
    /// `[step][panel]` groups of weights.
    pub(crate) panel: *const u8,
    /// Where sums start from and go to: `rows` rows, `sums_stride` apart, of `panel` sums (floats, or
    /// integers of the same size).
    pub(crate) sums: *mut f32,
    pub(crate) sums_stride: usize,
    /// Add to what `sums` holds instead of starting at zero.
    pub(crate) accumulate: bool,
}

/// `sums (+)= x · panel` for at most `TILE_ROWS` rows.
///
/// # Safety
/// The pointers are valid for the shapes named at the fields, `1 ≤ rows ≤ TILE_ROWS`, and the
/// instructions of `D` are there.
#[inline(always)]
pub(crate) unsafe fn multiply<D: Dot>(tile: Tile) {
    debug_assert!(tile.rows >= 1 && tile.rows <= D::S::TILE_ROWS);
    // SAFETY: the contract is passed on; each arm handles exactly `rows` rows.
    unsafe {
        match tile.rows {
            1 => multiply_rows::<D, 1>(tile),
            2 => multiply_rows::<D, 2>(tile),
            3 => multiply_rows::<D, 3>(tile),
            4 => multiply_rows::<D, 4>(tile),
            5 => multiply_rows::<D, 5>(tile),
            6 => multiply_rows::<D, 6>(tile),
            7 => multiply_rows::<D, 7>(tile),
            8 => multiply_rows::<D, 8>(tile),
            9 => multiply_rows::<D, 9>(tile),
            10 => multiply_rows::<D, 10>(tile),
            11 => multiply_rows::<D, 11>(tile),
            _ => multiply_rows::<D, 12>(tile),
        }
    }
}

/// # Safety
/// As for `multiply`, with `rows` = `ROWS`.
#[inline(always)]
unsafe fn multiply_rows<D: Dot, const ROWS: usize>(tile: Tile) {
    if ROWS > D::S::TILE_ROWS {
        return; // never taken; keeps the compiler from building tiles that no level uses
    }
    let Tile {
        steps,
        x,
        x_stride,
        sums_stride,
        ..
    } = tile;
    let lanes = D::S::LANES;
    // SAFETY: reads group i of row r < ROWS = rows and step i of the panel for i < steps, and reads
    // or writes `ROWS` rows of sums, all valid by the caller's contract.
    unsafe {
        let mut sums = [[D::zero(); VECTORS]; ROWS];
        if tile.accumulate {
            for (r, row) in sums.iter_mut().enumerate() {
                for (v, sum) in row.iter_mut().enumerate() {
                    *sum = D::load(tile.sums.add(r * sums_stride + v * lanes));
                }
            }
        }
        let mut weights = tile.panel;
        for i in 0..steps {
            let w = [D::w(weights), D::w(weights.add(lanes * D::W_BYTES))];
            weights = weights.add(panel::<D::S>() * D::W_BYTES);
            for (r, row) in sums.iter_mut().enumerate() {
                let x = D::x(x.add(r * x_stride + i * D::X_BYTES));
                for (sum, w) in row.iter_mut().zip(w) {
                    *sum = D::dot(x, w, *sum);
                }
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                D::store(tile.sums.add(r * sums_stride + v * lanes), *sum);
            }
        }
    }
}
