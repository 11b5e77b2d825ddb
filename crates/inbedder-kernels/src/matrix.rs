//! Weight matrices, packed once at load into the panels that the microkernel streams through.

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

/// A weight matrix `[outputs, inputs]`, transposed and cut into panels for one instruction set.
///
/// Panel p holds the weights of `panel_width` outputs as `[inputs][panel_width]`; the last panel is
/// padded with zeros.
pub struct PackedMatrix {
    pub(crate) isa: Isa,
    pub(crate) outputs: Outputs,
    /// Width of a result row: units of a gated matrix, else rows of the weight matrix.
    pub(crate) width: usize,
    pub(crate) inputs: usize,
    pub(crate) panels: Aligned,
    /// One value per packed column (as the panels order them), if the layer has a bias.
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
        rows: usize,
        inputs: usize,
        fill: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        Self::pack_as(isa, Outputs::Plain, rows, inputs, fill)
    }

    /// Packs the gate and up projections of a gated MLP with `units` hidden units: rows
    /// `0..units` of `fill` are the gates, `units..2 · units` the ups. The product's rows are
    /// `units` wide and hold SiLU(gate) · up.
    ///
    /// # Errors
    /// The first error of `fill`.
    pub fn pack_gated<E: Send>(
        isa: Isa,
        units: usize,
        inputs: usize,
        fill: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        Self::pack_as(isa, Outputs::Gated, units, inputs, fill)
    }

    fn pack_as<E: Send>(
        isa: Isa,
        outputs: Outputs,
        width: usize,
        inputs: usize,
        fill: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        let panel = panel_width(isa);
        let mut matrix = Self {
            isa,
            outputs,
            width,
            inputs,
            panels: Aligned::zeros(0),
            bias: None,
        };
        let count = matrix.panel_count();
        let mut panels = Aligned::zeros(count * inputs * panel);
        if inputs > 0 {
            let pack = |(p, packed): (usize, &mut [f32])| {
                let mut rows = vec![0.0; panel * inputs];
                for (column, row) in rows.chunks_exact_mut(inputs).enumerate() {
                    match matrix.source_row(p, column) {
                        Some(source) => fill(source, row)?,
                        None => row.fill(0.0),
                    }
                }
                for (i, line) in packed.chunks_exact_mut(panel).enumerate() {
                    for (column, weight) in line.iter_mut().enumerate() {
                        *weight = rows[column * inputs + i];
                    }
                }
                Ok(())
            };
            panels
                .par_chunks_exact_mut(inputs * panel)
                .enumerate()
                .try_for_each(pack)?;
        }
        matrix.panels = panels;
        Ok(matrix)
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
        4 * (self.panels.len() + self.bias.as_ref().map_or(0, |bias| bias.len()))
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
