//! An adapter from memory into a folder that PEFT loads.

use super::read::{A, B, PREFIX};
use super::{CONFIG, DEFAULTS, LoraAdapter, LoraModule, WEIGHTS};
use crate::names::{by_name, name_of};
use crate::{Error, Result};
use half::f16;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

/// How an adapter's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdapterDtype {
    /// Half precision.
    #[default]
    F16,
    /// Single precision: loses nothing.
    F32,
}

const DTYPES: [(&str, AdapterDtype); 2] = [("f16", AdapterDtype::F16), ("f32", AdapterDtype::F32)];

impl FromStr for AdapterDtype {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        by_name(&DTYPES, "number format of an adapter", name)
    }
}

impl fmt::Display for AdapterDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&DTYPES, *self))
    }
}

/// Writes an adapter as a PEFT folder, which is made if need be; files of these names are replaced,
/// each at once. Beside PEFT's two files stands `inbedder.json` with the adapter's defaults, if it has
/// any.
///
/// # Errors
/// [`Error::AdapterModule`] for a module whose matrices do not have their sizes or hold a number that
/// the format cannot store; [`Error::Io`].
pub fn save(folder: &Path, adapter: &LoraAdapter, dtype: AdapterDtype) -> Result<()> {
    let io = |source| Error::io(folder, source);
    let weights = weights(adapter, dtype)?;
    std::fs::create_dir_all(folder).map_err(io)?;
    replace(folder, WEIGHTS, &weights)?;
    let defaults = folder.join(DEFAULTS);
    if adapter.defaults != super::AdapterDefaults::default() {
        replace(folder, DEFAULTS, adapter.defaults.json().as_bytes())?;
    } else if defaults.exists() {
        std::fs::remove_file(&defaults).map_err(|source| Error::io(&defaults, source))?;
    }
    replace(
        folder,
        CONFIG,
        format!("{:#}\n", config(adapter)).as_bytes(),
    )
}

/// Writes a file under another name and renames it.
fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    let io = |source| Error::io(&path, source);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(&path).map_err(|failed| io(failed.error))?;
    Ok(())
}

fn weights(adapter: &LoraAdapter, dtype: AdapterDtype) -> Result<Vec<u8>> {
    let mut stored = Vec::new();
    for (name, module) in &adapter.modules {
        let LoraModule {
            rank,
            inputs,
            outputs,
            ..
        } = *module;
        for (part, values, shape) in [
            (A, &module.a, [rank, inputs]),
            (B, &module.b, [outputs, rank]),
        ] {
            let name = format!("{PREFIX}{name}{part}");
            let bytes = numbers(&name, values, shape, dtype)?;
            stored.push((name, shape.to_vec(), bytes));
        }
    }
    let kind = match dtype {
        AdapterDtype::F16 => Dtype::F16,
        AdapterDtype::F32 => Dtype::F32,
    };
    let failed = |name: &str, problem: String| Error::AdapterModule {
        module: name.to_string(),
        problem,
    };
    let mut views = BTreeMap::new();
    for (name, shape, bytes) in &stored {
        let view = TensorView::new(kind, shape.clone(), bytes);
        let view = view.map_err(|cause| failed(name, cause.to_string()))?;
        views.insert(name.clone(), view);
    }
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(format)).map_err(|cause| failed("all", cause.to_string()))
}

/// A matrix as little-endian bytes.
fn numbers(name: &str, values: &[f32], shape: [usize; 2], dtype: AdapterDtype) -> Result<Vec<u8>> {
    let failed = |problem: String| Error::AdapterModule {
        module: name.to_string(),
        problem,
    };
    if shape[0].checked_mul(shape[1]) != Some(values.len()) || values.is_empty() {
        let found = values.len();
        return Err(failed(format!(
            "{found} numbers are no matrix of {shape:?}"
        )));
    }
    let fits = |value: f32| match dtype {
        AdapterDtype::F16 => f16::from_f32(value).is_finite(),
        AdapterDtype::F32 => value.is_finite(),
    };
    if let Some(value) = values.iter().find(|value| !fits(**value)) {
        return Err(failed(format!("{value} cannot be stored as {dtype}")));
    }
    Ok(match dtype {
        AdapterDtype::F16 => {
            let halves = values.iter().map(|value| f16::from_f32(*value));
            halves.flat_map(f16::to_le_bytes).collect()
        }
        AdapterDtype::F32 => values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    })
}

/// PEFT's configuration of the adapter.
fn config(adapter: &LoraAdapter) -> Value {
    let (rank, alpha) = usual(adapter);
    let mut ranks = Map::new();
    let mut alphas = Map::new();
    for (name, module) in &adapter.modules {
        if module.rank != rank {
            ranks.insert(name.clone(), json!(module.rank));
        }
        if module.alpha != alpha {
            alphas.insert(name.clone(), number(module.alpha));
        }
    }
    let (targets, layers) = targets(adapter);
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "r": rank,
        "lora_alpha": number(alpha),
        "use_rslora": adapter.rslora,
        "target_modules": targets,
        "layers_to_transform": layers,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "bias": "none",
        "lora_dropout": 0.0,
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "inference_mode": true,
        "modules_to_save": null,
        "use_dora": false,
    })
}

/// Whole numbers without a point: PEFT's type of alpha is an integer.
fn number(value: f32) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

/// The rank and alpha that most modules have.
fn usual(adapter: &LoraAdapter) -> (usize, f32) {
    let mut counts: BTreeMap<(usize, u32), usize> = BTreeMap::new();
    for module in adapter.modules.values() {
        *counts
            .entry((module.rank, module.alpha.to_bits()))
            .or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or((1, 1.0), |((rank, alpha), _)| (rank, f32::from_bits(alpha)))
}

/// `target_modules` and `layers_to_transform`: kinds of layers and their numbers where all kinds have
/// the same numbers, else whole names.
fn targets(adapter: &LoraAdapter) -> (BTreeSet<&str>, Option<BTreeSet<usize>>) {
    let names = || adapter.modules.keys().map(String::as_str);
    let split = |name| -> Option<(&str, usize)> {
        let (_, rest) = str::split_once(name, ".layers.")?;
        let kind = name.rsplit('.').next()?;
        Some((kind, rest.split('.').next()?.parse().ok()?))
    };
    let parts: Option<Vec<(&str, usize)>> = names().map(split).collect();
    if let Some(parts) = parts {
        let kinds: BTreeSet<&str> = parts.iter().map(|(kind, _)| *kind).collect();
        let layers: BTreeSet<usize> = parts.iter().map(|(_, layer)| *layer).collect();
        if kinds.len() * layers.len() == parts.len() {
            return (kinds, Some(layers));
        }
    }
    (names().collect(), None)
}
