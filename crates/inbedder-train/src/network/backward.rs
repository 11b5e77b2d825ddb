//! The way back, layer by layer from the last; `work.dx` holds the gradient of the residual stream.

use super::linear::{Block, Context, Out};
use super::tape::{
    ATTENTION_OUT, Buffers, Caches, DOWN, GATE, KEY, LayerTape, Layout, QUERY, UP, VALUE, blocks,
    part,
};
use super::{Network, Norm, Workspace};
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
        let (layer, hidden, units) = (self.layer(i), self.spec.hidden, self.spec.intermediate);
        for block in blocks(dx.len() / hidden) {
            let dx = &mut dx[part(&block, hidden)];
            let gated = self.gated(&block, tape, &mut buffers.units);
            let grad = Block {
                data: dx,
                rows: block.len(),
                stride: hidden,
            };
            let out = Out {
                to: &mut buffers.dunits,
                stride: units,
                into: Into::Store,
            };
            let kept = &tape.kept[DOWN][part(&block, layer.linear[DOWN].rank())];
            let context = Context {
                dropout: self.dropout_of(key, i, DOWN),
                first: block.start,
                scratch: &mut buffers.linear,
            };
            layer.linear[DOWN].backward((gated, kept), grad, out, sums, context);
            let range = part(&block, units);
            let (gates, ups) = (&mut tape.gate[range.clone()], &mut tape.up[range.clone()]);
            gate_backward(self.isa, gates, ups, &buffers.dunits[..range.len()]);
            let middle = &tape.middle[part(&block, hidden)];
            let normed = self.norm(&layer.mlp_norm, middle, &mut buffers.normed);
            for (which, grads, into) in [(GATE, gates, Into::Store), (UP, ups, Into::Add)] {
                let grad = Block {
                    data: grads,
                    rows: block.len(),
                    stride: units,
                };
                let out = Out {
                    to: &mut buffers.dnormed,
                    stride: hidden,
                    into,
                };
                let kept = &tape.kept[which][part(&block, layer.linear[which].rank())];
                let context = Context {
                    dropout: self.dropout_of(key, i, which),
                    first: block.start,
                    scratch: &mut buffers.linear,
                };
                layer.linear[which].backward((normed, kept), grad, out, sums, context);
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
        let (layer, hidden) = (self.layer(i), self.spec.hidden);
        for block in blocks(layout.plan.rows()) {
            let input = &tape.input[part(&block, hidden)];
            let normed = self.norm(&layer.attention_norm, input, &mut buffers.normed);
            let grads = [
                (QUERY, &tape.queries, Into::Store),
                (KEY, &buffers.dkeys, Into::Add),
                (VALUE, &buffers.dvalues, Into::Add),
            ];
            for (which, grads, into) in grads {
                let linear = &layer.linear[which];
                let grad = Block {
                    data: &grads[part(&block, linear.outputs)],
                    rows: block.len(),
                    stride: linear.outputs,
                };
                let out = Out {
                    to: &mut buffers.dnormed,
                    stride: hidden,
                    into,
                };
                let kept = &tape.kept[which][part(&block, linear.rank())];
                let context = Context {
                    dropout: self.dropout_of(key, i, which),
                    first: block.start,
                    scratch: &mut buffers.linear,
                };
                linear.backward((normed, kept), grad, out, sums, context);
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
        let (linear, hidden) = (&self.layer(i).linear[ATTENTION_OUT], self.spec.hidden);
        for block in blocks(dx.len() / hidden) {
            let rows = |data, stride| Block {
                data,
                rows: block.len(),
                stride,
            };
            let mixed = rows(&tape.mixed[part(&block, linear.inputs)], linear.inputs);
            let grad = rows(&dx[part(&block, hidden)], hidden);
            let out = Out {
                to: &mut buffers.dmixed[part(&block, linear.inputs)],
                stride: linear.inputs,
                into: Into::Store,
            };
            let kept = &tape.kept[ATTENTION_OUT][part(&block, linear.rank())];
            let context = Context {
                dropout: self.dropout_of(key, i, ATTENTION_OUT),
                first: block.start,
                scratch: &mut buffers.linear,
            };
            linear.backward((mixed, kept), grad, out, sums, context);
        }
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
        let of_norm = |place: &Range<usize>| place.clone();
        let dweight = norm.place.as_ref().map(|place| &mut sums[of_norm(place)]);
        let inputs = (x, &norm.weight[..], self.spec.norm_eps);
        let grad = (dnormed, self.spec.hidden);
        rms_norm_backward(self.isa, inputs, grad, dx, dweight);
    }
}
