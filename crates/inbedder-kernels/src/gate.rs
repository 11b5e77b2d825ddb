//! The gate of an MLP, SiLU(gate) · up, as a pass of its own: training keeps what went in, which
//! the fused form of [`gemm`](crate::gemm()) throws away.

use crate::isa::{Isa, on_level};
use crate::simd::{Simd, each_vector, exp, read, silu, write};

/// `out = SiLU(gate) · up`, element by element.
///
/// # Panics
/// If the lengths differ.
pub fn gate(isa: Isa, gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert!(gate.len() == up.len() && up.len() == out.len(), "lengths");
    on_level!(isa, gate_all(gate: &[f32], up: &[f32], out: &mut [f32]));
}

/// Replaces `gate` and `up` by the gradients with respect to them; `grad` is that of the product.
///
/// # Panics
/// If the lengths differ.
pub fn gate_backward(isa: Isa, gate: &mut [f32], up: &mut [f32], grad: &[f32]) {
    assert!(gate.len() == up.len() && up.len() == grad.len(), "lengths");
    on_level!(isa, gate_all_backward(gate: &mut [f32], up: &mut [f32], grad: &[f32]));
}

/// # Safety
/// The slices have one length; the level's instructions are there.
#[inline(always)]
unsafe fn gate_all<S: Simd>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    // SAFETY: `each_vector` stays inside the common length.
    each_vector!(S, gate.len(), |i, part| unsafe {
        let g = read::<S>(gate.as_ptr().add(i), part);
        let u = read::<S>(up.as_ptr().add(i), part);
        write::<S>(out.as_mut_ptr().add(i), part, S::mul(silu::<S>(g), u));
    });
}

/// # Safety
/// As for `gate_all`.
#[inline(always)]
unsafe fn gate_all_backward<S: Simd>(gate: &mut [f32], up: &mut [f32], grad: &[f32]) {
    // SAFETY: `each_vector` stays inside the common length.
    each_vector!(S, grad.len(), |i, part| unsafe {
        let one = S::splat(1.0);
        let (gate, up) = (gate.as_mut_ptr().add(i), up.as_mut_ptr().add(i));
        let (g, u) = (read::<S>(gate, part), read::<S>(up, part));
        let d = read::<S>(grad.as_ptr().add(i), part);
        let sigmoid = S::div(one, S::add(one, exp::<S>(S::sub(S::splat(0.0), g))));
        // d SiLU(g) / dg = σ(g) · (1 + g · (1 − σ(g)))
        let slope = S::mul(sigmoid, S::mul_add(g, S::sub(one, sigmoid), one));
        write::<S>(up, part, S::mul(d, S::mul(g, sigmoid)));
        write::<S>(gate, part, S::mul(S::mul(d, u), slope));
    });
}

#[cfg(test)]
mod tests;
