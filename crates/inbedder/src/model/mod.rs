//! Models: the list of families, and loading one into packed weights.
//!
//! A family is one file that maps a configuration and tensor names to a [`ModelSpec`], and one line
//! in `FAMILIES`; the forward pass (`forward.rs`) is the same for all.

mod forward;
mod llama;
mod modules;
mod packed;
mod rope;
mod spec;

pub(crate) use forward::{Forward, Tap};
pub use modules::LinearModule;
pub(crate) use modules::{StoredTensor, stored_row};
pub(crate) use packed::{Model, Target};
pub use rope::RotaryTable;
pub use spec::{ModelSpec, Rotary, RotaryScaling};

use crate::weights::{Metadata, Weights};
use crate::{Error, Result};
use std::path::Path;

/// What a family tells the loader.
pub(crate) struct Family {
    /// `model_type` of `config.json`, `general.architecture` of GGUF.
    name: &'static str,
    from_config: fn(&Config) -> Result<ModelSpec>,
    from_gguf: fn(&Metadata, &Weights) -> Result<ModelSpec>,
    config_names: TensorNames,
    gguf_names: TensorNames,
}

/// Every family that can be loaded.
const FAMILIES: &[Family] = &[llama::FAMILY];

/// Names of a checkpoint's tensors; `{}` stands for the layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TensorNames {
    embedding: &'static str,
    final_norm: &'static str,
    head: &'static str,
    attention_norm: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    attention_out: &'static str,
    mlp_norm: &'static str,
    gate: &'static str,
    up: &'static str,
    down: &'static str,
    /// Query and key rows of a head are stored pair by pair (i, i + half), as GGUF has them.
    pub(crate) paired_rotary: bool,
}

/// A parsed `config.json`, or another JSON file of settings.
pub(crate) struct Config {
    path: std::path::PathBuf,
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Config {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        Self::parse(path, &bytes)
    }

    /// The content of a file; `path` is for messages.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let fields = serde_json::from_slice(bytes).map_err(|source| Error::Json {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            fields,
        })
    }

    /// Every field, in the file's order.
    pub(crate) fn fields(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.fields
    }

    /// A field, `None` when it is absent or null.
    pub(crate) fn optional<T: serde::de::DeserializeOwned>(
        &self,
        field: &str,
    ) -> Result<Option<T>> {
        match self.fields.get(field) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|cause| self.wrong(field, cause.to_string())),
        }
    }

    pub(crate) fn required<T: serde::de::DeserializeOwned>(&self, field: &str) -> Result<T> {
        self.optional(field)?
            .ok_or_else(|| self.wrong(field, "missing".to_string()))
    }

    pub(crate) fn wrong(&self, field: &str, problem: String) -> Error {
        Error::Config {
            path: self.path.clone(),
            field: field.to_string(),
            problem,
        }
    }

    /// The family that `model_type` names.
    pub(crate) fn family(&self) -> Result<&'static Family> {
        let name: String = self.required("model_type")?;
        family(&name, &self.path)
    }
}

pub(crate) fn family(name: &str, path: &Path) -> Result<&'static Family> {
    FAMILIES
        .iter()
        .find(|family| family.name == name)
        .ok_or_else(|| Error::UnknownFamily {
            path: path.to_path_buf(),
            family: name.to_string(),
            known: FAMILIES
                .iter()
                .map(|family| family.name)
                .collect::<Vec<_>>()
                .join(", "),
        })
}

impl Family {
    pub(crate) fn spec_from_config(&self, config: &Config) -> Result<(ModelSpec, TensorNames)> {
        let spec = (self.from_config)(config)?;
        spec.check(&config.path)?;
        Ok((spec, self.config_names))
    }

    pub(crate) fn spec_from_gguf(
        &self,
        metadata: &Metadata,
        weights: &Weights,
    ) -> Result<(ModelSpec, TensorNames)> {
        let spec = (self.from_gguf)(metadata, weights)?;
        spec.check(metadata.path())?;
        Ok((spec, self.gguf_names))
    }
}

impl ModelSpec {
    /// Refuses sizes that no model has, before anything is allocated by them.
    fn check(&self, path: &Path) -> Result<()> {
        let heads = self.heads;
        let sizes = [
            ("layers", self.layers, 1 << 12),
            ("hidden size", self.hidden, 1 << 17),
            ("attention heads", heads.query, 1 << 12),
            ("key-value heads", heads.kv, 1 << 12),
            ("head size", heads.dim, 1 << 12),
            ("MLP units", self.intermediate, 1 << 20),
            ("vocabulary", self.vocabulary, 1 << 24),
        ];
        let wrong = |field: &str, problem: String| Error::Config {
            path: path.to_path_buf(),
            field: field.to_string(),
            problem,
        };
        for (field, value, most) in sizes {
            if value == 0 || value > most {
                return Err(wrong(field, format!("is {value}, expected 1 to {most}")));
            }
        }
        if !heads.query.is_multiple_of(heads.kv) {
            let problem = format!(
                "{} is no divisor of {} attention heads",
                heads.kv, heads.query
            );
            return Err(wrong("key-value heads", problem));
        }
        if !heads.dim.is_multiple_of(2) {
            return Err(wrong(
                "head size",
                format!("{} is odd, rotary pairs need even", heads.dim),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
