//! Weight matrices, packed once at load into the panels that the microkernel streams through.

use crate::activations::{Activations, Rows, Staging, stage};
use crate::format::{Format, Precision, to_bf16};
use crate::isa::Isa;
use crate::memory::Aligned;
use crate::tile::panel_width;
use rayon::prelude::*;

/// How the outputs of a matrix are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// As they are.
    Plain,
    /// Gate and up projection side by side: a panel's first vector holds gates, its second the ups
    /// of the same units, so that SiLU(gate) · up needs no second pass.
    Gated,
}

/// A weight matrix `[outputs, inputs]`, transposed and cut into panels for one instruction set and
/// precision.
///
/// Panel p holds the weights of `panel_width` outputs as `[inputs / group][panel_width][group]`; the
/// last panel and group are padded with zeros.
pub struct PackedMatrix {
    pub(crate) isa: Isa,
    pub(crate) format: Format,
    pub(crate) outputs: Outputs,
    /// Width of a result row: units of a gated matrix, else rows of the weight matrix.
    pub(crate) width: usize,
    pub(crate) inputs: usize,
    pub(crate) panels: Aligned,
    /// One value per packed column (as the panels order them), for integers: what a unit of a
    /// quantised weight stands for.
    pub(crate) scales: Aligned,
    /// One value per packed column, if the layer has a bias.
    pub(crate) bias: Option<Aligned>,
}

impl PackedMatrix {
    /// Packs a matrix of `rows` outputs × `inputs`.
    ///
    /// `fill(row, out)` writes one row of the weight matrix (`inputs` floats); it is called once per
    /// row, from several threads, so that no more than a few rows exist beside the packed form.
    ///
    /// # Errors
    /// The first error of `fill`.
    pub fn pack<E: Send>(
        isa: Isa,
        precision: Precision,
        rows: usize,
        inputs: usize,
        fill: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        Self::pack_as(
            Self::empty(isa, precision, Outputs::Plain, rows, inputs),
            fill,
        )
    }

    /// Packs the gate and up projections of a gated MLP with `units` hidden units: rows
    /// `0..units` of `fill` are the gates, `units..2 · units` the ups. The product's rows are
    /// `units` wide and hold SiLU(gate) · up.
    ///
    /// # Errors
    /// The first error of `fill`.
    pub fn pack_gated<E: Send>(
        isa: Isa,
        precision: Precision,
        units: usize,
        inputs: usize,
        fill: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        Self::pack_as(
            Self::empty(isa, precision, Outputs::Gated, units, inputs),
            fill,
        )
    }

    fn empty(
        isa: Isa,
        precision: Precision,
        outputs: Outputs,
        width: usize,
        inputs: usize,
    ) -> Self {
        Self {
            isa,
            format: Format::of(precision, isa),
            outputs,
            width,
            inputs,
            panels: Aligned::zeros(0),
            scales: Aligned::zeros(0),
            bias: None,
        }
    }

    fn pack_as<E: Send>(
        mut matrix: Self,
        fill: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        let (inputs, panel, count) = (matrix.inputs, panel_width(matrix.isa), matrix.panel_count());
        let mut panels = Aligned::zeros(count * matrix.panel_bytes() / 4);
        let mut scales = Aligned::zeros(count * panel);
        if inputs > 0 {
            let pack = |(p, (packed, scales)): (usize, (&mut [u8], &mut [f32]))| {
                let mut rows = vec![0.0; panel * inputs];
                for (column, row) in rows.chunks_exact_mut(inputs).enumerate() {
                    if let Some(source) = matrix.source_row(p, column) {
                        fill(source, row)?;
                    }
                }
                matrix.pack_panel(&rows, packed, scales);
                Ok(())
            };
            let panels = panels
                .bytes_mut()
                .par_chunks_exact_mut(matrix.panel_bytes());
            let scales = scales.par_chunks_exact_mut(panel);
            panels.zip(scales).enumerate().try_for_each(pack)?;
        }
        matrix.panels = panels;
        matrix.scales = scales;
        Ok(matrix)
    }

    /// Packs `panel_width` rows of weights.
    fn pack_panel(&self, rows: &[f32], packed: &mut [u8], scales: &mut [f32]) {
        let panel = Panel {
            rows,
            inputs: self.inputs,
            group: self.format.group(),
            columns: scales.len(),
        };
        match self.format {
            Format::F32 => panel.store(packed, |_, w| w.to_ne_bytes()),
            Format::WideBf16 => panel.store(packed, |_, w| to_bf16(w).to_ne_bytes()),
            #[cfg(target_arch = "x86_64")]
            Format::NativeBf16 => panel.store(packed, |_, w| to_bf16(w).to_ne_bytes()),
            Format::BytePairs => {
                let by = panel.quantization(scales);
                panel.store(packed, |column, w| [quantize(w * by[column]) as u8]);
            }
            #[cfg(target_arch = "x86_64")]
            Format::NativeBytes => {
                let by = panel.quantization(scales);
                // 128 too high, as the chip multiplies unsigned by signed bytes.
                panel.store(packed, |column, w| [quantize(w * by[column]) as u8 ^ 0x80]);
            }
        }
    }

    /// Bytes of one panel.
    pub(crate) fn panel_bytes(&self) -> usize {
        let inputs = self.inputs.next_multiple_of(self.format.group());
        inputs * panel_width(self.isa) * self.format.weight_bytes()
    }

    /// Steps of the microkernel through a panel.
    pub(crate) fn steps(&self) -> usize {
        self.inputs.div_ceil(self.format.group())
    }

    /// Brings activations into the form that this matrix, and every other of the same inputs,
    /// precision and instruction set, multiplies.
    ///
    /// # Panics
    /// If `x` is shorter than its rows of [`Self::inputs`] floats.
    pub fn stage<'a>(&self, x: Rows<'a>, staging: &'a mut Staging) -> Activations<'a> {
        stage(self.isa, self.format, self.inputs, x, staging)
    }

    /// Adds a bias: one value per row of the weight matrix (gates first, then ups, if gated).
    ///
    /// # Panics
    /// If `bias` has another length.
    #[must_use]
    pub fn with_bias(mut self, bias: &[f32]) -> Self {
        let rows = match self.outputs {
            Outputs::Plain => self.width,
            Outputs::Gated => 2 * self.width,
        };
        assert_eq!(bias.len(), rows, "one bias value per row");
        let panel = panel_width(self.isa);
        let mut packed = Aligned::zeros(self.panel_count() * panel);
        for (i, value) in packed.iter_mut().enumerate() {
            if let Some(row) = self.source_row(i / panel, i % panel) {
                *value = bias[row];
            }
        }
        self.bias = Some(packed);
        self
    }

    /// The instruction set that it is packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Width of a result row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Width of an input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let bias = self.bias.as_ref().map_or(0, |bias| bias.len());
        4 * (self.panels.len() + self.scales.len() + bias)
    }

    /// Result columns per panel.
    pub(crate) fn panel_outputs(&self) -> usize {
        match self.outputs {
            Outputs::Plain => panel_width(self.isa),
            Outputs::Gated => panel_width(self.isa) / 2,
        }
    }

    pub(crate) fn panel_count(&self) -> usize {
        self.width.div_ceil(self.panel_outputs())
    }

    /// The row of the weight matrix that stands in a panel's column; `None` for padding.
    fn source_row(&self, panel: usize, column: usize) -> Option<usize> {
        let outputs = self.panel_outputs();
        let unit = panel * outputs + column % outputs;
        let row = match self.outputs {
            Outputs::Gated if column >= outputs => self.width + unit,
            _ => unit,
        };
        (unit < self.width).then_some(row)
    }
}

/// Rows of weights that become the columns of one panel.
struct Panel<'a> {
    /// `[column][input]`.
    rows: &'a [f32],
    inputs: usize,
    group: usize,
    columns: usize,
}

impl Panel<'_> {
    /// Writes the panel as `[step][column][member of group]`, each weight converted to N bytes.
    fn store<const N: usize>(&self, packed: &mut [u8], convert: impl Fn(usize, f32) -> [u8; N]) {
        let Self {
            rows,
            inputs,
            group,
            columns,
        } = *self;
        for (step, line) in packed.chunks_exact_mut(columns * group * N).enumerate() {
            for (column, cell) in line.chunks_exact_mut(group * N).enumerate() {
                for (member, bytes) in cell.as_chunks_mut::<N>().0.iter_mut().enumerate() {
                    let input = step * group + member;
                    let weight = if input < inputs {
                        rows[column * inputs + input]
                    } else {
                        0.0
                    };
                    *bytes = convert(column, weight);
                }
            }
        }
    }

    /// Sets each column's scale, and returns what to multiply its weights by.
    fn quantization(&self, scales: &mut [f32]) -> Vec<f32> {
        let rows = self.rows.chunks_exact(self.inputs).zip(scales);
        rows.map(|(row, scale)| {
            let largest = row.iter().fold(0.0f32, |most, w| most.max(w.abs()));
            *scale = largest / 127.0;
            if largest > 0.0 { 127.0 / largest } else { 0.0 }
        })
        .collect()
    }
}

fn quantize(weight: f32) -> i8 {
    weight.round_ties_even() as i8
}
