//! What the way forward leaves behind for the way back, and the buffers of both.

use super::Network;
use super::linear;
use inbedder::plan::Plan;
use inbedder_kernels::{KvCache, QueryTile, Staging, queries_per_tile};

/// Rows per block at most: a block's widest activations stay in a core's second-level cache.
const BLOCK: usize = 96;

/// Linear layers of a layer, as `kept` counts them.
pub(super) const QUERY: usize = 0;
pub(super) const KEY: usize = 1;
pub(super) const VALUE: usize = 2;
pub(super) const ATTENTION_OUT: usize = 3;
pub(super) const GATE: usize = 4;
pub(super) const UP: usize = 5;
pub(super) const DOWN: usize = 6;

/// What one layer leaves; all `[row][…]`.
#[derive(Default)]
pub(super) struct LayerTape {
    /// What went in.
    pub(super) input: Vec<f32>,
    /// Rotated queries and keys, values, and the attention's output.
    pub(super) queries: Vec<f32>,
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
    pub(super) mixed: Vec<f32>,
    /// The residual stream between attention and MLP.
    pub(super) middle: Vec<f32>,
    pub(super) gate: Vec<f32>,
    pub(super) up: Vec<f32>,
    /// By linear layer: its inputs times A.
    pub(super) kept: [Vec<f32>; 7],
}

/// A worker's memory, kept from batch to batch.
#[derive(Default)]
pub struct Workspace {
    /// Of the layers that are back-propagated through; the last one serves all others.
    pub(super) layers: Vec<LayerTape>,
    /// The residual stream; behind the way forward, what the last layer left.
    pub(super) x: Vec<f32>,
    /// Its gradient.
    pub(super) dx: Vec<f32>,
    pub(super) buffers: Buffers,
    pub(super) caches: Option<Caches>,
}

/// Buffers of one block, or of one layer.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) normed: Vec<f32>,
    pub(super) dnormed: Vec<f32>,
    pub(super) units: Vec<f32>,
    pub(super) dunits: Vec<f32>,
    pub(super) staging: Staging,
    pub(super) linear: linear::Scratch,
    /// `[row][…]`, whole batches: gradients of the attention's output, of keys and of values.
    pub(super) dmixed: Vec<f32>,
    pub(super) dkeys: Vec<f32>,
    pub(super) dvalues: Vec<f32>,
}

/// Keys and values of one layer, and the same the other way round.
pub(super) struct Caches {
    pub(super) cache: KvCache,
    pub(super) swapped: KvCache,
    rows: usize,
}

/// A batch as attention sees it.
pub(super) struct Layout<'a> {
    pub(super) plan: &'a Plan,
    pub(super) tiles: Vec<QueryTile>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(network: &Network, plan: &'a Plan) -> Self {
        let rows: Vec<usize> = (0..plan.rows()).collect();
        Self {
            plan,
            tiles: plan.tiles(&rows, queries_per_tile(network.spec.heads)),
        }
    }
}

impl Workspace {
    /// Makes room for a batch of `rows` rows.
    pub(super) fn size(&mut self, network: &Network, rows: usize) {
        let spec = &network.spec;
        let kept = spec.layers - network.first_trained;
        let (query, kv) = (
            spec.heads.query * spec.heads.dim,
            spec.heads.kv * spec.heads.dim,
        );
        self.layers.resize_with(kept + 1, LayerTape::default);
        for tape in &mut self.layers {
            for (buffer, width) in [
                (&mut tape.input, spec.hidden),
                (&mut tape.queries, query),
                (&mut tape.keys, kv),
                (&mut tape.values, kv),
                (&mut tape.mixed, query),
                (&mut tape.middle, spec.hidden),
                (&mut tape.gate, spec.intermediate),
                (&mut tape.up, spec.intermediate),
            ] {
                buffer.resize(rows * width, 0.0);
            }
            for buffer in &mut tape.kept {
                buffer.resize(rows * network.rank, 0.0);
            }
        }
        self.x.resize(rows * spec.hidden, 0.0);
        self.buffers.size(network, rows);
        if self.caches.as_ref().is_none_or(|caches| caches.rows < rows) {
            let cache = || KvCache::new(network.isa, 1, rows, spec.heads.kv, spec.heads.dim);
            self.caches = Some(Caches {
                cache: cache(),
                swapped: cache(),
                rows,
            });
        }
    }
}

impl Buffers {
    fn size(&mut self, network: &Network, rows: usize) {
        let spec = &network.spec;
        let (query, kv) = (
            spec.heads.query * spec.heads.dim,
            spec.heads.kv * spec.heads.dim,
        );
        for (buffer, len) in [
            (&mut self.normed, BLOCK * spec.hidden),
            (&mut self.dnormed, BLOCK * spec.hidden),
            (&mut self.units, BLOCK * spec.intermediate),
            (&mut self.dunits, BLOCK * spec.intermediate),
            (&mut self.dmixed, rows * query),
            (&mut self.dkeys, rows * kv),
            (&mut self.dvalues, rows * kv),
        ] {
            buffer.resize(len, 0.0);
        }
    }
}

/// `0..rows` in blocks of nearly equal size.
pub(super) fn blocks(rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = rows.div_ceil(BLOCK);
    (0..count).map(move |i| i * rows / count..(i + 1) * rows / count)
}

/// A block's part of rows of `width` floats.
pub(super) fn part(block: &std::ops::Range<usize>, width: usize) -> std::ops::Range<usize> {
    block.start * width..block.end * width
}
