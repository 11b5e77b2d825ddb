//! The way forward.

use super::linear::{Block, Context, Out, Scratch};
use super::tape::{
    ATTENTION_OUT, Buffers, Caches, DOWN, GATE, KEY, LayerTape, Layout, QUERY, UP, VALUE, blocks,
    part,
};
use super::{At, Network, Norm, Workspace};
use crate::Result;
use inbedder::plan::Plan;
use inbedder_kernels::{Activations, Into, KvCache, Threads, attention, gate, rms_norm, rotate};
use std::ops::Range;

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
        let (rows, at) = (layout.plan.rows(), At::of(i, key));
        tape.input.copy_from_slice(x);
        for block in blocks(rows) {
            let from = &x[part(&block, hidden)];
            let normed = self.norm(&layer.attention_norm, from, &mut buffers.normed);
            let staged = layer.linear[QUERY].stage(normed, &mut buffers.staging);
            let targets = [
                (QUERY, &mut tape.queries),
                (KEY, &mut tape.keys),
                (VALUE, &mut tape.values),
            ];
            for (which, to) in targets {
                let (x, kept) = ((normed, staged), &mut tape.kept[which]);
                let to = (&mut to[..], Into::Store);
                self.apply(at(which), &block, x, kept, to, &mut buffers.linear);
            }
        }
        self.rotate(layout.plan, &mut tape.queries, 1.0);
        self.rotate(layout.plan, &mut tape.keys, 1.0);
        self.fill(&mut caches.cache, &tape.keys, &tape.values);
        tape.mixed.copy_from_slice(&tape.queries);
        let (heads, cache) = (self.spec.heads, &caches.cache);
        attention(
            heads,
            &mut tape.mixed,
            &layout.tiles,
            cache,
            0,
            Threads::One,
        );
        let linear = &layer.linear[ATTENTION_OUT];
        for block in blocks(rows) {
            let mixed = Block::new(&tape.mixed[part(&block, linear.inputs)], linear.inputs);
            let staged = linear.stage(mixed, &mut buffers.staging);
            let (mixed, kept) = ((mixed, staged), &mut tape.kept[ATTENTION_OUT]);
            let to = (&mut *x, Into::Add);
            self.apply(
                at(ATTENTION_OUT),
                &block,
                mixed,
                kept,
                to,
                &mut buffers.linear,
            );
        }
    }

    fn mlp_forward(
        &self,
        (i, key): (usize, Option<u64>),
        x: &mut [f32],
        tape: &mut LayerTape,
        buffers: &mut Buffers,
    ) {
        let (layer, hidden, at) = (&self.layers[i], self.spec.hidden, At::of(i, key));
        tape.middle.copy_from_slice(x);
        for block in blocks(x.len() / hidden) {
            let from = &x[part(&block, hidden)];
            let normed = self.norm(&layer.mlp_norm, from, &mut buffers.normed);
            let staged = layer.linear[GATE].stage(normed, &mut buffers.staging);
            for (which, to) in [(GATE, &mut tape.gate), (UP, &mut tape.up)] {
                let (x, kept) = ((normed, staged), &mut tape.kept[which]);
                let to = (&mut to[..], Into::Store);
                self.apply(at(which), &block, x, kept, to, &mut buffers.linear);
            }
            let gated = self.gated(&block, tape, &mut buffers.units);
            let staged = layer.linear[DOWN].stage(gated, &mut buffers.staging);
            let (gated, kept) = ((gated, staged), &mut tape.kept[DOWN]);
            let to = (&mut *x, Into::Add);
            self.apply(at(DOWN), &block, gated, kept, to, &mut buffers.linear);
        }
    }

    /// A linear layer over a block, whose inputs are given; `kept` and `to` are whole batches.
    fn apply(
        &self,
        at: At,
        block: &Range<usize>,
        (x, staged): (Block<'_>, Activations<'_>),
        kept: &mut [f32],
        (to, into): (&mut [f32], Into),
        scratch: &mut Scratch,
    ) {
        let linear = &self.layers[at.layer].linear[at.linear];
        let out = Out {
            to: &mut to[part(block, linear.outputs)],
            stride: linear.outputs,
            into,
        };
        let kept = &mut kept[part(block, linear.rank())];
        linear.forward(x, staged, kept, out, self.context(at, block, scratch));
    }

    /// What a linear layer has to know of the block beside its rows.
    pub(super) fn context<'s>(
        &self,
        at: At,
        block: &Range<usize>,
        scratch: &'s mut Scratch,
    ) -> Context<'s> {
        Context {
            dropout: self.dropout_of(at),
            first: block.start,
            scratch,
        }
    }

    /// Normalises whole rows into a buffer.
    pub(super) fn norm<'b>(&self, norm: &Norm, x: &[f32], to: &'b mut [f32]) -> Block<'b> {
        let hidden = self.spec.hidden;
        rms_norm(self.isa, x, &norm.weight, self.spec.norm_eps, to, hidden);
        Block::new(&to[..x.len()], hidden)
    }

    /// SiLU(gate) · up of a block, into a buffer.
    pub(super) fn gated<'b>(
        &self,
        block: &Range<usize>,
        tape: &LayerTape,
        to: &'b mut [f32],
    ) -> Block<'b> {
        let range = part(block, self.spec.intermediate);
        let to = &mut to[..range.len()];
        gate(self.isa, &tape.gate[range.clone()], &tape.up[range], to);
        Block::new(to, self.spec.intermediate)
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
}
