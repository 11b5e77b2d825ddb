//! An adapter's files into memory, checked against the model that it is for.

use super::config::LoraConfig;
use super::{AdapterDefaults, AdapterSource, LoraAdapter, LoraModule};
use crate::model::{LinearModule, ModelSpec};
use crate::weights::Weights;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// In front of every name in a PEFT file.
pub(super) const PREFIX: &str = "base_model.model.";
pub(super) const A: &str = ".lora_A.weight";
pub(super) const B: &str = ".lora_B.weight";

impl LoraAdapter {
    /// Reads an adapter for a model.
    ///
    /// # Errors
    /// Files that cannot be read; [`Error::Config`] for settings that are not supported;
    /// [`Error::AdapterMismatch`] naming every layer in which adapter and model differ.
    pub fn open(source: &AdapterSource, spec: &ModelSpec) -> Result<Self> {
        let (path, bytes) = source.config()?;
        let config = LoraConfig::parse(&path, &bytes)?;
        let defaults = source.defaults()?;
        if let Some(layer) = defaults.layer.filter(|layer| *layer > spec.layers) {
            return Err(Error::Config {
                path: source.path().join(super::DEFAULTS),
                field: "layer".to_string(),
                problem: format!("is {layer}, the model has {}", spec.layers),
            });
        }
        let reader = Reader {
            config,
            config_path: path,
            weights: source.weights()?,
            modules: spec.linear_modules(),
            differences: Vec::new(),
        };
        let adapter = reader.read(defaults).map_err(|failure| match failure {
            Failure::Error(error) => error,
            Failure::Differences(differences) => Error::AdapterMismatch {
                path: source.path().to_path_buf(),
                model: format!("{}, {} layers of {}", spec.family, spec.layers, spec.hidden),
                differences,
            },
        })?;
        Ok(adapter)
    }
}

impl AdapterSource {
    /// What the adapter says about its use; nothing where it has no `inbedder.json`.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn defaults(&self) -> Result<AdapterDefaults> {
        match self.defaults_file()? {
            Some((path, bytes)) => AdapterDefaults::parse(&path, &bytes),
            None => Ok(AdapterDefaults::default()),
        }
    }
}

enum Failure {
    Error(Error),
    Differences(Vec<String>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

struct Reader {
    config: LoraConfig,
    config_path: PathBuf,
    weights: Weights,
    /// The model's layers.
    modules: Vec<LinearModule>,
    /// What does not fit, a line each.
    differences: Vec<String>,
}

impl Reader {
    fn read(mut self, defaults: AdapterDefaults) -> Result<LoraAdapter, Failure> {
        let expected = self.expected()?;
        let stored = self.stored();
        for name in stored.difference(&expected) {
            let known = self.modules.iter().any(|module| module.name == *name);
            self.differences.push(match known {
                true => format!("{name}: is no target of {}", super::CONFIG),
                false => format!("{name}: the model has no such layer"),
            });
        }
        for name in expected.difference(&stored) {
            self.differences
                .push(format!("{name}: the adapter lacks it"));
        }
        if expected.is_empty() && stored.is_empty() {
            self.differences
                .push("the adapter has no layers".to_string());
        }
        let mut modules = BTreeMap::new();
        for index in 0..self.modules.len() {
            let name = self.modules[index].name.clone();
            if stored.contains(&name)
                && expected.contains(&name)
                && let Some(module) = self.module(index)?
            {
                modules.insert(name, module);
            }
        }
        if !self.differences.is_empty() {
            return Err(Failure::Differences(self.differences));
        }
        Ok(LoraAdapter {
            base: self.config.base,
            rslora: self.config.rslora,
            modules,
            defaults,
        })
    }

    /// The model's layers that the configuration means.
    fn expected(&self) -> Result<BTreeSet<String>> {
        let mut expected = BTreeSet::new();
        for module in &self.modules {
            let takes = self.config.selection.takes(module);
            if takes.map_err(|problem| self.wrong("target_modules", problem))? {
                expected.insert(module.name.clone());
            }
        }
        Ok(expected)
    }

    fn wrong(&self, field: &str, problem: String) -> Error {
        Error::Config {
            path: self.config_path.clone(),
            field: field.to_string(),
            problem,
        }
    }

    /// The layers that the file has a part of; names of another make are differences.
    fn stored(&mut self) -> BTreeSet<String> {
        let mut stored = BTreeSet::new();
        for name in self.weights.names() {
            let layer = name.strip_prefix(PREFIX);
            let layer = layer.and_then(|n| n.strip_suffix(A).or_else(|| n.strip_suffix(B)));
            match layer {
                Some(layer) => {
                    stored.insert(layer.to_string());
                }
                None => {
                    let problem = "no matrix A or B of a linear layer";
                    self.differences.push(format!("{name}: {problem}"));
                }
            }
        }
        stored
    }

    /// Both matrices of a layer, unless they do not fit it.
    fn module(&mut self, index: usize) -> Result<Option<LoraModule>> {
        let LinearModule {
            name,
            outputs,
            inputs,
            ..
        } = self.modules[index].clone();
        let (rank, alpha) = self.config.of(&self.config_path, &name)?;
        let a = self.matrix(&format!("{PREFIX}{name}{A}"), [rank, inputs])?;
        let b = self.matrix(&format!("{PREFIX}{name}{B}"), [outputs, rank])?;
        Ok(a.zip(b).map(|(a, b)| LoraModule {
            rank,
            alpha,
            inputs,
            outputs,
            a,
            b,
        }))
    }

    fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Option<Vec<f32>>> {
        if !self.weights.contains(name) {
            self.differences
                .push(format!("{name}: the adapter lacks it"));
            return Ok(None);
        }
        let tensor = self.weights.tensor(name)?;
        if tensor.shape() != shape {
            let found = tensor.shape();
            let problem = format!("{name}: has the shape {found:?}, {shape:?} is needed");
            self.differences.push(problem);
            return Ok(None);
        }
        let mut values = vec![0.0; shape[0] * shape[1]];
        tensor.read_rows(0..shape[0], &mut values)?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            self.differences.push(format!("{name}: holds {value}"));
            return Ok(None);
        }
        Ok(Some(values))
    }
}
