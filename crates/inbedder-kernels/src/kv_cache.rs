//! Keys and values of all layers, in the panel layouts that the microkernel multiplies by: scores
//! are queries × key panels, outputs are probabilities × value panels.

use crate::isa::Isa;
use crate::memory::Aligned;
use crate::tile::panel_width;

/// Keys and values of some layers for up to `rows` rows.
///
/// Keys lie `[layer][kv head][row / panel][head dim][row % panel]`, values
/// `[layer][kv head][dim / panel][row][dim % panel]`. One allocation each for all layers: it is
/// large enough to go back to the system when it is dropped, and rows that are never written never
/// take up memory.
pub struct KvCache {
    pub(crate) isa: Isa,
    layers: usize,
    pub(crate) heads: usize,
    pub(crate) dim: usize,
    pub(crate) rows: usize,
    keys: Aligned,
    values: Aligned,
}

impl KvCache {
    /// Room for `rows` rows of `heads` key-value heads of `dim` floats in each of `layers` layers.
    pub fn new(isa: Isa, layers: usize, rows: usize, heads: usize, dim: usize) -> Self {
        let panel = panel_width(isa);
        Self {
            isa,
            layers,
            heads,
            dim,
            rows,
            keys: Aligned::zeros(layers * heads * rows.div_ceil(panel) * dim * panel),
            values: Aligned::zeros(layers * heads * dim.div_ceil(panel) * rows * panel),
        }
    }

    /// Layers that there is room for.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Sets one row of a layer: the keys (already rotated) and values of all its heads, one behind
    /// the other.
    ///
    /// # Panics
    /// If `layer` or `row` is out of range or a length is not `heads · dim`.
    pub fn write(&mut self, layer: usize, row: usize, keys: &[f32], values: &[f32]) {
        assert!(layer < self.layers, "layer {layer} of {}", self.layers);
        assert!(row < self.rows, "row {row} of {}", self.rows);
        assert_eq!(keys.len(), self.heads * self.dim);
        assert_eq!(values.len(), self.heads * self.dim);
        let panel = panel_width(self.isa);
        for head in 0..self.heads {
            let source = head * self.dim..(head + 1) * self.dim;
            let at = self.key_panel(layer, head, row / panel) + row % panel;
            let lane = self.keys[at..].iter_mut().step_by(panel);
            for (to, key) in lane.zip(&keys[source.clone()]) {
                *to = *key;
            }
            for (p, value) in values[source].chunks(panel).enumerate() {
                let at = self.value_panel(layer, head, p) + row * panel;
                self.values[at..at + value.len()].copy_from_slice(value);
            }
        }
    }

    /// Where a head's panel of keys begins.
    fn key_panel(&self, layer: usize, head: usize, block: usize) -> usize {
        let panel = panel_width(self.isa);
        let head = layer * self.heads + head;
        (head * self.rows.div_ceil(panel) + block) * self.dim * panel
    }

    /// Where a head's panel of values begins.
    fn value_panel(&self, layer: usize, head: usize, p: usize) -> usize {
        let panel = panel_width(self.isa);
        let head = layer * self.heads + head;
        (head * self.dim.div_ceil(panel) + p) * self.rows * panel
    }

    /// Panel `block` of a layer's and head's keys: `[dim][panel]`.
    pub(crate) fn keys(&self, layer: usize, head: usize, block: usize) -> &[f32] {
        let panel = panel_width(self.isa);
        &self.keys[self.key_panel(layer, head, block)..][..self.dim * panel]
    }

    /// Panel `p` of a layer's and head's values: `[rows][panel]`.
    pub(crate) fn values(&self, layer: usize, head: usize, p: usize) -> &[f32] {
        let panel = panel_width(self.isa);
        &self.values[self.value_panel(layer, head, p)..][..self.rows * panel]
    }
}
