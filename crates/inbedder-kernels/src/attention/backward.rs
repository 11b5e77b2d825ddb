//! Gradients of attention: with P the probabilities, O = P·V, and D = rowsum(dO ∘ O),
//! dV = Pᵀ·dO, dS = P ∘ (dO·Vᵀ − D), dQ = scale · dS·K, dK = scale · dSᵀ·Q
//! (as in Dao et al., FlashAttention, arXiv 2205.14135, section B.2).
//!
//! Scores are computed again. A key seen by several questions gets the sum of their gradients.

use super::{Heads, Job, QueryTile, Scratch, check, gather, mix, probabilities, score};
use crate::isa::on_level;
use crate::kv_cache::KvCache;
use crate::outer::{self, add_outer};
use crate::simd::{Simd, each_vector, read, write};
use crate::threads::{Shared, Threads};
use crate::tile::panel;

/// An attention that has been computed: what it read and what came out.
#[derive(Clone, Copy)]
pub struct Backward<'a> {
    /// Head counts and sizes.
    pub heads: Heads,
    /// As given to [`attention`](super::attention).
    pub tiles: &'a [QueryTile],
    /// Keys and values.
    pub cache: &'a KvCache,
    /// The same rows with values in the place of keys and keys in the place of values: dO·Vᵀ is
    /// then the product that scores are, and dS·K the one that outputs are.
    pub swapped: &'a KvCache,
    /// Layer of both caches.
    pub layer: usize,
    /// Rows that came out.
    pub outputs: &'a [f32],
    /// Gradients with respect to them.
    pub grads: &'a [f32],
}

/// Replaces the query rows (already rotated) by the gradients with respect to them, and adds those
/// with respect to keys and values, rows of `heads.kv · heads.dim` floats in the order of the cache.
///
/// # Panics
/// If the layer, a tile or a span is out of range, tiles overlap or are not in rising order, or
/// lengths differ.
pub fn attention_backward(
    pass: Backward<'_>,
    rows: &mut [f32],
    keys: &mut [f32],
    values: &mut [f32],
    threads: Threads,
) {
    let Backward { heads, cache, .. } = pass;
    assert!(
        heads.kv > 0 && heads.query.is_multiple_of(heads.kv),
        "whole groups of heads"
    );
    for cache in [cache, pass.swapped] {
        assert!(
            heads.kv == cache.heads && heads.dim == cache.dim,
            "the cache has other heads"
        );
        assert!(pass.layer < cache.layers(), "layer {}", pass.layer);
        check(heads, rows.len(), pass.tiles, cache);
    }
    assert!(
        pass.outputs.len() == rows.len() && pass.grads.len() == rows.len(),
        "rows of one shape"
    );
    let width = heads.kv * heads.dim;
    let read = pass.tiles.iter().flat_map(|tile| &tile.spans);
    let end = read.map(|span| span.keys.end).max().unwrap_or(0);
    assert!(
        end * width <= keys.len() && end * width <= values.len(),
        "key rows too short"
    );
    let (rows, keys, values) = (Shared::new(rows), Shared::new(keys), Shared::new(values));
    threads.split(heads.kv, |mine| {
        let mut buffers = Buffers::default();
        for head in mine {
            for tile in pass.tiles {
                let job = Job {
                    heads,
                    rows,
                    tile,
                    head,
                    cache,
                    layer: pass.layer,
                };
                let to = (keys, values);
                let (pass, buffers) = (&pass, &mut buffers);
                on_level!(
                    cache.isa,
                    attend_backward(
                        job: Job<'_>,
                        pass: &Backward<'_>,
                        to: (Shared, Shared),
                        buffers: &mut Buffers,
                    )
                );
            }
        }
    });
}

/// Beside the scratch of the forward pass, whose `out` takes the queries' gradients.
#[derive(Default)]
struct Buffers {
    forward: Scratch,
    /// `[line][dim]`: gradients of the outputs.
    grads: Vec<f32>,
    /// `[line][stride]`: gradients of the probabilities, then of the scores.
    scores: Vec<f32>,
    outer: outer::Scratch,
}

/// # Safety
/// `attention_backward` checked the shapes; no other thread has the same head; the level's
/// instructions are there.
#[inline(always)]
unsafe fn attend_backward<S: Simd>(
    job: Job<'_>,
    pass: &Backward<'_>,
    (keys, values): (Shared, Shared),
    buffers: &mut Buffers,
) {
    // SAFETY: the contract is passed on.
    unsafe {
        gather::<S>(job, &mut buffers.forward);
        probabilities::<S>(job, &mut buffers.forward);
        score_grads::<S>(job, pass, buffers);
        let stride = buffers.forward.stride;
        for span in &job.tile.spans {
            let weights = (&buffers.scores[..], stride);
            mix::<S>(job, span, pass.swapped, weights, &mut buffers.forward.out);
        }
        let Buffers {
            forward,
            grads,
            scores,
            outer,
        } = buffers;
        add_rows::<S>(job, (&forward.scores, stride), grads, values, outer);
        add_rows::<S>(job, (scores, stride), &forward.queries, keys, outer);
        write_queries::<S>(job, &forward.out);
    }
}

/// Divides the probabilities by their totals and makes the gradients of the scores of them.
///
/// # Safety
/// As for `attend_backward`; the probabilities are there.
#[inline(always)]
unsafe fn score_grads<S: Simd>(job: Job<'_>, pass: &Backward<'_>, buffers: &mut Buffers) {
    let (dim, stride) = (job.heads.dim, buffers.forward.stride);
    let lines = buffers.forward.totals.len();
    buffers.grads.resize(lines * dim, 0.0);
    buffers.scores.resize(lines * stride, 0.0);
    for (line, to) in buffers.grads.chunks_exact_mut(dim).enumerate() {
        to.copy_from_slice(&pass.grads[job.at(line)..][..dim]);
    }
    for span in &job.tile.spans {
        let to = (&mut buffers.scores[..], stride);
        // SAFETY: the contract is passed on; the buffers are sized as `gather` sizes them.
        unsafe { score::<S>(job, span, pass.swapped, &buffers.grads, to) };
    }
    for line in 0..lines {
        let seen = buffers.forward.seen[line];
        let output = &pass.outputs[job.at(line)..][..dim];
        let grad = &buffers.grads[line * dim..][..dim];
        let weights = buffers.forward.scores[line * stride..][..seen].as_mut_ptr();
        let (slopes, rest) = buffers.scores[line * stride..][..stride].split_at_mut(seen);
        let slopes = slopes.as_mut_ptr();
        // SAFETY: `each_vector` stays inside `dim` and `seen`.
        unsafe {
            let mut along = S::splat(0.0);
            each_vector!(S, dim, |i, part| {
                let o = read::<S>(output.as_ptr().add(i), part);
                along = S::mul_add(o, read::<S>(grad.as_ptr().add(i), part), along);
            });
            let along = S::splat(S::sum(along));
            let share = S::splat(1.0 / buffers.forward.totals[line]);
            each_vector!(S, seen, |i, part| {
                let p = S::mul(read::<S>(weights.add(i), part), share);
                let d = S::sub(read::<S>(slopes.add(i), part), along);
                write::<S>(weights.add(i), part, p);
                write::<S>(slopes.add(i), part, S::mul(p, d));
            });
        }
        rest.fill(0.0);
    }
}

/// Adds, for each key that the tile sees, the lines weighted by the key's column, to the key's row
/// of `to`.
///
/// # Safety
/// As for `attend_backward`; weights are zero for keys that a line does not see.
#[inline(always)]
unsafe fn add_rows<S: Simd>(
    job: Job<'_>,
    (weights, stride): (&[f32], usize),
    lines: &[f32],
    to: Shared,
    scratch: &mut outer::Scratch,
) {
    let (dim, width) = (job.heads.dim, job.heads.kv * job.heads.dim);
    for span in &job.tile.spans {
        let of_span = job.lines(span);
        // SAFETY: the span's lines and columns are inside weights and lines, its keys inside the
        // rows of `to` (checked by `attention_backward`), whose columns of this head no other
        // thread has.
        unsafe {
            let job = outer::Job {
                rows: of_span.len(),
                p: weights.as_ptr().add(of_span.start * stride + span.position),
                p_stride: stride,
                height: span.keys.len(),
                q: lines.as_ptr().add(of_span.start * dim),
                q_stride: dim,
                width: dim,
                out: to.get().add(span.keys.start * width + job.head * dim),
                out_stride: width,
            };
            add_outer::<S>(job, scratch);
        }
    }
}

/// # Safety
/// As for `attend_backward`; `lines` are of padded `dim` floats.
#[inline(always)]
unsafe fn write_queries<S: Simd>(job: Job<'_>, lines: &[f32]) {
    let dim = job.heads.dim;
    let padded = dim.next_multiple_of(panel::<S>());
    for (line, from) in lines.chunks_exact(padded).enumerate() {
        let to = job.row(line);
        // SAFETY: a line is `dim` floats in the scratch and in the buffer.
        each_vector!(S, dim, |i, part| unsafe {
            let v = S::mul(
                read::<S>(from.as_ptr().add(i), part),
                S::splat(job.heads.scale),
            );
            write::<S>(to.add(i), part, v);
        });
    }
}
