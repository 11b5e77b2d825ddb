//! A model's files, opened and understood; and packed, with an adapter, into a model that runs.

use crate::adapter::{AdapterDefaults, AdapterSource, LoraAdapter};
use crate::embedder::{MAX_ANSWER_TOKENS, MAX_TOKENS};
use crate::model::{self, Config, Model, ModelSpec, Target, TensorNames};
use crate::source::ModelFiles;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;
use crate::{Error, Result};
use inbedder_kernels::{Isa, Precision};
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
    } = checkpoint;
    let model = Model::load(spec, &names, &Arc::new(weights), target)?;
    let defaults = adapter.map(|adapter| adapter.defaults);
    Ok((model, tokenizer, defaults.unwrap_or_default()))
}

/// A model's files, opened and understood.
pub(crate) struct Checkpoint {
    pub(crate) spec: ModelSpec,
    /// Of the file's tensors.
    pub(crate) names: TensorNames,
    pub(crate) weights: Weights,
    pub(crate) tokenizer: Tokenizer,
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

    /// # Errors
    /// Files that cannot be read, or a model that is not understood.
    pub(crate) fn open(files: &ModelFiles) -> Result<Self> {
        match files {
            ModelFiles::Folder {
                config,
                tokenizer,
                weights,
            } => {
                let config = Config::open(config)?;
                let (spec, names) = config.family()?.spec_from_config(&config)?;
                Ok(Self {
                    spec,
                    names,
                    weights: Weights::open_safetensors(weights)?,
                    tokenizer: Tokenizer::from_file(tokenizer)?,
                })
            }
            ModelFiles::Gguf(path) => {
                let (weights, metadata) = Weights::open_gguf(path)?;
                let family = model::family(metadata.str("general.architecture")?, path)?;
                let (spec, names) = family.spec_from_gguf(&metadata, &weights)?;
                Ok(Self {
                    spec,
                    names,
                    weights,
                    tokenizer: Tokenizer::from_gguf(&metadata)?,
                })
            }
        }
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
