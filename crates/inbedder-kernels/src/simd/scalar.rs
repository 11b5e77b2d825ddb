//! Portable code: eight lanes in an array, which compilers turn into whatever the target's baseline
//! has. It is the meaning of every operation, and what chips without AVX2 run.

use super::Simd;

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

type V = [f32; 8];

#[inline(always)]
fn map(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Scalar {
    type V = V;
    type I = [i32; 8];
    const LANES: usize = 8;
    const TILE_ROWS: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> V {
        // SAFETY: the caller gives a pointer valid for 8 floats.
        unsafe { from.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> V {
        let mut v = [0.0; 8];
        // SAFETY: the caller gives a pointer valid for n < 8 floats.
        unsafe { std::ptr::copy_nonoverlapping(from, v.as_mut_ptr(), n) };
        v
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: V) {
        // SAFETY: the caller gives a pointer valid for 8 floats.
        unsafe { to.cast::<V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, n: usize, v: V) {
        // SAFETY: the caller gives a pointer valid for n < 8 floats.
        unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), to, n) }
    }
    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        map(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: V, b: V) -> V {
        map(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: V, b: V) -> V {
        map(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: V, b: V) -> V {
        map(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn mul_add(a: V, b: V, c: V) -> V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(a: V, b: V) -> V {
        map(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: V, b: V) -> V {
        map(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn round(v: V) -> V {
        v.map(f32::round_ties_even)
    }
    #[inline(always)]
    unsafe fn exp2_integral(n: V) -> V {
        n.map(|n| f32::from_bits((n as i32).wrapping_add(127).wrapping_shl(23) as u32))
    }
    #[inline(always)]
    unsafe fn load_bf16_pairs(from: *const u16) -> (V, V) {
        // SAFETY: the caller gives a pointer valid for 16 numbers.
        let pairs = unsafe { from.cast::<[[u16; 2]; 8]>().read_unaligned() };
        let widen = |member: usize| pairs.map(|pair| f32::from_bits(u32::from(pair[member]) << 16));
        (widen(0), widen(1))
    }
    #[inline(always)]
    unsafe fn load_byte_pairs(from: *const i8) -> [i32; 8] {
        // SAFETY: the caller gives a pointer valid for 16 bytes.
        let pairs = unsafe { from.cast::<[[i8; 2]; 8]>().read_unaligned() };
        pairs.map(|[a, b]| i32::from(a) & 0xffff | i32::from(b) << 16)
    }
    #[inline(always)]
    unsafe fn splat_bits(bits: u32) -> [i32; 8] {
        [bits as i32; 8]
    }
    #[inline(always)]
    unsafe fn dot_pairs(a: [i32; 8], b: [i32; 8], sum: [i32; 8]) -> [i32; 8] {
        let low = |v: i32| i32::from(v as i16);
        let high = |v: i32| v >> 16;
        std::array::from_fn(|i| {
            let products = low(a[i]).wrapping_mul(low(b[i]));
            let products = products.wrapping_add(high(a[i]).wrapping_mul(high(b[i])));
            sum[i].wrapping_add(products)
        })
    }
    #[inline(always)]
    unsafe fn add_integers(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    unsafe fn to_integers(v: V) -> [i32; 8] {
        v.map(|x| x.round_ties_even() as i32)
    }
    #[inline(always)]
    unsafe fn store_halves(to: *mut i16, v: [i32; 8]) {
        // SAFETY: the caller gives a pointer valid for 8 numbers.
        unsafe { to.cast::<[i16; 8]>().write_unaligned(v.map(|n| n as i16)) }
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut i8, v: [i32; 8]) {
        // SAFETY: the caller gives a pointer valid for 8 bytes.
        unsafe { to.cast::<[i8; 8]>().write_unaligned(v.map(|n| n as i8)) }
    }
    #[inline(always)]
    unsafe fn to_float(v: [i32; 8]) -> V {
        v.map(|n| n as f32)
    }
    #[inline(always)]
    unsafe fn float_bits(v: [i32; 8]) -> V {
        v.map(|n| f32::from_bits(n as u32))
    }
    #[inline(always)]
    unsafe fn integer_bits(v: V) -> [i32; 8] {
        v.map(|n| n.to_bits() as i32)
    }
    #[inline(always)]
    unsafe fn sum(v: V) -> f32 {
        let half: [f32; 4] = std::array::from_fn(|i| v[i] + v[i + 4]);
        (half[0] + half[2]) + (half[1] + half[3])
    }
    #[inline(always)]
    unsafe fn largest(v: V) -> f32 {
        v.into_iter()
            .reduce(|a, b| if a > b { a } else { b })
            .unwrap_or(f32::NEG_INFINITY)
    }
}
