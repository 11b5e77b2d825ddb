//! `adapter_config.json`: what of it changes the mathematics, and refusing what is not supported.
//!
//! Fields and their defaults follow PEFT's `LoraConfig` (`peft/tuners/lora/config.py`).

use super::targets::{Names, Selection, pattern};
use crate::model::Config;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// Fields that say nothing about the numbers: how the adapter was trained, and by which version.
const NEUTRAL: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];
/// Fields that are read here.
const READ: &[&str] = &[
    "alpha_pattern",
    "bias",
    "exclude_modules",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_rslora",
];
/// Ways to begin a training that leave the base model's weights as they are.
const PLAIN_STARTS: &[&str] = &["gaussian", "eva", "orthogonal"];

/// What an adapter's configuration says.
pub(super) struct LoraConfig {
    pub(super) base: Option<String>,
    pub(super) rslora: bool,
    pub(super) selection: Selection,
    rank: Setting<usize>,
    alpha: Setting<f32>,
}

/// A number for most modules, and others by pattern; the first pattern that fits wins.
struct Setting<T> {
    common: T,
    patterns: Vec<(fancy_regex::Regex, T)>,
}

impl LoraConfig {
    /// # Errors
    /// [`Error::Json`]; [`Error::Config`] naming the first field that is wrong or not supported.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let config = Config::parse(path, bytes)?;
        supported(&config)?;
        let alpha: f32 = config.optional("lora_alpha")?.unwrap_or(8.0);
        let rank: usize = config.optional("r")?.unwrap_or(8);
        Ok(Self {
            base: config.optional("base_model_name_or_path")?,
            rslora: config.optional("use_rslora")?.unwrap_or(false),
            selection: selection(&config)?,
            rank: Setting::read(&config, rank, ("r", "rank_pattern"), |rank| *rank > 0)?,
            alpha: Setting::read(&config, alpha, ("lora_alpha", "alpha_pattern"), |alpha| {
                alpha.is_finite()
            })?,
        })
    }

    /// Rank and alpha of a module.
    ///
    /// # Errors
    /// [`Error::Config`] for a pattern that runs away.
    pub(super) fn of(&self, path: &Path, module: &str) -> Result<(usize, f32)> {
        let rank = self.rank.of(path, "rank_pattern", module)?;
        Ok((rank, self.alpha.of(path, "alpha_pattern", module)?))
    }
}

impl<T: serde::de::DeserializeOwned + Copy> Setting<T> {
    fn read(
        config: &Config,
        common: T,
        (field, patterns): (&str, &str),
        good: impl Fn(&T) -> bool,
    ) -> Result<Self> {
        let found: Map<String, Value> = config.optional(patterns)?.unwrap_or_default();
        let mut compiled = Vec::with_capacity(found.len());
        for (key, value) in found {
            let value: T = serde_json::from_value(value)
                .map_err(|cause| config.wrong(patterns, format!("{key:?}: {cause}")))?;
            // As PEFT's `get_pattern_key`: the end of a name, from a dot on.
            let regex = pattern(&format!("(?:.*\\.)?(?:{key})"))
                .map_err(|problem| config.wrong(patterns, problem))?;
            compiled.push((regex, value));
        }
        let all = compiled.iter().map(|(_, value)| value);
        if !all.chain([&common]).all(good) {
            return Err(config.wrong(field, format!("this or {patterns} is out of range")));
        }
        Ok(Self {
            common,
            patterns: compiled,
        })
    }

    fn of(&self, path: &Path, field: &str, module: &str) -> Result<T> {
        for (regex, value) in &self.patterns {
            let fits = regex.is_match(module).map_err(|cause| Error::Config {
                path: path.to_path_buf(),
                field: field.to_string(),
                problem: cause.to_string(),
            })?;
            if fits {
                return Ok(*value);
            }
        }
        Ok(self.common)
    }
}

/// Refuses what would change the numbers and is not done here.
fn supported(config: &Config) -> Result<()> {
    let kind: String = config.required("peft_type")?;
    if kind != "LORA" {
        let problem = format!("{kind:?} is not supported, only \"LORA\"");
        return Err(config.wrong("peft_type", problem));
    }
    let bias: Option<String> = config.optional("bias")?;
    if let Some(bias) = bias.filter(|bias| bias != "none") {
        let problem = format!("{bias:?} is not supported, only \"none\"");
        return Err(config.wrong("bias", problem));
    }
    match config.optional::<Value>("init_lora_weights")? {
        None | Some(Value::Bool(_)) => {}
        Some(Value::String(start)) if PLAIN_STARTS.contains(&start.to_lowercase().as_str()) => {}
        Some(other) => {
            let problem = format!(
                "{other} is not supported: it may have changed the base model's weights; convert the \
                 adapter to a plain one with PEFT"
            );
            return Err(config.wrong("init_lora_weights", problem));
        }
    }
    for (field, value) in config.fields() {
        let known = NEUTRAL.contains(&field.as_str()) || READ.contains(&field.as_str());
        if !known && !is_off(value) {
            let problem = format!("{value} is not supported: only plain LoRA is");
            return Err(config.wrong(field, problem));
        }
    }
    Ok(())
}

/// Whether a field's value says that its feature is not used.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn selection(config: &Config) -> Result<Selection> {
    let names = |field: &str| -> Result<Option<Names>> {
        let value: Option<Value> = config.optional(field)?;
        value
            .map(|value| Names::parse(value).map_err(|problem| config.wrong(field, problem)))
            .transpose()
    };
    let layers = match config.optional::<Value>("layers_to_transform")? {
        None => None,
        Some(value) => Some(
            serde_json::from_value::<Vec<usize>>(match value {
                Value::Array(_) => value,
                one => Value::Array(vec![one]),
            })
            .map_err(|cause| config.wrong("layers_to_transform", cause.to_string()))?,
        )
        .filter(|layers| !layers.is_empty()),
    };
    if let Some(value) = config.optional::<Value>("layers_pattern")? {
        // Every family of ours calls its list of layers so.
        let usual = value == "layers" || value == serde_json::json!(["layers"]) || value == "";
        if !usual && !is_off(&value) {
            let problem = format!("{value} is not supported, only \"layers\"");
            return Err(config.wrong("layers_pattern", problem));
        }
    }
    let targets = names("target_modules")?;
    let targets = targets.ok_or_else(|| config.wrong("target_modules", "missing".to_string()))?;
    if layers.is_some() && !matches!(targets, Names::List(_)) {
        let problem = "goes with a list of target_modules only";
        return Err(config.wrong("layers_to_transform", problem.to_string()));
    }
    Ok(Selection {
        targets,
        excluded: names("exclude_modules")?,
        layers,
    })
}
