//! Rotary position embedding (Su et al., RoFormer, arXiv 2104.09864) in the rotate-half form of
//! Hugging Face: dimension i turns together with dimension i + half.

use crate::isa::{Isa, on_level};
use crate::simd::{Simd, each_vector, read, write};

/// Turns `heads` heads of `cos.len() · 2` floats, one behind the other in `row`, by one position's
/// angles.
///
/// # Panics
/// If the lengths do not fit.
pub fn rotate(isa: Isa, row: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    assert_eq!(half, sin.len(), "as many sines as cosines");
    assert!(
        half > 0 && row.len().is_multiple_of(2 * half),
        "whole heads"
    );
    on_level!(isa, rotate_heads(row: &mut [f32], cos: &[f32], sin: &[f32]));
}

/// # Safety
/// `row` is a multiple of `2 · cos.len()`, `sin` as long as `cos`; the level's instructions are
/// there.
#[inline(always)]
unsafe fn rotate_heads<S: Simd>(row: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    for head in row.chunks_exact_mut(2 * half) {
        let (left, right) = head.split_at_mut(half);
        let (left, right) = (left.as_mut_ptr(), right.as_mut_ptr());
        // SAFETY: `each_vector` stays inside `half`, the length of all four.
        each_vector!(S, half, |i, part| unsafe {
            let (c, s) = (
                read::<S>(cos.as_ptr().add(i), part),
                read::<S>(sin.as_ptr().add(i), part),
            );
            let (a, b) = (read::<S>(left.add(i), part), read::<S>(right.add(i), part));
            write::<S>(left.add(i), part, S::sub(S::mul(a, c), S::mul(b, s)));
            write::<S>(right.add(i), part, S::add(S::mul(b, c), S::mul(a, s)));
        });
    }
}

#[cfg(test)]
mod tests;
