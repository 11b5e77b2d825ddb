//! How a product's numbers are stored and multiplied: one implementation of [`Dot`] per arithmetic,
//! over any vector level where leaf operations allow it, for one level where the chip has an
//! instruction of its own.
//!
//! A step takes a group of inputs at once: one f32, a pair of bf16 or of bytes, or four bytes.

use crate::format::Format;
use crate::isa::{Isa, on_level};
use crate::simd::Simd;
use std::marker::PhantomData;

/// A computation that is one text for every arithmetic.
pub(crate) trait DotKernel {
    /// # Safety
    /// The instructions of `D` are there; what else is asked for is up to the kernel.
    unsafe fn run<D: Dot>(self);
}

/// Runs a kernel with the arithmetic of a format at a level, its instructions enabled.
///
/// # Safety
/// The kernel's own contract; `format` is one that [`Format::of`] gives for `isa`.
pub(crate) unsafe fn on_format<K: DotKernel>(isa: Isa, format: Format, kernel: K) {
    match format {
        Format::F32 => on_level!(isa, run_f32<K: DotKernel>(kernel: K)),
        Format::WideBf16 => on_level!(isa, run_wide_bf16<K: DotKernel>(kernel: K)),
        Format::BytePairs => on_level!(isa, run_byte_pairs<K: DotKernel>(kernel: K)),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level has this format only if it has AVX-512 BF16; the rest is the caller's.
        Format::NativeBf16 => unsafe { native::run_bf16(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level has this format only if it has AVX-512 VNNI; the rest is the caller's.
        Format::NativeBytes => unsafe { native::run_bytes(kernel) },
    }
}

/// # Safety
/// As for the kernel.
#[inline(always)]
unsafe fn run_f32<S: Simd, K: DotKernel>(kernel: K) {
    // SAFETY: the contract is passed on.
    unsafe { kernel.run::<F32<S>>() }
}

/// # Safety
/// As for the kernel.
#[inline(always)]
unsafe fn run_wide_bf16<S: Simd, K: DotKernel>(kernel: K) {
    // SAFETY: the contract is passed on.
    unsafe { kernel.run::<WideBf16<S>>() }
}

/// # Safety
/// As for the kernel.
#[inline(always)]
unsafe fn run_byte_pairs<S: Simd, K: DotKernel>(kernel: K) {
    // SAFETY: the contract is passed on.
    unsafe { kernel.run::<BytePairs<S>>() }
}

/// Multiplies groups of inputs and adds up.
///
/// Operations share the contract of [`Simd`]: the instructions are there, pointers are valid for
/// what an operation touches.
pub(crate) trait Dot: Copy {
    /// Vectors of the level.
    type S: Simd;
    /// Sums of `LANES` columns.
    type Sum: Copy;
    /// A group of one row's activations, in all lanes.
    type X: Copy;
    /// A group of weights of `LANES` columns.
    type W: Copy;
    /// Bytes of activations per step.
    const X_BYTES: usize;
    /// Bytes of weights per step and column.
    const W_BYTES: usize;

    unsafe fn zero() -> Self::Sum;
    /// Sums as [`Dot::store`] left them.
    unsafe fn load(from: *const f32) -> Self::Sum;
    unsafe fn store(to: *mut f32, sum: Self::Sum);
    unsafe fn x(from: *const u8) -> Self::X;
    unsafe fn w(from: *const u8) -> Self::W;
    unsafe fn dot(x: Self::X, w: Self::W, sum: Self::Sum) -> Self::Sum;
}

/// f32 activations and weights.
#[derive(Clone, Copy)]
pub(crate) struct F32<S>(PhantomData<S>);

// SAFETY (of every block below): the contract of `Dot` is that of the operations it calls.
impl<S: Simd> Dot for F32<S> {
    type S = S;
    type Sum = S::V;
    type X = S::V;
    type W = S::V;
    const X_BYTES: usize = 4;
    const W_BYTES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> S::V {
        // SAFETY: as above.
        unsafe { S::splat(0.0) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> S::V {
        // SAFETY: as above.
        unsafe { S::load(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, sum: S::V) {
        // SAFETY: as above.
        unsafe { S::store(to, sum) }
    }
    #[inline(always)]
    unsafe fn x(from: *const u8) -> S::V {
        // SAFETY: as above.
        unsafe { S::splat(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn w(from: *const u8) -> S::V {
        // SAFETY: as above.
        unsafe { S::load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn dot(x: S::V, w: S::V, sum: S::V) -> S::V {
        // SAFETY: as above.
        unsafe { S::mul_add(x, w, sum) }
    }
}

/// bf16 weights, widened when loaded; f32 activations and arithmetic.
#[derive(Clone, Copy)]
pub(crate) struct WideBf16<S>(PhantomData<S>);

impl<S: Simd> Dot for WideBf16<S> {
    type S = S;
    type Sum = S::V;
    type X = (S::V, S::V);
    type W = (S::V, S::V);
    const X_BYTES: usize = 8;
    const W_BYTES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> S::V {
        // SAFETY: as above.
        unsafe { S::splat(0.0) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> S::V {
        // SAFETY: as above.
        unsafe { S::load(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, sum: S::V) {
        // SAFETY: as above.
        unsafe { S::store(to, sum) }
    }
    #[inline(always)]
    unsafe fn x(from: *const u8) -> (S::V, S::V) {
        // SAFETY: as above.
        unsafe {
            let [even, odd] = from.cast::<[f32; 2]>().read_unaligned();
            (S::splat(even), S::splat(odd))
        }
    }
    #[inline(always)]
    unsafe fn w(from: *const u8) -> (S::V, S::V) {
        // SAFETY: as above.
        unsafe { S::load_bf16_pairs(from.cast()) }
    }
    #[inline(always)]
    unsafe fn dot(x: (S::V, S::V), w: (S::V, S::V), sum: S::V) -> S::V {
        // SAFETY: as above.
        unsafe { S::mul_add(x.1, w.1, S::mul_add(x.0, w.0, sum)) }
    }
}

/// Pairs of byte weights, widened when loaded, times pairs of 16-bit activations.
#[derive(Clone, Copy)]
pub(crate) struct BytePairs<S>(PhantomData<S>);

impl<S: Simd> Dot for BytePairs<S> {
    type S = S;
    type Sum = S::I;
    type X = S::I;
    type W = S::I;
    const X_BYTES: usize = 4;
    const W_BYTES: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> S::I {
        // SAFETY: as above.
        unsafe { S::splat_bits(0) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> S::I {
        // SAFETY: as above.
        unsafe { S::integer_bits(S::load(from)) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, sum: S::I) {
        // SAFETY: as above.
        unsafe { S::store(to, S::float_bits(sum)) }
    }
    #[inline(always)]
    unsafe fn x(from: *const u8) -> S::I {
        // SAFETY: as above.
        unsafe { S::splat_bits(from.cast::<u32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn w(from: *const u8) -> S::I {
        // SAFETY: as above.
        unsafe { S::load_byte_pairs(from.cast()) }
    }
    #[inline(always)]
    unsafe fn dot(x: S::I, w: S::I, sum: S::I) -> S::I {
        // SAFETY: as above.
        unsafe { S::dot_pairs(x, w, sum) }
    }
}

#[cfg(target_arch = "x86_64")]
mod native {
    //! Products with an instruction of their own.

    use super::{Dot, DotKernel};
    use crate::simd::{Avx512, Simd};
    use std::arch::x86_64::*;

    /// # Safety
    /// As for the kernel, and AVX-512 BF16 is there.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
    pub(super) unsafe fn run_bf16<K: DotKernel>(kernel: K) {
        // SAFETY: the contract is passed on.
        unsafe { kernel.run::<NativeBf16>() }
    }

    /// # Safety
    /// As for the kernel, and AVX-512 VNNI is there.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
    pub(super) unsafe fn run_bytes<K: DotKernel>(kernel: K) {
        // SAFETY: the contract is passed on.
        unsafe { kernel.run::<NativeBytes>() }
    }

    /// Pairs of bf16 activations and weights (AVX-512 BF16).
    #[derive(Clone, Copy)]
    pub(super) struct NativeBf16;

    // SAFETY (of every block below): AVX-512 BF16 and VNNI are there where these types are used,
    // and pointers are valid, by the contract of `Dot`; vectors of one size have all bit patterns
    // in common.
    impl Dot for NativeBf16 {
        type S = Avx512;
        type Sum = __m512;
        type X = __m512i;
        type W = __m512i;
        const X_BYTES: usize = 4;
        const W_BYTES: usize = 4;

        #[inline(always)]
        unsafe fn zero() -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            // SAFETY: as above.
            unsafe { Avx512::load(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, sum: __m512) {
            // SAFETY: as above.
            unsafe { Avx512::store(to, sum) }
        }
        #[inline(always)]
        unsafe fn x(from: *const u8) -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn w(from: *const u8) -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn dot(x: __m512i, w: __m512i, sum: __m512) -> __m512 {
            // SAFETY: as above.
            unsafe {
                let bf16 = |v: __m512i| std::mem::transmute::<__m512i, __m512bh>(v);
                _mm512_dpbf16_ps(sum, bf16(x), bf16(w))
            }
        }
    }

    /// Four unsigned bytes of weights (128 too high) times four signed ones of activations
    /// (AVX-512 VNNI).
    #[derive(Clone, Copy)]
    pub(super) struct NativeBytes;

    impl Dot for NativeBytes {
        type S = Avx512;
        type Sum = __m512i;
        type X = __m512i;
        type W = __m512i;
        const X_BYTES: usize = 4;
        const W_BYTES: usize = 4;

        #[inline(always)]
        unsafe fn zero() -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_setzero_si512() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, sum: __m512i) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(to.cast(), sum) }
        }
        #[inline(always)]
        unsafe fn x(from: *const u8) -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn w(from: *const u8) -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn dot(x: __m512i, w: __m512i, sum: __m512i) -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_dpbusd_epi32(sum, w, x) }
        }
    }
}
