//! Keys and values of one layer, in the panel layouts that the microkernel multiplies by: scores
//! are queries × key panels, outputs are probabilities × value panels.

use crate::isa::Isa;
use crate::memory::Aligned;
use crate::tile::panel_width;

/// Keys and values of one layer for up to `rows` rows.
///
/// Keys lie `[kv head][row / panel][head dim][row % panel]`, values
/// `[kv head][dim / panel][row][dim % panel]`.
pub struct KvCache {
    pub(crate) isa: Isa,
    pub(crate) heads: usize,
    pub(crate) dim: usize,
    pub(crate) rows: usize,
    keys: Aligned,
    values: Aligned,
}

impl KvCache {
    /// Room for `rows` rows of `heads` key-value heads of `dim` floats.
    pub fn new(isa: Isa, rows: usize, heads: usize, dim: usize) -> Self {
        let panel = panel_width(isa);
        Self {
            isa,
            heads,
            dim,
            rows,
            keys: Aligned::zeros(heads * rows.div_ceil(panel) * dim * panel),
            values: Aligned::zeros(heads * dim.div_ceil(panel) * rows * panel),
        }
    }

    /// Rows that there is room for.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Sets one row: the keys (already rotated) and values of all its heads, one behind the other.
    ///
    /// # Panics
    /// If `row` is out of range or a length is not `heads · dim`.
    pub fn write(&mut self, row: usize, keys: &[f32], values: &[f32]) {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        assert_eq!(keys.len(), self.heads * self.dim);
        assert_eq!(values.len(), self.heads * self.dim);
        let panel = panel_width(self.isa);
        for head in 0..self.heads {
            let source = head * self.dim..(head + 1) * self.dim;
            let at = self.key_panel(head, row / panel) + row % panel;
            let lane = self.keys[at..].iter_mut().step_by(panel);
            for (to, key) in lane.zip(&keys[source.clone()]) {
                *to = *key;
            }
            for (p, value) in values[source].chunks(panel).enumerate() {
                let at = self.value_panel(head, p) + row * panel;
                self.values[at..at + value.len()].copy_from_slice(value);
            }
        }
    }

    /// Where a head's panel of keys begins.
    fn key_panel(&self, head: usize, block: usize) -> usize {
        let panel = panel_width(self.isa);
        (head * self.rows.div_ceil(panel) + block) * self.dim * panel
    }

    /// Where a head's panel of values begins.
    fn value_panel(&self, head: usize, p: usize) -> usize {
        let panel = panel_width(self.isa);
        (head * self.dim.div_ceil(panel) + p) * self.rows * panel
    }

    /// Panel `block` of a head's keys: `[dim][panel]`.
    pub(crate) fn keys(&self, head: usize, block: usize) -> &[f32] {
        let panel = panel_width(self.isa);
        &self.keys[self.key_panel(head, block)..][..self.dim * panel]
    }

    /// Panel `p` of a head's values: `[rows][panel]`.
    pub(crate) fn values(&self, head: usize, p: usize) -> &[f32] {
        let panel = panel_width(self.isa);
        &self.values[self.value_panel(head, p)..][..self.rows * panel]
    }
}
