//! A model's files, opened and understood; and packed, with an adapter, into a model that runs.

use crate::adapter::{AdapterDefaults, AdapterSource, LoraAdapter};
use crate::model::{self, Config, Model, ModelSpec, StoredTensor, Target, TensorNames, stored_row};
use crate::request::{MAX_ANSWER_TOKENS, MAX_TOKENS};
use crate::source::ModelFiles;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;
use crate::{Error, Result};
use inbedder_kernels::{Isa, Precision};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Reads and packs a checkpoint; the last value is what its adapter says of its use.
pub(crate) fn load(
    files: &ModelFiles,
    isa: Isa,
    precision: Precision,
    adapter: Option<&AdapterSource>,
) -> Result<(Model, Tokenizer, AdapterDefaults)> {
    let checkpoint = Checkpoint::open(files)?;
    let adapter = adapter
        .map(|source| checkpoint.adapter(source, files))
        .transpose()?;
    let target = Target {
        isa,
        precision,
        positions: MAX_TOKENS + MAX_ANSWER_TOKENS,
        adapter: adapter.as_ref(),
    };
    let Checkpoint {
        spec,
        names,
        weights,
        tokenizer,
        ..
    } = checkpoint;
    let model = Model::load(spec, &names, &Arc::new(weights), target)?;
    let defaults = adapter.map(|adapter| adapter.defaults);
    Ok((model, tokenizer, defaults.unwrap_or_default()))
}

/// A model's files, opened and understood. Its numbers are had tensor by tensor, under Hugging Face's
/// names and in its order whatever the file's are.
pub struct Checkpoint {
    pub(crate) spec: ModelSpec,
    /// Of the file's tensors.
    pub(crate) names: TensorNames,
    pub(crate) weights: Weights,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) tensors: Vec<StoredTensor>,
}

/// A tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTensor<'a> {
    /// Hugging Face's name, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// `[outputs, inputs]` of a linear layer, `[vocabulary, hidden]`, or the length of a vector.
    pub shape: &'a [usize],
}

impl Checkpoint {
    /// Opens an adapter for this model.
    ///
    /// # Errors
    /// As [`LoraAdapter::open`], and an adapter that names other weights than these as its base.
    pub(crate) fn adapter(
        &self,
        source: &AdapterSource,
        files: &ModelFiles,
    ) -> Result<LoraAdapter> {
        expect_base(source, files)?;
        LoraAdapter::open(source, &self.spec)
    }

    /// Opens a model's files.
    ///
    /// # Errors
    /// Files that cannot be read, or a model that is not understood.
    pub fn open(files: &ModelFiles) -> Result<Self> {
        let (spec, names, weights, tokenizer) = match files {
            ModelFiles::Folder {
                config,
                tokenizer,
                weights,
            } => {
                let config = Config::open(config)?;
                let (spec, names) = config.family()?.spec_from_config(&config)?;
                let weights = Weights::open_safetensors(weights)?;
                (spec, names, weights, Tokenizer::from_file(tokenizer)?)
            }
            ModelFiles::Gguf(path) => {
                let (weights, metadata) = Weights::open_gguf(path)?;
                let family = model::family(metadata.str("general.architecture")?, path)?;
                let (spec, names) = family.spec_from_gguf(&metadata, &weights)?;
                (spec, names, weights, Tokenizer::from_gguf(&metadata)?)
            }
        };
        Ok(Self {
            tensors: spec.tensors(),
            spec,
            names,
            weights,
            tokenizer,
        })
    }

    /// The shape of the model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// All tensors, in the order in which they are used. A head that is the token embedding is not
    /// among them.
    pub fn tensors(&self) -> impl Iterator<Item = NamedTensor<'_>> {
        let names = self.spec.hugging_face_names();
        self.tensors.iter().map(|tensor| NamedTensor {
            name: tensor.name(names),
            shape: &tensor.shape,
        })
    }

    /// A tensor's numbers by Hugging Face's name, row-major.
    ///
    /// # Errors
    /// [`Error::TensorMissing`] also for a name that the model has not; a tensor of another shape
    /// than the configuration says, or of a type that is not read.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let names = self.spec.hugging_face_names();
        let mut tensors = self.tensors.iter();
        match tensors.find(|tensor| tensor.name(names) == name) {
            Some(tensor) => self.read_stored(tensor),
            None => Err(Error::TensorMissing {
                path: self.weights.paths().next().unwrap_or(Path::new("")).into(),
                tensor: name.to_string(),
            }),
        }
    }

    /// A tensor's numbers in Hugging Face's order, row-major.
    pub(crate) fn read_stored(&self, tensor: &StoredTensor) -> Result<Vec<f32>> {
        let stored = self.weights.tensor(&tensor.name(&self.names))?;
        stored.expect_shape(&tensor.shape)?;
        let mut values = vec![0.0; tensor.shape.iter().product()];
        stored.read_rows(0..stored.rows(), &mut values)?;
        if !(tensor.rotary && self.names.paired_rotary) {
            return Ok(values);
        }
        // A vector is one row in the file, but its numbers are what rows are in a matrix.
        let rows = tensor.shape[0];
        let width = values.len() / rows;
        let row = |row: usize| &values[stored_row(tensor.head_rows, row) * width..][..width];
        Ok((0..rows).flat_map(row).copied().collect())
    }

    /// Some rows of the token embedding, `[row][hidden]`.
    ///
    /// # Errors
    /// Rows that there are not, or an embedding that cannot be read.
    pub fn embedding_rows(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let name = self.tensors[0].name(&self.names);
        self.weights.read_rows(&name, rows, out)
    }

    /// Some rows of the language-model head, `[row][hidden]`; those of the token embedding where the model
    /// has no head of its own.
    ///
    /// # Errors
    /// Rows that there are not, or a head that cannot be read.
    pub fn head_rows(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        if self.spec.tied_head {
            return self.embedding_rows(rows, out);
        }
        // The head is the last tensor of all; see `ModelSpec::tensors`.
        let name = self.tensors[self.tensors.len() - 1].name(&self.names);
        self.weights.read_rows(&name, rows, out)
    }

    /// Gives the files' pages back to the system until they are read again.
    pub fn release(&self) {
        self.weights.release();
    }
}

impl ModelFiles {
    /// The model's shape, as its files say.
    ///
    /// # Errors
    /// Files that cannot be read, or a model that is not understood.
    pub fn spec(&self) -> Result<ModelSpec> {
        Checkpoint::open(self).map(|checkpoint| checkpoint.spec)
    }
}

/// Refuses an adapter that names other weights than these as its base.
fn expect_base(source: &AdapterSource, files: &ModelFiles) -> Result<()> {
    let base = source.defaults()?.base;
    if base.sha256.is_empty() {
        return Ok(());
    }
    let found = files.sha256()?;
    if base
        .sha256
        .iter()
        .any(|hash| hash.eq_ignore_ascii_case(&found))
    {
        return Ok(());
    }
    Err(Error::AdapterBase {
        path: source.path(),
        base: base.name.unwrap_or_else(|| "another model".to_string()),
        expected: base.sha256,
        found,
    })
}
