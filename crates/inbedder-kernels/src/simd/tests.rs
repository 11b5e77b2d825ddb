//! Each level's leaf operations and functions against the scalar twin or the standard library.

use super::*;
use crate::isa::{Isa, on_level};

/// Values that do not add up exactly, signs mixed, NaN and infinities on demand.
pub(crate) fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state as f32 / u32::MAX as f32 - 0.5) * 2.3
    };
    (0..len).map(|_| next()).collect()
}

/// Equal within `tolerance` of the larger magnitude or of one; NaN equals NaN.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    for (i, (&g, &e)) in got.iter().zip(expected).enumerate() {
        let same = g == e || (g.is_nan() && e.is_nan());
        let bound = tolerance * e.abs().max(1.0);
        assert!(
            same || (g - e).abs() <= bound,
            "{what}: at {i} got {g}, expected {e}, bound {bound}"
        );
    }
}

unsafe fn exp_all<S: Simd>(x: &mut [f32]) {
    let at = x.as_mut_ptr();
    // SAFETY: `each_vector` stays inside `x`.
    each_vector!(S, x.len(), |i, part| unsafe {
        write::<S>(at.add(i), part, exp::<S>(read::<S>(at.add(i), part)));
    });
}

#[test]
fn exp_is_right_to_two_ulp_in_range_and_keeps_nan() {
    for isa in Isa::available() {
        let inputs: Vec<f32> = (-870..=880).map(|i| i as f32 * 0.1 + 0.013).collect();
        let mut got = inputs.clone();
        let x = &mut got[..];
        on_level!(isa, exp_all(x: &mut [f32]));
        for (x, y) in inputs.iter().zip(&got) {
            let exact = f64::from(*x).exp();
            let error = (f64::from(*y) / exact - 1.0).abs();
            assert!(error < 2.5e-7, "{isa}: exp({x}) = {y}, exact {exact}");
        }
        let mut edge = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let x = &mut edge[..];
        on_level!(isa, exp_all(x: &mut [f32]));
        assert!(
            edge[0].is_nan() && edge[1] > 1e38 && edge[2] < 1e-37,
            "{isa}: {edge:?}"
        );
    }
}

unsafe fn reduce<S: Simd>(x: &[f32], out: &mut [f32]) {
    // SAFETY: the caller gives at least LANES floats of x and two of out.
    unsafe {
        out[0] = S::sum(S::load(x.as_ptr()));
        out[1] = S::largest(S::load(x.as_ptr()));
        out[2] = S::LANES as f32;
    }
}

#[test]
fn reductions_cover_every_lane() {
    for isa in Isa::available() {
        for lane in 0..16 {
            let mut x = [0.25; 16];
            x[lane] = 7.5;
            let mut result = [0.0; 3];
            let (x, out) = (&x[..], &mut result[..]);
            on_level!(isa, reduce(x: &[f32], out: &mut [f32]));
            let lanes = result[2];
            let inside = (lane as f32) < lanes;
            let expected = if inside {
                0.25 * (lanes - 1.0) + 7.5
            } else {
                0.25 * lanes
            };
            assert_eq!(result[0], expected, "{isa}: sum with lane {lane}");
            assert_eq!(
                result[1],
                if inside { 7.5 } else { 0.25 },
                "{isa}: largest, lane {lane}"
            );
        }
    }
}

unsafe fn copy<S: Simd>(x: &[f32], out: &mut [f32]) {
    // SAFETY: `each_vector` stays inside `x`, and `out` is as long.
    each_vector!(S, x.len(), |i, part| unsafe {
        write::<S>(
            out.as_mut_ptr().add(i),
            part,
            read::<S>(x.as_ptr().add(i), part),
        );
    });
}

#[test]
fn partial_vectors_touch_their_part_alone() {
    for isa in Isa::available() {
        for len in 0..50 {
            let source = noise(len, 3);
            let mut target = vec![9.0; len + 20];
            let (x, out) = (&source[..], &mut target[..len]);
            on_level!(isa, copy(x: &[f32], out: &mut [f32]));
            assert_eq!(target[..len], source, "{isa}: {len}");
            assert_eq!(
                target[len..],
                vec![9.0; 20],
                "{isa}: {len} wrote past its end"
            );
        }
    }
}

unsafe fn narrow<S: Simd>(x: &[f32], halves: &mut [i16], bytes: &mut [i8]) {
    for at in (0..x.len()).step_by(S::LANES) {
        // SAFETY: the three slices have one length, a multiple of every level's lanes.
        unsafe {
            let v = S::to_integers(S::load(x.as_ptr().add(at)));
            S::store_halves(halves.as_mut_ptr().add(at), v);
            S::store_bytes(bytes.as_mut_ptr().add(at), v);
        }
    }
}

#[test]
fn floats_become_small_integers_ties_to_even() {
    let mut x: Vec<f32> = (-128..=127).map(|i| i as f32).collect();
    x.extend(noise(64, 8).iter().map(|v| v * 100.0));
    x.extend([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -127.5].repeat(4));
    for isa in Isa::available() {
        let (mut halves, mut bytes) = (vec![0i16; x.len()], vec![0i8; x.len()]);
        let (x_, halves_, bytes_) = (&x[..], &mut halves[..], &mut bytes[..]);
        on_level!(isa, narrow(x_: &[f32], halves_: &mut [i16], bytes_: &mut [i8]));
        for (i, x) in x.iter().enumerate() {
            let expected = x.round_ties_even();
            assert_eq!(f32::from(halves[i]), expected, "{isa}: {x}");
            assert_eq!(f32::from(bytes[i]), expected, "{isa}: {x}");
        }
    }
}
