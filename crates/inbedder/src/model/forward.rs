//! The forward pass: one straight function over the rows of a plan.
//!
//! Everything but attention is row-wise and runs block by block, so that a block's activations stay
//! in the cache through a whole layer half. The last layer to run computes queries, MLP and norm
//! for the rows that are tapped there and for no others.

use super::packed::{Layer, Model};
use crate::plan::Plan;
use crate::{Error, Result};
use inbedder_kernels::{
    Into, KvCache, QueryTile, Rows, Staging, Threads, attention, gemm, queries_per_tile, rms_norm,
    rotate,
};
use std::ops::Range;

/// Rows per block at most: with 1,536 MLP units the block's widest activations take half a
/// megabyte, which a core's second-level cache holds.
const BLOCK: usize = 96;

/// Rows per core at least, for blocks to be worked on side by side: below, the cores share each product's
/// columns instead, as they do for a row at a time when an answer is generated.
const SIDE_BY_SIDE: usize = 16;

/// Floats between the end of a scratch row and the next: keeps row starts out of step with the
/// cache's sets.
const GAP: usize = 16;

/// Hidden states to keep: of `layer` (0 to L, as Hugging Face numbers them) at `rows` (rising).
#[derive(Debug, Clone)]
pub(crate) struct Tap {
    pub(crate) layer: usize,
    pub(crate) rows: Vec<usize>,
}

/// Asked between layers whether to go on.
pub(crate) type KeepGoing<'a> = &'a (dyn Fn() -> bool + Sync);

/// A plan on its way through a model, with the keys and values of all its rows.
pub(crate) struct Forward<'a> {
    model: &'a Model,
    threads: Threads,
    cache: KvCache,
    keep_going: KeepGoing<'a>,
}

/// Buffers of one block.
struct Scratch {
    /// `[BLOCK][hidden + GAP]`: normalised rows.
    normed: Vec<f32>,
    /// `[BLOCK][intermediate + GAP]`.
    mlp: Vec<f32>,
    staging: Staging,
}

impl<'a> Forward<'a> {
    /// A forward pass over a plan that `cache` has room for; what it held is forgotten.
    pub(crate) fn new(
        model: &'a Model,
        cache: KvCache,
        threads: Threads,
        keep_going: KeepGoing<'a>,
    ) -> Self {
        Self {
            model,
            threads,
            cache,
            keep_going,
        }
    }

    /// The cache, for the next plan.
    pub(crate) fn into_cache(self) -> KvCache {
        self.cache
    }

    /// Runs the plan's rows `new` (all earlier ones have been run) and returns each tap's states,
    /// `[row][hidden]`. Layers above the highest tap are not run.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when asked to stop; a row of the embedding that cannot be read.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        new: Range<usize>,
        taps: &[Tap],
    ) -> Result<Vec<Vec<f32>>> {
        let model = self.model;
        let hidden = model.spec.hidden;
        let mut states = vec![Vec::new(); taps.len()];
        let mut team = Team::new(model, self.threads, new.len());
        let mut rows: Vec<usize> = new.clone().collect();
        let mut x = vec![0.0; rows.len() * hidden];
        for (row, x) in new.clone().zip(x.chunks_exact_mut(hidden)) {
            let token = plan.tokens()[row] as usize;
            model.embedding.view().read_rows(token..token + 1, x)?;
        }
        let last = taps.iter().map(|tap| tap.layer).max().unwrap_or(0);
        collect(taps, 0, &rows, hidden, &x, &mut states);
        for (i, layer) in model.layers[..last].iter().enumerate() {
            if !(self.keep_going)() {
                return Err(Error::Interrupted);
            }
            self.key_value(layer, i, plan, new.start, &x, &mut team);
            if i + 1 == last {
                (rows, x) = keep(tapped(taps, last), new.start, hidden, &x);
            }
            self.attention(layer, i, plan, &rows, &mut x, &mut team);
            self.mlp(layer, &mut x, &mut team);
            if i + 1 == model.spec.layers {
                let from = x.clone();
                rms_norm(
                    model.isa,
                    &from,
                    &model.final_norm,
                    model.spec.norm_eps,
                    &mut x,
                    hidden,
                );
            }
            collect(taps, i + 1, &rows, hidden, &x, &mut states);
        }
        Ok(states)
    }

    /// The layer of the cache that a layer of the model uses.
    fn cached(&self, layer: usize) -> usize {
        layer.min(self.cache.layers() - 1)
    }

    /// Keys and values of all new rows, rotated, into the layer's cache.
    fn key_value(
        &mut self,
        layer: &Layer,
        i: usize,
        plan: &Plan,
        first: usize,
        x: &[f32],
        team: &mut Team,
    ) {
        let model = self.model;
        let (hidden, kv) = (
            model.spec.hidden,
            model.spec.heads.kv * model.spec.heads.dim,
        );
        let mut key_value = std::mem::take(&mut team.key_value);
        team.each_block(&mut key_value, 2 * kv, |work, block, out| {
            let from = &x[block.start * hidden..block.end * hidden];
            let normed = norm(model, from, &layer.attention_norm, &mut work.scratch.normed);
            let normed = layer.key_value.stage(normed, &mut work.scratch.staging);
            gemm(
                normed,
                &layer.key_value,
                Into::Store,
                out,
                2 * kv,
                work.threads,
            );
            for (row, key_value) in block.zip(out.chunks_exact_mut(2 * kv)) {
                let (cos, sin) = model.rotary.at(plan.position(first + row));
                rotate(model.isa, &mut key_value[..kv], cos, sin);
            }
        });
        let i = self.cached(i);
        for (row, key_value) in key_value.chunks_exact(2 * kv).enumerate() {
            let (keys, values) = key_value.split_at(kv);
            self.cache.write(i, first + row, keys, values);
        }
        team.key_value = key_value;
    }

    /// Adds the attention block's output to the rows of `x`, which are the plan's rows `rows`.
    fn attention(
        &mut self,
        layer: &Layer,
        i: usize,
        plan: &Plan,
        rows: &[usize],
        x: &mut [f32],
        team: &mut Team,
    ) {
        let model = self.model;
        let (hidden, heads) = (model.spec.hidden, model.spec.heads);
        let width = heads.query * heads.dim;
        let mut queries = vec![0.0; rows.len() * width];
        team.each_block(&mut queries, width, |work, block, out| {
            let from = &x[block.start * hidden..block.end * hidden];
            let normed = norm(model, from, &layer.attention_norm, &mut work.scratch.normed);
            let normed = layer.query.stage(normed, &mut work.scratch.staging);
            gemm(normed, &layer.query, Into::Store, out, width, work.threads);
            for (row, query) in rows[block].iter().zip(out.chunks_exact_mut(width)) {
                let (cos, sin) = model.rotary.at(plan.position(*row));
                rotate(model.isa, query, cos, sin);
            }
        });
        let tiles: Vec<QueryTile> = plan.tiles(rows, queries_per_tile(heads));
        let i = self.cached(i);
        attention(heads, &mut queries, &tiles, &self.cache, i, self.threads);
        team.each_block(x, hidden, |work, block, x| {
            let mixed = Rows::new(&queries[block.start * width..], block.len(), width);
            let mixed = layer.attention_out.stage(mixed, &mut work.scratch.staging);
            gemm(
                mixed,
                &layer.attention_out,
                Into::Add,
                x,
                hidden,
                work.threads,
            );
        });
    }

    /// Adds the gated MLP's output.
    fn mlp(&self, layer: &Layer, x: &mut [f32], team: &mut Team) {
        let model = self.model;
        let hidden = model.spec.hidden;
        let stride = model.spec.intermediate + GAP;
        team.each_block(x, hidden, |work, block, x| {
            let Work { scratch, threads } = work;
            let normed = norm(model, x, &layer.mlp_norm, &mut scratch.normed);
            let normed = layer.gate_up.stage(normed, &mut scratch.staging);
            gemm(
                normed,
                &layer.gate_up,
                Into::Store,
                &mut scratch.mlp,
                stride,
                threads,
            );
            let units = Rows::new(&scratch.mlp, block.len(), stride);
            let units = layer.down.stage(units, &mut scratch.staging);
            gemm(units, &layer.down, Into::Add, x, hidden, threads);
        });
    }
}

/// The cores that work on a plan. With rows enough each takes blocks of its own through a whole layer
/// half: as little waiting for each other as attention allows.
struct Team {
    members: Vec<Scratch>,
    /// `[row][2 · kv heads · dim]`: keys, then values.
    key_value: Vec<f32>,
    /// Of the products within a block.
    threads: Threads,
}

/// What a block is worked on with.
struct Work<'a> {
    scratch: &'a mut Scratch,
    threads: Threads,
}

impl Team {
    fn new(model: &Model, threads: Threads, rows: usize) -> Self {
        let cores = match threads {
            Threads::One => 1,
            Threads::Pool => rayon::current_num_threads(),
        };
        let side_by_side = cores > 1 && rows >= cores * SIDE_BY_SIDE;
        let members = if side_by_side { cores } else { 1 };
        let heads = model.spec.heads;
        Self {
            members: (0..members)
                .map(|_| Scratch::new(model, rows.div_ceil(members)))
                .collect(),
            key_value: vec![0.0; rows * 2 * heads.kv * heads.dim],
            threads: if side_by_side { Threads::One } else { threads },
        }
    }

    /// Calls `work` for every block of rows of `width` floats, with the block's rows.
    fn each_block(
        &mut self,
        rows: &mut [f32],
        width: usize,
        work: impl Fn(Work<'_>, Range<usize>, &mut [f32]) + Sync,
    ) {
        let threads = self.threads;
        let run = |(scratch, share, rows): (&mut Scratch, Range<usize>, &mut [f32])| {
            let mut rows = rows;
            for block in blocks(share.len()) {
                let (now, later) = rows.split_at_mut(block.len() * width);
                let block = share.start + block.start..share.start + block.end;
                let scratch = &mut *scratch;
                work(Work { scratch, threads }, block, now);
                rows = later;
            }
        };
        let (count, total) = (self.members.len(), rows.len() / width);
        if count == 1 {
            return run((&mut self.members[0], 0..total, rows));
        }
        rayon::scope(|scope| {
            let (run, mut rows) = (&run, rows);
            for (i, scratch) in self.members.iter_mut().enumerate().rev() {
                let share = i * total / count..(i + 1) * total / count;
                let (earlier, mine) = rows.split_at_mut(share.start * width);
                rows = earlier;
                match i {
                    0 => run((scratch, share, mine)),
                    _ => scope.spawn(move |_| run((scratch, share, mine))),
                }
            }
        });
    }
}

impl Scratch {
    fn new(model: &Model, rows: usize) -> Self {
        let spec = &model.spec;
        let rows = rows.min(BLOCK);
        Self {
            normed: vec![0.0; rows * (spec.hidden + GAP)],
            mlp: vec![0.0; rows * (spec.intermediate + GAP)],
            staging: Staging::default(),
        }
    }
}

/// Normalises whole rows into the scratch.
fn norm<'s>(model: &Model, x: &[f32], weight: &[f32], normed: &'s mut [f32]) -> Rows<'s> {
    let stride = model.spec.hidden + GAP;
    rms_norm(model.isa, x, weight, model.spec.norm_eps, normed, stride);
    Rows::new(normed, x.len() / model.spec.hidden, stride)
}

/// `0..rows` in blocks of nearly equal size.
fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(BLOCK);
    (0..count).map(move |i| i * rows / count..(i + 1) * rows / count)
}

/// The rows that taps of a layer name, rising, each once.
fn tapped(taps: &[Tap], layer: usize) -> Vec<usize> {
    let of_layer = taps.iter().filter(|tap| tap.layer == layer);
    let mut rows: Vec<usize> = of_layer.flat_map(|tap| tap.rows.iter().copied()).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The states of some rows, out of those of all rows from `first` on.
fn keep(rows: Vec<usize>, first: usize, hidden: usize, x: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let kept = rows
        .iter()
        .flat_map(|row| &x[(row - first) * hidden..][..hidden]);
    let kept = kept.copied().collect();
    (rows, kept)
}

/// Copies what the taps of a layer want out of `x`, whose rows are the plan's `rows`.
fn collect(
    taps: &[Tap],
    layer: usize,
    rows: &[usize],
    hidden: usize,
    x: &[f32],
    states: &mut [Vec<f32>],
) {
    for (tap, states) in taps.iter().zip(states) {
        if tap.layer == layer {
            states.reserve_exact(tap.rows.len() * hidden);
            for row in &tap.rows {
                let at = rows.binary_search(row).expect("tapped rows are run");
                states.extend_from_slice(&x[at * hidden..][..hidden]);
            }
        }
    }
}
