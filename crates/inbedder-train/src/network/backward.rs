//! The way back, layer by layer from the last; `work.dx` holds the gradient of the residual stream.

use super::linear::{Block, Out, Scratch};
use super::tape::{
    ATTENTION_OUT, Buffers, Caches, DOWN, GATE, KEY, LayerTape, Layout, QUERY, UP, VALUE, blocks,
    part,
};
use super::{At, Network, Norm, Workspace};
use inbedder::plan::Plan;
use inbedder_kernels::{
    Backward, Into, Threads, attention_backward, gate_backward, rms_norm_backward,
};
use std::ops::Range;

impl Network {
    /// Adds the gradients of everything below the final norm to `sums`.
    pub(super) fn backward(
        &self,
        plan: &Plan,
        key: Option<u64>,
        sums: &mut [f32],
        work: &mut Workspace,
    ) {
        let layout = Layout::new(self, plan);
        let Workspace {
            layers,
            dx,
            buffers,
            caches,
            ..
        } = work;
        let caches = caches.as_mut().expect("the way forward made them");
        for i in (self.first_trained..self.spec.layers).rev() {
            let tape = &mut layers[self.tape_of(i)];
            self.mlp_backward((i, key), dx, tape, buffers, sums);
            self.attention_backward((i, key), &layout, dx, tape, (buffers, caches), sums);
        }
        if let Some(place) = &self.embedding {
            let hidden = self.spec.hidden;
            let sums = &mut sums[place.clone()];
            for (token, dx) in plan.tokens().iter().zip(dx.chunks_exact(hidden)) {
                let sums = &mut sums[*token as usize * hidden..][..hidden];
                sums.iter_mut().zip(dx).for_each(|(sum, dx)| *sum += dx);
            }
        }
    }

    fn mlp_backward(
        &self,
        (i, key): (usize, Option<u64>),
        dx: &mut [f32],
        tape: &mut LayerTape,
        buffers: &mut Buffers,
        sums: &mut [f32],
    ) {
        let (layer, hidden, at) = (&self.layers[i], self.spec.hidden, At::of(i, key));
        for block in blocks(dx.len() / hidden) {
            let dx = &mut dx[part(&block, hidden)];
            let gated = self.gated(&block, tape, &mut buffers.units);
            let (x, to) = ((gated, &tape.kept[DOWN][..]), &mut buffers.dunits);
            let also = (&mut *sums, &mut buffers.linear);
            self.apply_back(at(DOWN), &block, x, dx, (to, Into::Store), also);
            let range = part(&block, self.spec.intermediate);
            let (gates, ups) = (&mut tape.gate[range.clone()], &mut tape.up[range.clone()]);
            gate_backward(self.isa, gates, ups, &buffers.dunits[..range.len()]);
            let middle = &tape.middle[part(&block, hidden)];
            let normed = self.norm(&layer.mlp_norm, middle, &mut buffers.normed);
            for (which, grads, into) in [(GATE, gates, Into::Store), (UP, ups, Into::Add)] {
                let (x, to) = ((normed, &tape.kept[which][..]), &mut buffers.dnormed);
                let also = (&mut *sums, &mut buffers.linear);
                self.apply_back(at(which), &block, x, grads, (to, into), also);
            }
            self.norm_backward(&layer.mlp_norm, middle, &buffers.dnormed, dx, sums);
        }
    }

    fn attention_backward(
        &self,
        (i, key): (usize, Option<u64>),
        layout: &Layout<'_>,
        dx: &mut [f32],
        tape: &mut LayerTape,
        (buffers, caches): (&mut Buffers, &mut Caches),
        sums: &mut [f32],
    ) {
        self.attention_out_backward((i, key), dx, tape, buffers, sums);
        self.fill(&mut caches.cache, &tape.keys, &tape.values);
        self.fill(&mut caches.swapped, &tape.values, &tape.keys);
        buffers.dkeys.fill(0.0);
        buffers.dvalues.fill(0.0);
        let pass = Backward {
            heads: self.spec.heads,
            tiles: &layout.tiles,
            cache: &caches.cache,
            swapped: &caches.swapped,
            layer: 0,
            outputs: &tape.mixed,
            grads: &buffers.dmixed,
        };
        let (dkeys, dvalues) = (&mut buffers.dkeys, &mut buffers.dvalues);
        attention_backward(pass, &mut tape.queries, dkeys, dvalues, Threads::One);
        self.rotate(layout.plan, &mut tape.queries, -1.0);
        self.rotate(layout.plan, &mut buffers.dkeys, -1.0);
        let (layer, hidden, at) = (&self.layers[i], self.spec.hidden, At::of(i, key));
        for block in blocks(layout.plan.rows()) {
            let input = &tape.input[part(&block, hidden)];
            let normed = self.norm(&layer.attention_norm, input, &mut buffers.normed);
            let grads = [
                (QUERY, &tape.queries, Into::Store),
                (KEY, &buffers.dkeys, Into::Add),
                (VALUE, &buffers.dvalues, Into::Add),
            ];
            for (which, grads, into) in grads {
                let grads = &grads[part(&block, layer.linear[which].outputs)];
                let (x, to) = ((normed, &tape.kept[which][..]), &mut buffers.dnormed);
                let also = (&mut *sums, &mut buffers.linear);
                self.apply_back(at(which), &block, x, grads, (to, into), also);
            }
            let dx = &mut dx[part(&block, hidden)];
            self.norm_backward(&layer.attention_norm, input, &buffers.dnormed, dx, sums);
        }
    }

    /// From the residual stream's gradient to that of what attention gave.
    fn attention_out_backward(
        &self,
        (i, key): (usize, Option<u64>),
        dx: &[f32],
        tape: &LayerTape,
        buffers: &mut Buffers,
        sums: &mut [f32],
    ) {
        let (hidden, at) = (self.spec.hidden, At::of(i, key)(ATTENTION_OUT));
        let width = self.layers[i].linear[ATTENTION_OUT].inputs;
        for block in blocks(dx.len() / hidden) {
            let mine = part(&block, width);
            let mixed = Block::new(&tape.mixed[mine.clone()], width);
            let (x, to) = (
                (mixed, &tape.kept[ATTENTION_OUT][..]),
                &mut buffers.dmixed[mine],
            );
            let also = (&mut *sums, &mut buffers.linear);
            let grads = &dx[part(&block, hidden)];
            self.apply_back(at, &block, x, grads, (to, Into::Store), also);
        }
    }

    /// Back through a linear layer over a block: `grads` are the block's, `to` gets those of its inputs;
    /// `kept` is of the whole batch.
    fn apply_back(
        &self,
        at: At,
        block: &Range<usize>,
        (x, kept): (Block<'_>, &[f32]),
        grads: &[f32],
        (to, into): (&mut [f32], Into),
        (sums, scratch): (&mut [f32], &mut Scratch),
    ) {
        let linear = &self.layers[at.layer].linear[at.linear];
        let out = Out {
            to,
            stride: linear.inputs,
            into,
        };
        let kept = &kept[part(block, linear.rank())];
        let (grads, context) = (
            Block::new(grads, linear.outputs),
            self.context(at, block, scratch),
        );
        linear.backward((x, kept), grads, out, sums, context);
    }

    /// Adds what comes back through a norm to `dx`.
    pub(super) fn norm_backward(
        &self,
        norm: &Norm,
        x: &[f32],
        dnormed: &[f32],
        dx: &mut [f32],
        sums: &mut [f32],
    ) {
        let place = norm.place.clone();
        let dweight = place.map(|place| &mut sums[place]);
        let inputs = (x, &norm.weight[..], self.spec.norm_eps);
        let grad = (dnormed, self.spec.hidden);
        rms_norm_backward(self.isa, inputs, grad, dx, dweight);
    }
}
