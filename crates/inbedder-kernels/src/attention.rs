//! Attention of query rows over ranges of key rows: no mask matrix and no padding.
//!
//! Queries come in tiles. A tile's [`Span`]s say which keys which of its queries see; the keys of a
//! query, over its spans in order, are its positions 0, 1, 2, …. Scores of a whole row are kept and
//! the softmax is taken once (prompts are hundreds of tokens, so a row of scores is small), which
//! makes the result independent of how the keys are cut into spans.

use crate::dot::F32;
use crate::isa::on_level;
use crate::kv_cache::KvCache;
use crate::simd::{Simd, each_vector, exp, read, write};
use crate::threads::{Shared, Threads};
use crate::tile::{MAX_PANEL, MAX_ROWS, Sums, Tile, multiply, panel};
use std::ops::Range;

mod backward;

pub use backward::{Backward, attention_backward};

/// Head counts and sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key-value heads; divides `query`.
    pub kv: usize,
    /// Floats per head.
    pub dim: usize,
    /// Scores are multiplied by this, usually 1/√dim.
    pub scale: f32,
}

/// A range of keys seen by some queries of a tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Queries, counted from the tile's first.
    pub queries: Range<usize>,
    /// Rows of the cache.
    pub keys: Range<usize>,
    /// Position of the first key.
    pub position: usize,
    /// How many of the keys the first of the queries sees.
    pub visible: usize,
    /// How many more each further query sees: 1 for causal attention to rows of the queries' own
    /// segment, else 0.
    pub step: usize,
}

/// Consecutive query rows that are computed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryTile {
    /// Rows of the query buffer, at most [`queries_per_tile`].
    pub rows: Range<usize>,
    /// What they see; every query has at least one key.
    pub spans: Vec<Span>,
}

/// Rows × query heads of a group in one tile, about four microkernel tiles.
const TILE_HEADS: usize = 48;

/// How many queries a tile takes at most.
pub fn queries_per_tile(heads: Heads) -> usize {
    (TILE_HEADS / (heads.query / heads.kv)).clamp(1, 24)
}

/// Replaces the queries by the attention's output over a layer of the cache.
///
/// `rows` holds query rows (already rotated) of `heads.query · heads.dim` floats; only rows named by
/// `tiles`, which must not share rows, are read and written.
///
/// # Panics
/// If the layer, a tile or a span is out of range, or tiles overlap or are not in rising order.
pub fn attention(
    heads: Heads,
    rows: &mut [f32],
    tiles: &[QueryTile],
    cache: &KvCache,
    layer: usize,
    threads: Threads,
) {
    assert!(
        heads.kv > 0 && heads.query.is_multiple_of(heads.kv),
        "whole groups of heads"
    );
    assert!(
        heads.kv == cache.heads && heads.dim == cache.dim,
        "the cache has other heads"
    );
    assert!(
        layer < cache.layers(),
        "layer {layer} of {}",
        cache.layers()
    );
    check(heads, rows.len(), tiles, cache);
    let rows = Shared::new(rows);
    threads.split(tiles.len() * heads.kv, |items| {
        let mut scratch = Scratch::default();
        for item in items {
            let job = Job {
                heads,
                rows,
                tile: &tiles[item / heads.kv],
                head: item % heads.kv,
                cache,
                layer,
            };
            let scratch = &mut scratch;
            on_level!(cache.isa, attend(job: Job<'_>, scratch: &mut Scratch));
        }
    });
}

fn check(heads: Heads, len: usize, tiles: &[QueryTile], cache: &KvCache) {
    let mut free = 0;
    for tile in tiles {
        let queries = tile.rows.len();
        assert!(
            tile.rows.start >= free && queries <= queries_per_tile(heads),
            "tile {tile:?}"
        );
        free = tile.rows.end;
        for span in &tile.spans {
            let last = span.visible + span.step * span.queries.len().saturating_sub(1);
            assert!(
                !span.queries.is_empty() && span.queries.end <= queries,
                "{span:?}"
            );
            assert!(
                !span.keys.is_empty() && span.keys.end <= cache.rows,
                "{span:?}"
            );
            assert!(span.visible >= 1 && last <= span.keys.len(), "{span:?}");
        }
    }
    assert!(
        free * heads.query * heads.dim <= len,
        "query rows too short"
    );
}

#[derive(Clone, Copy)]
struct Job<'a> {
    heads: Heads,
    rows: Shared,
    tile: &'a QueryTile,
    /// Key-value head.
    head: usize,
    cache: &'a KvCache,
    layer: usize,
}

/// Buffers of one tile and head; line r belongs to query r / group, head r % group of the group.
#[derive(Default)]
struct Scratch {
    /// `[line][dim]`, scaled.
    queries: Vec<f32>,
    /// `[line][stride]`: scores, then unnormalised probabilities, by position.
    scores: Vec<f32>,
    stride: usize,
    /// Keys that a line sees.
    seen: Vec<usize>,
    /// `[line][padded dim]`.
    out: Vec<f32>,
    /// `[line]`: what the line's probabilities add up to.
    totals: Vec<f32>,
}

/// # Safety
/// `attention` checked the shapes; no other thread has the same tile and head; the level's
/// instructions are there.
#[inline(always)]
unsafe fn attend<S: Simd>(job: Job<'_>, scratch: &mut Scratch) {
    // SAFETY: the contract is passed on.
    unsafe {
        gather::<S>(job, scratch);
        probabilities::<S>(job, scratch);
        let (scores, stride) = (&scratch.scores, scratch.stride);
        for span in &job.tile.spans {
            mix::<S>(job, span, job.cache, (scores, stride), &mut scratch.out);
        }
        scatter::<S>(job, scratch);
    }
}

impl Job<'_> {
    fn group(&self) -> usize {
        self.heads.query / self.heads.kv
    }

    /// Where a line lies among the rows of queries, and of whatever has their shape.
    fn at(&self, line: usize) -> usize {
        let (query, head) = (line / self.group(), line % self.group());
        let width = self.heads.query * self.heads.dim;
        (self.tile.rows.start + query) * width + (self.head * self.group() + head) * self.heads.dim
    }

    /// The query (and output) of a line.
    fn row(&self, line: usize) -> *mut f32 {
        // SAFETY: `attention` checked that the tile's rows are inside the buffer.
        unsafe { self.rows.get().add(self.at(line)) }
    }

    fn lines(&self, span: &Span) -> Range<usize> {
        span.queries.start * self.group()..span.queries.end * self.group()
    }
}

/// Copies the tile's queries, scaled, and sizes the buffers.
///
/// # Safety
/// As for `attend`.
#[inline(always)]
unsafe fn gather<S: Simd>(job: Job<'_>, scratch: &mut Scratch) {
    let lines = job.tile.rows.len() * job.group();
    let dim = job.heads.dim;
    let end = job
        .tile
        .spans
        .iter()
        .map(|span| span.position + span.keys.len())
        .max();
    scratch.stride = end.unwrap_or(0).next_multiple_of(panel::<S>()) + panel::<S>();
    scratch.queries.resize(lines * dim, 0.0);
    scratch.scores.resize(lines * scratch.stride, 0.0);
    scratch.totals.resize(lines, 0.0);
    scratch.seen.clear();
    scratch.seen.resize(lines, 0);
    scratch.out.clear();
    scratch
        .out
        .resize(lines * dim.next_multiple_of(panel::<S>()), 0.0);
    for (line, query) in scratch.queries.chunks_exact_mut(dim).enumerate() {
        let (from, to) = (job.row(line), query.as_mut_ptr());
        // SAFETY: a line is `dim` floats in the buffer and in the scratch.
        each_vector!(S, dim, |i, part| unsafe {
            let v = S::mul(read::<S>(from.add(i), part), S::splat(job.heads.scale));
            write::<S>(to.add(i), part, v);
        });
    }
    for span in &job.tile.spans {
        for line in job.lines(span) {
            let query = line / job.group() - span.queries.start;
            scratch.seen[line] = span.position + span.visible + span.step * query;
        }
    }
}

/// The tile's probabilities times `totals`, out of the queries that `gather` left.
///
/// # Safety
/// As for `attend`.
#[inline(always)]
unsafe fn probabilities<S: Simd>(job: Job<'_>, scratch: &mut Scratch) {
    let stride = scratch.stride;
    // SAFETY: the contract is passed on; `gather` sized the buffers.
    unsafe {
        for span in &job.tile.spans {
            let to = (&mut scratch.scores[..], stride);
            score::<S>(job, span, job.cache, &scratch.queries, to);
        }
        softmax::<S>(scratch);
    }
}

/// Lines of `dim` floats times the keys of one span, into the columns of the keys' positions of rows
/// `stride` apart. Columns behind them may be overwritten: those of later spans, which come later,
/// and those that no line sees.
///
/// # Safety
/// As for `attend`; `from` and the rows are as long as `gather` makes queries and scores.
#[inline(always)]
unsafe fn score<S: Simd>(
    job: Job<'_>,
    span: &Span,
    cache: &KvCache,
    from_lines: &[f32],
    (scores, scores_stride): (&mut [f32], usize),
) {
    let (dim, width) = (job.heads.dim, panel::<S>());
    let lines = job.lines(span);
    let mut sums: Sums = [0.0; MAX_ROWS * MAX_PANEL];
    for block in span.keys.start / width..span.keys.end.div_ceil(width) {
        // The part of the block that belongs to the span.
        let keys = span.keys.start.max(block * width)..span.keys.end.min((block + 1) * width);
        let column = span.position + keys.start - span.keys.start;
        let from = keys.start % width;
        for first in lines.clone().step_by(S::TILE_ROWS) {
            let rows = S::TILE_ROWS.min(lines.end - first);
            let at = first * scores_stride + column;
            // A block whose first key belongs to the span has its columns where they should be.
            let (to, stride) = if from == 0 {
                (scores[at..].as_mut_ptr(), scores_stride)
            } else {
                (sums.as_mut_ptr(), width)
            };
            // SAFETY: lines `first..first + rows` hold `dim` floats each; the key panel is
            // `[dim][panel]`; `sums` holds a whole tile, and a line of scores a whole panel behind
            // its last position.
            unsafe {
                multiply::<F32<S>>(Tile {
                    rows,
                    steps: dim,
                    x: from_lines.as_ptr().add(first * dim).cast(),
                    x_stride: 4 * dim,
                    panel: cache.keys(job.layer, job.head, block).as_ptr().cast(),
                    sums: to,
                    sums_stride: stride,
                    accumulate: false,
                });
            }
            if from > 0 {
                for r in 0..rows {
                    let at = at + r * scores_stride;
                    let part = &sums[r * width + from..][..keys.len()];
                    scores[at..at + keys.len()].copy_from_slice(part);
                }
            }
        }
    }
}

/// Scores to probabilities times `totals`, zero behind the keys that a line sees.
///
/// # Safety
/// As for `attend`; the scores of all seen keys are there.
#[inline(always)]
unsafe fn softmax<S: Simd>(scratch: &mut Scratch) {
    let lines = scratch.scores.chunks_exact_mut(scratch.stride.max(1));
    for ((line, &seen), total) in lines.zip(&scratch.seen).zip(&mut scratch.totals) {
        let (scores, rest) = line.split_at_mut(seen);
        let whole = seen - seen % S::LANES;
        let at = scores.as_mut_ptr();
        // SAFETY: `each_vector` stays inside `seen`.
        unsafe {
            let mut highest = S::splat(f32::NEG_INFINITY);
            each_vector!(S, whole, |i, _part| highest =
                S::max(S::load(at.add(i)), highest));
            let mut highest = S::largest(highest);
            for &score in &scores[whole..] {
                highest = if score > highest { score } else { highest };
            }
            let shift = S::splat(highest);
            let mut sum = S::splat(0.0);
            each_vector!(S, seen, |i, part| {
                let e = exp::<S>(S::sub(read::<S>(at.add(i), part), shift));
                write::<S>(at.add(i), part, e);
                sum = S::add(sum, read::<S>(at.add(i), part));
            });
            *total = S::sum(sum);
        }
        rest.fill(0.0);
    }
}

/// Adds a span's values, weighted by the columns of their positions in rows `stride` apart, to
/// lines of padded `dim` floats.
///
/// # Safety
/// As for `attend`; the weights and `out` are as long as `gather` makes scores and outputs, and
/// every weight is set.
#[inline(always)]
unsafe fn mix<S: Simd>(
    job: Job<'_>,
    span: &Span,
    cache: &KvCache,
    (weights, stride): (&[f32], usize),
    out: &mut [f32],
) {
    let width = panel::<S>();
    let padded = job.heads.dim.next_multiple_of(width);
    let lines = job.lines(span);
    for p in 0..padded / width {
        let values =
            &cache.values(job.layer, job.head, p)[span.keys.start * width..span.keys.end * width];
        for first in lines.clone().step_by(S::TILE_ROWS) {
            // SAFETY: lines hold `stride` weights, of which the span's columns are a part, and
            // `padded` outputs; `values` holds one panel row per key.
            unsafe {
                multiply::<F32<S>>(Tile {
                    rows: S::TILE_ROWS.min(lines.end - first),
                    steps: span.keys.len(),
                    x: weights.as_ptr().add(first * stride + span.position).cast(),
                    x_stride: 4 * stride,
                    panel: values.as_ptr().cast(),
                    sums: out.as_mut_ptr().add(first * padded + p * width),
                    sums_stride: padded,
                    accumulate: true,
                });
            }
        }
    }
}

/// Divides by the totals and writes the output over the queries.
///
/// # Safety
/// As for `attend`.
#[inline(always)]
unsafe fn scatter<S: Simd>(job: Job<'_>, scratch: &mut Scratch) {
    let padded = job.heads.dim.next_multiple_of(panel::<S>());
    for (line, total) in scratch.totals.iter().enumerate() {
        let from = scratch.out[line * padded..][..job.heads.dim].as_ptr();
        let to = job.row(line);
        // SAFETY: a line is `dim` floats in the scratch and in the buffer.
        each_vector!(S, job.heads.dim, |i, part| unsafe {
            let v = S::mul(read::<S>(from.add(i), part), S::splat(1.0 / total));
            write::<S>(to.add(i), part, v);
        });
    }
}

#[cfg(test)]
mod tests;
