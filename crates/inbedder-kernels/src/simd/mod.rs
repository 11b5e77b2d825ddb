//! The leaf operations that every kernel is written over, one file per instruction set.
//!
//! A kernel text is generic over [`Simd`] and `#[inline(always)]`, so that it takes on the
//! instruction set of the function that [`on_level!`](crate::isa) wraps around it. Operations are
//! `unsafe` because they compile to instructions that the chip must have and read through raw
//! pointers; their common contract: the level's instructions are there, and pointers are valid for
//! as many `f32` as the operation touches.
//!
//! The scalar level rounds a product before it is added (no fused multiply-add), so levels agree to
//! rounding, not to the bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use scalar::Scalar;

/// Floats per vector at any level.
pub(crate) const MAX_LANES: usize = 16;

/// Vectors of one instruction set.
///
/// `max(a, b)` and `min(a, b)` return `b` when either is NaN, on every level.
pub(crate) trait Simd: Copy {
    /// One vector of `LANES` floats.
    type V: Copy;
    /// One vector of `LANES` 32-bit integers.
    type I: Copy;
    /// Floats per vector.
    const LANES: usize;
    /// Rows of the matrix-product tile: as many as the registers hold beside two weight vectors.
    const TILE_ROWS: usize;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    /// The first `n < LANES` floats, zeros behind them; reads nothing else.
    unsafe fn load_first(from: *const f32, n: usize) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// Writes the first `n < LANES` floats and nothing else.
    unsafe fn store_first(to: *mut f32, n: usize, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    unsafe fn round(v: Self::V) -> Self::V;
    /// 2ⁿ for integral n in −126..=127; anything for other n.
    unsafe fn exp2_integral(n: Self::V) -> Self::V;
    /// `LANES` pairs of bf16, the even members and the odd ones as floats.
    unsafe fn load_bf16_pairs(from: *const u16) -> (Self::V, Self::V);
    /// `LANES` pairs of signed bytes as pairs of 16-bit integers.
    unsafe fn load_byte_pairs(from: *const i8) -> Self::I;
    /// One pair of 16-bit integers (or any 32 bits) in all lanes.
    unsafe fn splat_bits(bits: u32) -> Self::I;
    /// `sum + a.0 · b.0 + a.1 · b.1` over pairs of 16-bit integers.
    unsafe fn dot_pairs(a: Self::I, b: Self::I, sum: Self::I) -> Self::I;
    unsafe fn add_integers(a: Self::I, b: Self::I) -> Self::I;
    /// To the nearest integers, ties to even; anything for what fits none.
    unsafe fn to_integers(v: Self::V) -> Self::I;
    /// Writes the low 16 bits of each integer.
    unsafe fn store_halves(to: *mut i16, v: Self::I);
    /// Writes the low 8 bits of each integer.
    unsafe fn store_bytes(to: *mut i8, v: Self::I);
    unsafe fn to_float(v: Self::I) -> Self::V;
    /// The same bits.
    unsafe fn float_bits(v: Self::I) -> Self::V;
    /// The same bits.
    unsafe fn integer_bits(v: Self::V) -> Self::I;
    unsafe fn sum(v: Self::V) -> f32;
    unsafe fn largest(v: Self::V) -> f32;
}

/// eˣ to about 2 ulp: range reduction by ln 2 in two parts, then a polynomial of degree 6 (the
/// minimax coefficients of Cephes' `expf`). NaN stays NaN; x is clamped to the finite range.
///
/// # Safety
/// The instructions of `S` are there.
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    // SAFETY: no memory is touched; the instructions are there by this function's contract.
    unsafe {
        let x = S::max(S::splat(-87.336_54), x);
        let x = S::min(S::splat(88.376_26), x);
        let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        let r = S::mul_add(n, S::splat(-0.693_359_4), x);
        let r = S::mul_add(n, S::splat(2.121_944_4e-4), r);
        let mut p = S::splat(1.987_569_1e-4);
        for coefficient in [
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ] {
            p = S::mul_add(p, r, S::splat(coefficient));
        }
        let p = S::mul_add(p, S::mul(r, r), S::add(r, S::splat(1.0)));
        S::mul(p, S::exp2_integral(n))
    }
}

/// SiLU, `x / (1 + e⁻ˣ)`.
///
/// # Safety
/// The instructions of `S` are there.
#[inline(always)]
pub(crate) unsafe fn silu<S: Simd>(x: S::V) -> S::V {
    // SAFETY: no memory is touched; the instructions are there by this function's contract.
    unsafe {
        let e = exp::<S>(S::sub(S::splat(0.0), x));
        S::div(x, S::add(S::splat(1.0), e))
    }
}

/// `each_vector!(S, len, |i, part| body)` runs `body` for every vector of a row of `len` floats:
/// `part` is `None` for a whole vector, `Some(n)` for the last `n < LANES`.
///
/// A macro and no function, because a closure's body is inlined only where the compiler likes to,
/// and vector code that is not inlined loses its instruction set.
macro_rules! each_vector {
    ($s:ident, $len:expr, |$i:ident, $part:ident| $body:expr) => {{
        let len: usize = $len;
        let whole = len - len % $s::LANES;
        let mut $i = 0;
        while $i < whole {
            let $part: Option<usize> = None;
            $body;
            $i += $s::LANES;
        }
        if whole < len {
            let $part = Some(len - whole);
            $body;
        }
    }};
}
pub(crate) use each_vector;

/// A whole vector, or its first `part` floats with zeros behind.
///
/// # Safety
/// `from` is valid for reading `part` (or `LANES`) floats and the instructions are there.
#[inline(always)]
pub(crate) unsafe fn read<S: Simd>(from: *const f32, part: Option<usize>) -> S::V {
    // SAFETY: this function's contract is that of the operation it calls.
    unsafe {
        match part {
            None => S::load(from),
            Some(n) => S::load_first(from, n),
        }
    }
}

/// Writes a whole vector, or its first `part` floats.
///
/// # Safety
/// `to` is valid for writing `part` (or `LANES`) floats and the instructions are there.
#[inline(always)]
pub(crate) unsafe fn write<S: Simd>(to: *mut f32, part: Option<usize>, v: S::V) {
    // SAFETY: this function's contract is that of the operation it calls.
    unsafe {
        match part {
            None => S::store(to, v),
            Some(n) => S::store_first(to, n, v),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
