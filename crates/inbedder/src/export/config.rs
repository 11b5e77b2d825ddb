//! `config.json` and `tokenizer_config.json` of a model that was a GGUF file.
//!
//! Field names are those of transformers' `LlamaConfig`; rotary scaling is written under its older name,
//! `rope_scaling`, which every version reads.

use super::ExportDtype;
use crate::checkpoint::Checkpoint;
use crate::model::{ModelSpec, RotaryScaling};
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

/// What transformers calls a number format.
pub(super) fn torch_name(dtype: ExportDtype) -> &'static str {
    match dtype {
        ExportDtype::F16 => "float16",
        ExportDtype::BF16 => "bfloat16",
        ExportDtype::F32 | ExportDtype::Q8_0 => "float32",
    }
}

/// # Errors
/// Rotary scaling that `config.json` has no words for.
pub(super) fn of_gguf(path: &Path, checkpoint: &Checkpoint, dtype: ExportDtype) -> Result<Value> {
    let spec = &checkpoint.spec;
    let (_, metadata) = Weights::open_gguf(path)?;
    let context = metadata.opt_u32(&format!("{}.context_length", spec.family))?;
    let tokenizer = &checkpoint.tokenizer;
    let eos = tokenizer.eos_ids();
    Ok(json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": spec.family,
        "hidden_act": "silu",
        "hidden_size": spec.hidden,
        "intermediate_size": spec.intermediate,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads.query,
        "num_key_value_heads": spec.heads.kv,
        "head_dim": spec.heads.dim,
        "vocab_size": spec.vocabulary,
        "max_position_embeddings": context.unwrap_or(2048),
        "rms_norm_eps": number(spec.norm_eps),
        "rope_theta": number(spec.rotary.theta),
        "rope_scaling": scaling(path, spec)?,
        "tie_word_embeddings": spec.tied_head,
        "attention_bias": spec.attention_bias,
        "mlp_bias": spec.mlp_bias,
        "bos_token_id": tokenizer.prefix().first(),
        "eos_token_id": match eos {
            [one] => json!(one),
            several => json!(several),
        },
        "torch_dtype": torch_name(dtype),
    }))
}

/// The shortest decimal number that is this one in single precision.
fn number(value: f32) -> Value {
    let exact = value.to_string().parse::<f64>();
    json!(exact.unwrap_or(f64::from(value)))
}

fn scaling(path: &Path, spec: &ModelSpec) -> Result<Value> {
    match &spec.rotary.scaling {
        RotaryScaling::None => Ok(Value::Null),
        RotaryScaling::Linear(factor) => {
            Ok(json!({"rope_type": "linear", "type": "linear", "factor": number(*factor)}))
        }
        RotaryScaling::Llama3 {
            factor,
            low,
            high,
            original_context,
        } => Ok(json!({
            "rope_type": "llama3",
            "factor": number(*factor),
            "low_freq_factor": number(*low),
            "high_freq_factor": number(*high),
            "original_max_position_embeddings": *original_context as u64,
        })),
        RotaryScaling::Factors(_) => Err(Error::Config {
            path: path.to_path_buf(),
            field: "rope_freqs.weight".to_string(),
            problem: "a folder's config.json cannot hold a factor for every rotary frequency; \
                      a .gguf file can"
                .to_string(),
        }),
    }
}

/// The tokens that begin and end a text, by their spelling.
pub(super) fn beside_tokenizer(tokenizer: &Tokenizer) -> Value {
    let mut fields = Map::new();
    fields.insert(
        "tokenizer_class".to_string(),
        json!("PreTrainedTokenizerFast"),
    );
    fields.insert("clean_up_tokenization_spaces".to_string(), json!(false));
    let ends = [
        ("bos_token", tokenizer.prefix().first()),
        ("eos_token", tokenizer.eos_ids().first()),
    ];
    for (field, id) in ends {
        if let Some(token) = id.and_then(|id| tokenizer.token(*id)) {
            fields.insert(field.to_string(), json!(token));
        }
    }
    Value::Object(fields)
}
