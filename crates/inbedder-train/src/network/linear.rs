//! One linear layer, y = x·Wᵀ + b (+ s · x̃·Aᵀ·Bᵀ), forward and backward over a block of rows.

use super::dropout::Dropout;
use inbedder_kernels::{
    Activations, Into, Isa, Matrix, PackedMatrix, Precision, Rows, Staging, Threads, gemm, outer,
};
use std::convert::Infallible;
use std::ops::Range;

/// A linear layer, its weights packed for both directions.
pub(super) struct Linear {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// inputs → outputs, with the bias.
    forward: PackedMatrix,
    /// outputs → inputs.
    backward: PackedMatrix,
    /// Places of weight and bias among the trained numbers.
    weight: Option<Range<usize>>,
    bias: Option<Range<usize>>,
    lora: Option<Lora>,
}

/// The trained difference of a layer.
struct Lora {
    places: LoraPlaces,
    packed: PackedLora,
}

/// A and s · B, both ways.
struct PackedLora {
    a: PackedMatrix,
    a_back: PackedMatrix,
    b: PackedMatrix,
    b_back: PackedMatrix,
}

/// A layer's weights as they are read: `[outputs, inputs]` and, if the layer has one, the bias.
pub(super) struct Weights {
    pub(super) matrix: Vec<f32>,
    pub(super) bias: Option<Vec<f32>>,
}

/// Where the numbers of a layer that are trained lie.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    pub(super) weight: Option<Range<usize>>,
    pub(super) bias: Option<Range<usize>>,
    pub(super) lora: Option<LoraPlaces>,
}

/// A trained difference: its sizes, and where A, `[rank, inputs]`, and B transposed, `[rank, outputs]`,
/// lie.
#[derive(Debug, Clone)]
pub(super) struct LoraPlaces {
    pub(super) rank: usize,
    pub(super) scale: f32,
    pub(super) a: Range<usize>,
    pub(super) b: Range<usize>,
}

/// Some rows of activations or gradients, `stride` floats apart.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) stride: usize,
}

impl<'a> Block<'a> {
    /// Rows of `width` floats, one behind the other.
    pub(super) fn new(data: &'a [f32], width: usize) -> Self {
        Self {
            data,
            rows: data.len() / width,
            stride: width,
        }
    }

    fn rows(self) -> Rows<'a> {
        Rows::new(self.data, self.rows, self.stride)
    }

    fn matrix(self, width: usize) -> Matrix<'a> {
        Matrix {
            data: self.data,
            width,
            stride: self.stride,
        }
    }
}

/// Rows that a result goes to.
pub(super) struct Out<'a> {
    pub(super) to: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) into: Into,
}

/// Buffers, kept from layer to layer.
#[derive(Default)]
pub(super) struct Scratch {
    staging: Staging,
    lora_staging: Staging,
    /// Inputs after dropout.
    dropped: Vec<f32>,
    /// `[row][rank]`.
    small: Vec<f32>,
    /// Gradients of dropped inputs.
    wide: Vec<f32>,
}

/// What the parts of a layer have in common in one block.
pub(super) struct Context<'a> {
    pub(super) dropout: Option<Dropout>,
    /// Number of the block's first row in the batch.
    pub(super) first: usize,
    pub(super) scratch: &'a mut Scratch,
}

impl Linear {
    /// `precision` is that of weights that are not trained.
    pub(super) fn new(
        isa: Isa,
        precision: Precision,
        (outputs, inputs): (usize, usize),
        weights: &Weights,
        places: Places,
        values: &[f32],
    ) -> Self {
        // What is trained stays in f32: bf16 would round small steps away.
        let precision = match places.weight {
            Some(_) => Precision::F32,
            None => precision,
        };
        let (forward, backward) = pack_both(isa, precision, (outputs, inputs), &weights.matrix);
        let forward = match &weights.bias {
            Some(bias) => forward.with_bias(bias),
            None => forward,
        };
        let lora = places.lora.map(|places| Lora {
            packed: PackedLora::new(isa, (outputs, inputs), &places, values),
            places,
        });
        Self {
            inputs,
            outputs,
            forward,
            backward,
            weight: places.weight,
            bias: places.bias,
            lora,
        }
    }

    /// Takes over what the optimiser has made of the trained numbers.
    pub(super) fn refresh(&mut self, isa: Isa, values: &[f32]) {
        let shape = (self.outputs, self.inputs);
        if let Some(weight) = &self.weight {
            let matrix = &values[weight.clone()];
            let (forward, backward) = pack_both(isa, Precision::F32, shape, matrix);
            self.backward = backward;
            self.forward = match &self.bias {
                Some(bias) => forward.with_bias(&values[bias.clone()]),
                None => forward,
            };
        }
        if let Some(lora) = &mut self.lora {
            lora.packed = PackedLora::new(isa, shape, &lora.places, values);
        }
    }

    /// Rank of the trained difference; 0 without one.
    pub(super) fn rank(&self) -> usize {
        self.lora.as_ref().map_or(0, |lora| lora.places.rank)
    }

    /// Brings rows into the form that this layer, and every other of the same inputs, multiplies.
    pub(super) fn stage<'a>(&self, x: Block<'a>, staging: &'a mut Staging) -> Activations<'a> {
        self.forward.stage(x.rows(), staging)
    }

    /// `staged` is `x`; `kept`, `[row][rank]`, gets x̃·Aᵀ for the way back.
    pub(super) fn forward(
        &self,
        x: Block<'_>,
        staged: Activations<'_>,
        kept: &mut [f32],
        out: Out<'_>,
        context: Context<'_>,
    ) {
        gemm(
            staged,
            &self.forward,
            out.into,
            out.to,
            out.stride,
            Threads::One,
        );
        let Some(lora) = &self.lora else { return };
        let Context {
            dropout,
            first,
            scratch,
        } = context;
        let x = drop_inputs(dropout, first, x, self.inputs, &mut scratch.dropped);
        let (a, b) = (&lora.packed.a, &lora.packed.b);
        let staged = a.stage(x.rows(), &mut scratch.lora_staging);
        gemm(staged, a, Into::Store, kept, lora.places.rank, Threads::One);
        let small = Rows::new(kept, x.rows, lora.places.rank);
        let staged = b.stage(small, &mut scratch.lora_staging);
        gemm(staged, b, Into::Add, out.to, out.stride, Threads::One);
    }

    /// Adds the gradients of the layer's trained numbers to `sums`, and gives those of its inputs to
    /// `out`. `x` and `kept` are as in [`Self::forward`], `grad` is the outputs' gradient.
    pub(super) fn backward(
        &self,
        (x, kept): (Block<'_>, &[f32]),
        grad: Block<'_>,
        out: Out<'_>,
        sums: &mut [f32],
        context: Context<'_>,
    ) {
        let Context {
            dropout,
            first,
            scratch,
        } = context;
        let staged = self.backward.stage(grad.rows(), &mut scratch.staging);
        gemm(
            staged,
            &self.backward,
            out.into,
            out.to,
            out.stride,
            Threads::One,
        );
        self.backward_weights(x, grad, sums);
        let Some(lora) = &self.lora else { return };
        let (rows, rank, isa) = (grad.rows, lora.places.rank, self.forward.isa());
        // s · dY · B, then dA and what comes back through A.
        scratch.small.resize(rows * rank, 0.0);
        let (a, b) = (&lora.packed.a_back, &lora.packed.b_back);
        let staged = b.stage(grad.rows(), &mut scratch.lora_staging);
        gemm(
            staged,
            b,
            Into::Store,
            &mut scratch.small,
            rank,
            Threads::One,
        );
        let small = Matrix::whole(&scratch.small, rank);
        let x = drop_inputs(dropout, first, x, self.inputs, &mut scratch.dropped);
        let to = &mut sums[lora.places.a.clone()];
        outer(isa, rows, small, x.matrix(self.inputs), to, Threads::One);
        let staged = a.stage(
            Rows::new(&scratch.small, rows, rank),
            &mut scratch.lora_staging,
        );
        match dropout {
            None => gemm(staged, a, Into::Add, out.to, out.stride, Threads::One),
            Some(dropout) => {
                scratch.wide.resize(rows * self.inputs, 0.0);
                gemm(
                    staged,
                    a,
                    Into::Store,
                    &mut scratch.wide,
                    self.inputs,
                    Threads::One,
                );
                let back = scratch.wide.chunks_exact_mut(self.inputs);
                for (row, (back, to)) in back.zip(out.to.chunks_mut(out.stride)).enumerate() {
                    dropout.apply(first + row, back);
                    to.iter_mut().zip(back).for_each(|(to, back)| *to += *back);
                }
            }
        }
        scratch.small.clear();
        let kept = kept[..rows * rank].iter();
        scratch
            .small
            .extend(kept.map(|value| lora.places.scale * value));
        let small = Matrix::whole(&scratch.small, rank);
        let to = &mut sums[lora.places.b.clone()];
        outer(
            isa,
            rows,
            small,
            grad.matrix(self.outputs),
            to,
            Threads::One,
        );
    }

    fn backward_weights(&self, x: Block<'_>, grad: Block<'_>, sums: &mut [f32]) {
        if let Some(weight) = &self.weight {
            let (p, q) = (grad.matrix(self.outputs), x.matrix(self.inputs));
            let to = &mut sums[weight.clone()];
            outer(self.forward.isa(), grad.rows, p, q, to, Threads::One);
        }
        if let Some(bias) = &self.bias {
            let sums = &mut sums[bias.clone()];
            for row in grad.data.chunks(grad.stride).take(grad.rows) {
                sums.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
        }
    }
}

impl PackedLora {
    fn new(
        isa: Isa,
        (outputs, inputs): (usize, usize),
        places: &LoraPlaces,
        values: &[f32],
    ) -> Self {
        let rank = places.rank;
        let b: Vec<f32> = values[places.b.clone()]
            .iter()
            .map(|value| places.scale * value)
            .collect();
        let f32 = Precision::F32;
        let (a, a_back) = pack_both(isa, f32, (rank, inputs), &values[places.a.clone()]);
        // B lies transposed, so what is forward for A is backward for it.
        let (b_back, b) = pack_both(isa, f32, (rank, outputs), &b);
        Self {
            a,
            a_back,
            b,
            b_back,
        }
    }
}

/// Packs `[outputs, inputs]` for x·Wᵀ and for y·W.
fn pack_both(
    isa: Isa,
    precision: Precision,
    (outputs, inputs): (usize, usize),
    matrix: &[f32],
) -> (PackedMatrix, PackedMatrix) {
    let row = |row: usize, out: &mut [f32]| {
        out.copy_from_slice(&matrix[row * inputs..][..inputs]);
        Ok(())
    };
    let column = |column: usize, out: &mut [f32]| {
        let values = matrix[column..].iter().step_by(inputs);
        out.iter_mut().zip(values).for_each(|(out, v)| *out = *v);
        Ok(())
    };
    let done = |packed: Result<PackedMatrix, Infallible>| match packed {
        Ok(packed) => packed,
        Err(never) => match never {},
    };
    (
        done(PackedMatrix::pack(isa, precision, outputs, inputs, row)),
        done(PackedMatrix::pack(isa, precision, inputs, outputs, column)),
    )
}

/// The inputs after dropout, in `dropped`; as they are without it.
fn drop_inputs<'a>(
    dropout: Option<Dropout>,
    first: usize,
    x: Block<'a>,
    width: usize,
    dropped: &'a mut Vec<f32>,
) -> Block<'a> {
    let Some(dropout) = dropout else { return x };
    dropped.clear();
    for (row, values) in x.data.chunks(x.stride).take(x.rows).enumerate() {
        let start = dropped.len();
        dropped.extend_from_slice(&values[..width]);
        dropout.apply(first + row, &mut dropped[start..]);
    }
    Block::new(dropped, width)
}
