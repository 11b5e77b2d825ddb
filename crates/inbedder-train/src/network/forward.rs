//! The way forward.

use super::linear::{Block, Context, Out};
use super::tape::{
    ATTENTION_OUT, Buffers, Caches, DOWN, GATE, KEY, LayerTape, Layout, QUERY, UP, VALUE, blocks,
    part,
};
use super::{Layer, Network, Norm, Workspace};
use crate::Result;
use inbedder::plan::Plan;
use inbedder_kernels::{Into, KvCache, Threads, attention, gate, rms_norm, rotate};

impl Network {
    /// Runs all layers; `work.x` is left with the last one's rows, before the final norm.
    pub(super) fn forward(
        &self,
        plan: &Plan,
        values: &[f32],
        key: Option<u64>,
        work: &mut Workspace,
    ) -> Result<()> {
        work.size(self, plan.rows());
        self.embed(plan, values, &mut work.x)?;
        let layout = Layout::new(self, plan);
        let Workspace {
            layers,
            x,
            buffers,
            caches,
            ..
        } = work;
        let caches = caches.as_mut().expect("size() made them");
        for i in 0..self.spec.layers {
            let tape = &mut layers[self.tape_of(i)];
            self.attention_forward((i, key), &layout, x, tape, (buffers, caches));
            self.mlp_forward((i, key), x, tape, buffers);
        }
        Ok(())
    }

    fn embed(&self, plan: &Plan, values: &[f32], x: &mut [f32]) -> Result<()> {
        let hidden = self.spec.hidden;
        for (token, x) in plan.tokens().iter().zip(x.chunks_exact_mut(hidden)) {
            let token = *token as usize;
            match &self.embedding {
                Some(place) => {
                    x.copy_from_slice(&values[place.clone()][token * hidden..][..hidden])
                }
                None => self.checkpoint.embedding_rows(token..token + 1, x)?,
            }
        }
        Ok(())
    }

    fn attention_forward(
        &self,
        (i, key): (usize, Option<u64>),
        layout: &Layout<'_>,
        x: &mut [f32],
        tape: &mut LayerTape,
        (buffers, caches): (&mut Buffers, &mut Caches),
    ) {
        let (layer, hidden) = (&self.layers[i], self.spec.hidden);
        let rows = layout.plan.rows();
        tape.input.copy_from_slice(x);
        for block in blocks(rows) {
            let normed = self.norm(
                &layer.attention_norm,
                &x[part(&block, hidden)],
                &mut buffers.normed,
            );
            let staged = layer.linear[QUERY].stage(normed, &mut buffers.staging);
            let targets = [
                (QUERY, &mut tape.queries),
                (KEY, &mut tape.keys),
                (VALUE, &mut tape.values),
            ];
            for (which, to) in targets {
                let linear = &layer.linear[which];
                let kept = &mut tape.kept[which][part(&block, linear.rank())];
                let out = Out {
                    to: &mut to[part(&block, linear.outputs)],
                    stride: linear.outputs,
                    into: Into::Store,
                };
                let context = Context {
                    dropout: self.dropout_of(key, i, which),
                    first: block.start,
                    scratch: &mut buffers.linear,
                };
                linear.forward(normed, staged, kept, out, context);
            }
        }
        self.rotate(layout.plan, &mut tape.queries, 1.0);
        self.rotate(layout.plan, &mut tape.keys, 1.0);
        self.fill(&mut caches.cache, &tape.keys, &tape.values);
        tape.mixed.copy_from_slice(&tape.queries);
        let heads = self.spec.heads;
        attention(
            heads,
            &mut tape.mixed,
            &layout.tiles,
            &caches.cache,
            0,
            Threads::One,
        );
        let linear = &layer.linear[ATTENTION_OUT];
        for block in blocks(rows) {
            let mixed = Block {
                data: &tape.mixed[part(&block, linear.inputs)],
                rows: block.len(),
                stride: linear.inputs,
            };
            let staged = linear.stage(mixed, &mut buffers.staging);
            let kept = &mut tape.kept[ATTENTION_OUT][part(&block, linear.rank())];
            let out = Out {
                to: &mut x[part(&block, hidden)],
                stride: hidden,
                into: Into::Add,
            };
            let context = Context {
                dropout: self.dropout_of(key, i, ATTENTION_OUT),
                first: block.start,
                scratch: &mut buffers.linear,
            };
            linear.forward(mixed, staged, kept, out, context);
        }
    }

    fn mlp_forward(
        &self,
        (i, key): (usize, Option<u64>),
        x: &mut [f32],
        tape: &mut LayerTape,
        buffers: &mut Buffers,
    ) {
        let (layer, hidden, units) = (&self.layers[i], self.spec.hidden, self.spec.intermediate);
        tape.middle.copy_from_slice(x);
        for block in blocks(x.len() / hidden) {
            let x = &mut x[part(&block, hidden)];
            let normed = self.norm(&layer.mlp_norm, x, &mut buffers.normed);
            let staged = layer.linear[GATE].stage(normed, &mut buffers.staging);
            for (which, to) in [(GATE, &mut tape.gate), (UP, &mut tape.up)] {
                let linear = &layer.linear[which];
                let kept = &mut tape.kept[which][part(&block, linear.rank())];
                let out = Out {
                    to: &mut to[part(&block, units)],
                    stride: units,
                    into: Into::Store,
                };
                let context = Context {
                    dropout: self.dropout_of(key, i, which),
                    first: block.start,
                    scratch: &mut buffers.linear,
                };
                linear.forward(normed, staged, kept, out, context);
            }
            let gated = self.gated(&block, tape, &mut buffers.units);
            let linear = &layer.linear[DOWN];
            let staged = linear.stage(gated, &mut buffers.staging);
            let kept = &mut tape.kept[DOWN][part(&block, linear.rank())];
            let out = Out {
                to: x,
                stride: hidden,
                into: Into::Add,
            };
            let context = Context {
                dropout: self.dropout_of(key, i, DOWN),
                first: block.start,
                scratch: &mut buffers.linear,
            };
            linear.forward(gated, staged, kept, out, context);
        }
    }

    /// Normalises whole rows into a buffer.
    pub(super) fn norm<'b>(&self, norm: &Norm, x: &[f32], to: &'b mut [f32]) -> Block<'b> {
        let hidden = self.spec.hidden;
        rms_norm(self.isa, x, &norm.weight, self.spec.norm_eps, to, hidden);
        Block {
            data: to,
            rows: x.len() / hidden,
            stride: hidden,
        }
    }

    /// SiLU(gate) · up of a block, into a buffer.
    pub(super) fn gated<'b>(
        &self,
        block: &std::ops::Range<usize>,
        tape: &LayerTape,
        to: &'b mut [f32],
    ) -> Block<'b> {
        let range = part(block, self.spec.intermediate);
        let to = &mut to[..range.len()];
        gate(self.isa, &tape.gate[range.clone()], &tape.up[range], to);
        Block {
            data: to,
            rows: block.len(),
            stride: self.spec.intermediate,
        }
    }

    /// Turns rows of heads by their positions; back again with `sign` −1.
    pub(super) fn rotate(&self, plan: &Plan, rows: &mut [f32], sign: f32) {
        let width = rows.len() / plan.rows();
        let mut signed = vec![0.0; self.spec.heads.dim / 2];
        for (row, heads) in rows.chunks_exact_mut(width).enumerate() {
            let (cos, sin) = self.rotary.at(plan.position(row));
            signed
                .iter_mut()
                .zip(sin)
                .for_each(|(to, sin)| *to = sign * sin);
            rotate(self.isa, heads, cos, &signed);
        }
    }

    pub(super) fn fill(&self, cache: &mut KvCache, keys: &[f32], values: &[f32]) {
        let width = self.spec.heads.kv * self.spec.heads.dim;
        let rows = keys.chunks_exact(width).zip(values.chunks_exact(width));
        for (row, (keys, values)) in rows.enumerate() {
            cache.write(0, row, keys, values);
        }
    }

    pub(super) fn layer(&self, i: usize) -> &Layer {
        &self.layers[i]
    }
}
