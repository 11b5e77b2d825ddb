//! A model ready to run: every weight packed once, tensor by tensor, straight from the mapped
//! file. The token embedding stays in the file, in its stored precision; its rows are read when
//! tokens need them.

use super::rope::RotaryTable;
use super::stored_row;
use super::{ModelSpec, TensorNames};
use crate::adapter::{Delta, LoraAdapter};
use crate::weights::{Tensor, Weights};
use crate::{Error, Result};
use inbedder_kernels::{Isa, KvCache, PackedMatrix, Precision};
use std::sync::{Arc, OnceLock};

/// One layer's weights.
pub(crate) struct Layer {
    /// `[hidden]`.
    pub(crate) attention_norm: Vec<f32>,
    /// hidden → query heads · head size.
    pub(crate) query: PackedMatrix,
    /// hidden → keys of all heads, then values of all heads.
    pub(crate) key_value: PackedMatrix,
    /// query heads · head size → hidden.
    pub(crate) attention_out: PackedMatrix,
    /// `[hidden]`.
    pub(crate) mlp_norm: Vec<f32>,
    /// hidden → SiLU(gate) · up.
    pub(crate) gate_up: PackedMatrix,
    /// units → hidden.
    pub(crate) down: PackedMatrix,
}

/// A model's weights, packed for one instruction set.
pub(crate) struct Model {
    pub(crate) spec: ModelSpec,
    pub(crate) isa: Isa,
    pub(crate) precision: Precision,
    pub(crate) layers: Vec<Layer>,
    /// `[hidden]`.
    pub(crate) final_norm: Vec<f32>,
    /// `[vocabulary, hidden]`, as stored.
    pub(crate) embedding: Tensor,
    pub(crate) rotary: RotaryTable,
    /// `[vocabulary, hidden]`, as stored; the embedding if tied.
    head_rows: Tensor,
    /// Packed when the first answer is wanted.
    head: OnceLock<PackedMatrix>,
}

/// What weights are packed for.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) isa: Isa,
    pub(crate) precision: Precision,
    /// Angles are made for so many positions.
    pub(crate) positions: usize,
    /// Added to the weights.
    pub(crate) adapter: Option<&'a LoraAdapter>,
}

impl Model {
    /// Packs a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing, has another shape than the configuration says, or cannot be read.
    pub(crate) fn load(
        spec: ModelSpec,
        names: &TensorNames,
        weights: &Arc<Weights>,
        target: Target<'_>,
    ) -> Result<Self> {
        let Target {
            isa,
            precision,
            positions,
            adapter,
        } = target;
        let loader = Loader {
            spec: &spec,
            names,
            weights,
            isa,
            precision,
            adapter,
        };
        let rows = |name: &str| -> Result<Tensor> {
            let name = format!("{name}.weight");
            weights.expect_shape(&name, &[spec.vocabulary, spec.hidden])?;
            weights.handle(&name)
        };
        let embedding = rows(names.embedding)?;
        let head_rows = if spec.tied_head {
            embedding.clone()
        } else {
            rows(names.head)?
        };
        let layers = (0..spec.layers)
            .map(|layer| loader.layer(layer))
            .collect::<Result<_>>()?;
        let final_norm = loader.vector(names.final_norm, spec.hidden, "weight")?;
        weights.release();
        Ok(Self {
            final_norm,
            rotary: RotaryTable::new(&spec, positions),
            layers,
            embedding,
            head_rows,
            head: OnceLock::new(),
            isa,
            precision,
            spec,
        })
    }

    /// A cache for plans of up to `rows` rows. With `decode` every layer's keys and values stay, so
    /// that rows can be added to a plan that has been run; else the layers take one place in turn.
    pub(crate) fn kv_cache(&self, rows: usize, decode: bool) -> KvCache {
        let heads = self.spec.heads;
        let layers = if decode { self.spec.layers } else { 1 };
        KvCache::new(self.isa, layers, rows, heads.kv, heads.dim)
    }

    /// The language-model head, hidden → vocabulary; packed on first use.
    pub(crate) fn head(&self) -> Result<&PackedMatrix> {
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let (rows, inputs) = (self.spec.vocabulary, self.spec.hidden);
        let read = |row: usize, out: &mut [f32]| self.head_rows.view().read_rows(row..row + 1, out);
        let packed = PackedMatrix::pack(self.isa, self.precision, rows, inputs, read)?;
        self.head_rows.weights().release();
        Ok(self.head.get_or_init(|| packed))
    }
}

/// Order of a projection's rows in the file.
#[derive(Clone, Copy, PartialEq)]
enum RowOrder {
    Plain,
    /// As [`stored_row`] says.
    Paired,
}

struct Loader<'a> {
    spec: &'a ModelSpec,
    names: &'a TensorNames,
    weights: &'a Weights,
    isa: Isa,
    precision: Precision,
    adapter: Option<&'a LoraAdapter>,
}

/// Some rows of a packed matrix, by the tensor that holds them.
struct Source<'a> {
    tensor: String,
    rows: usize,
    order: RowOrder,
    /// Added to the rows, in the order in which they are packed.
    delta: Option<Delta<'a>>,
}

impl<'a> Loader<'a> {
    fn layer(&self, layer: usize) -> Result<Layer> {
        let ModelSpec {
            hidden,
            intermediate,
            heads,
            attention_bias,
            mlp_bias,
            ..
        } = *self.spec;
        let (query, kv) = (heads.query * heads.dim, heads.kv * heads.dim);
        let paired = if self.names.paired_rotary {
            RowOrder::Paired
        } else {
            RowOrder::Plain
        };
        let plain_names = self.spec.hugging_face_names();
        let numbered = |name: &str| name.replace("{}", &layer.to_string());
        let source = |name: fn(&TensorNames) -> &str, rows: usize, order: RowOrder| Source {
            tensor: numbered(name(self.names)),
            rows,
            order,
            delta: self
                .adapter
                .and_then(|adapter| adapter.delta(&numbered(name(plain_names)))),
        };
        let n = self.names;
        let plain = RowOrder::Plain;
        let norm = |name: &str| self.vector(&numbered(name), hidden, "weight");
        Ok(Layer {
            attention_norm: norm(n.attention_norm)?,
            query: self.pack(
                &[source(|n| n.query, query, paired)],
                hidden,
                attention_bias,
            )?,
            key_value: self.pack(
                &[
                    source(|n| n.key, kv, paired),
                    source(|n| n.value, kv, plain),
                ],
                hidden,
                attention_bias,
            )?,
            attention_out: self.pack(
                &[source(|n| n.attention_out, hidden, plain)],
                query,
                attention_bias,
            )?,
            mlp_norm: norm(n.mlp_norm)?,
            gate_up: self.pack_gated(
                &[
                    source(|n| n.gate, intermediate, plain),
                    source(|n| n.up, intermediate, plain),
                ],
                hidden,
                mlp_bias,
            )?,
            down: self.pack(&[source(|n| n.down, hidden, plain)], intermediate, mlp_bias)?,
        })
    }

    /// Packs tensors one below the other.
    fn pack(&self, sources: &[Source<'a>], inputs: usize, bias: bool) -> Result<PackedMatrix> {
        let rows = sources.iter().map(|source| source.rows).sum();
        let tensors = self.open(sources, inputs)?;
        let fill = |row: usize, out: &mut [f32]| self.read(sources, &tensors, row, out);
        let matrix = PackedMatrix::pack(self.isa, self.precision, rows, inputs, fill)?;
        self.with_bias(matrix, sources, bias)
    }

    fn pack_gated(
        &self,
        sources: &[Source<'a>; 2],
        inputs: usize,
        bias: bool,
    ) -> Result<PackedMatrix> {
        let tensors = self.open(sources, inputs)?;
        let fill = |row: usize, out: &mut [f32]| self.read(sources, &tensors, row, out);
        let matrix =
            PackedMatrix::pack_gated(self.isa, self.precision, sources[0].rows, inputs, fill)?;
        self.with_bias(matrix, sources, bias)
    }

    fn with_bias(
        &self,
        matrix: PackedMatrix,
        sources: &[Source<'a>],
        bias: bool,
    ) -> Result<PackedMatrix> {
        if !bias {
            return Ok(matrix);
        }
        let mut values = Vec::new();
        for source in sources {
            let stored = self.vector(&source.tensor, source.rows, "bias")?;
            values.extend((0..source.rows).map(|row| stored[self.place(source.order, row)]));
        }
        Ok(matrix.with_bias(&values))
    }

    fn open(
        &self,
        sources: &[Source<'a>],
        inputs: usize,
    ) -> Result<Vec<crate::weights::TensorView<'_>>> {
        let open = |source: &Source<'a>| {
            let name = format!("{}.weight", source.tensor);
            self.weights.expect_shape(&name, &[source.rows, inputs])?;
            self.weights.tensor(&name)
        };
        sources.iter().map(open).collect()
    }

    /// Reads packed row `row`: the sources' rows counted through.
    fn read(
        &self,
        sources: &[Source<'a>],
        tensors: &[crate::weights::TensorView<'_>],
        mut row: usize,
        out: &mut [f32],
    ) -> Result<()> {
        for (source, tensor) in sources.iter().zip(tensors) {
            if row < source.rows {
                let stored = self.place(source.order, row);
                tensor.read_rows(stored..stored + 1, out)?;
                if let Some(delta) = source.delta {
                    delta.add_row(row, out);
                }
                return Ok(());
            }
            row -= source.rows;
        }
        Ok(())
    }

    /// Where the file holds a row.
    fn place(&self, order: RowOrder, row: usize) -> usize {
        if order == RowOrder::Plain {
            return row;
        }
        stored_row(self.spec.heads.dim, row)
    }

    fn vector(&self, name: &str, len: usize, part: &str) -> Result<Vec<f32>> {
        let name = format!("{name}.{part}");
        self.weights.expect_shape(&name, &[len])?;
        let mut values = vec![0.0; len];
        self.weights.tensor(&name)?.read_rows(0..1, &mut values)?;
        Ok(values)
    }
}

impl Error {
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}
