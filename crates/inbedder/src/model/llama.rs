//! The Llama family: Llama 2 and 3, SmolLM2 and others of `model_type` "llama".
//!
//! Upstream: Hugging Face transformers `models/llama/configuration_llama.py`; GGUF keys and the
//! pairwise order of query and key rows from llama.cpp's `convert_hf_to_gguf.py`.

use super::{Config, Family, ModelSpec, Rotary, RotaryScaling, TensorNames};
use crate::weights::{Metadata, Weights};
use crate::{Error, Result};
use inbedder_kernels::Heads;
use serde::Deserialize;

pub(super) const FAMILY: Family = Family {
    name: "llama",
    from_config,
    from_gguf,
    config_names: TensorNames {
        embedding: "model.embed_tokens",
        final_norm: "model.norm",
        head: "lm_head",
        attention_norm: "model.layers.{}.input_layernorm",
        query: "model.layers.{}.self_attn.q_proj",
        key: "model.layers.{}.self_attn.k_proj",
        value: "model.layers.{}.self_attn.v_proj",
        attention_out: "model.layers.{}.self_attn.o_proj",
        mlp_norm: "model.layers.{}.post_attention_layernorm",
        gate: "model.layers.{}.mlp.gate_proj",
        up: "model.layers.{}.mlp.up_proj",
        down: "model.layers.{}.mlp.down_proj",
        paired_rotary: false,
    },
    gguf_names: TensorNames {
        embedding: "token_embd",
        final_norm: "output_norm",
        head: "output",
        attention_norm: "blk.{}.attn_norm",
        query: "blk.{}.attn_q",
        key: "blk.{}.attn_k",
        value: "blk.{}.attn_v",
        attention_out: "blk.{}.attn_output",
        mlp_norm: "blk.{}.ffn_norm",
        gate: "blk.{}.ffn_gate",
        up: "blk.{}.ffn_up",
        down: "blk.{}.ffn_down",
        paired_rotary: true,
    },
};

/// `rope_scaling`, or `rope_parameters` of newer files; both name the kind under one of two keys.
#[derive(Deserialize, Default)]
struct RopeFields {
    rope_theta: Option<f32>,
    rope_type: Option<String>,
    r#type: Option<String>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
}

fn from_config(config: &Config) -> Result<ModelSpec> {
    let activation: Option<String> = config.optional("hidden_act")?;
    if let Some(name) = activation.filter(|name| name != "silu") {
        return Err(config.wrong(
            "hidden_act",
            format!("{name:?} is not supported, only \"silu\""),
        ));
    }
    let hidden: usize = config.required("hidden_size")?;
    let query: usize = config.required("num_attention_heads")?;
    let dim = match config.optional("head_dim")? {
        Some(dim) => dim,
        None => hidden.checked_div(query).unwrap_or(0),
    };
    Ok(ModelSpec {
        family: FAMILY.name,
        layers: config.required("num_hidden_layers")?,
        hidden,
        heads: Heads {
            query,
            kv: config.optional("num_key_value_heads")?.unwrap_or(query),
            dim,
            scale: 1.0 / (dim as f32).sqrt(),
        },
        intermediate: config.required("intermediate_size")?,
        vocabulary: config.required("vocab_size")?,
        norm_eps: config.optional("rms_norm_eps")?.unwrap_or(1e-6),
        rotary: rotary(config)?,
        tied_head: config.optional("tie_word_embeddings")?.unwrap_or(false),
        attention_bias: config.optional("attention_bias")?.unwrap_or(false),
        mlp_bias: config.optional("mlp_bias")?.unwrap_or(false),
    })
}

fn rotary(config: &Config) -> Result<Rotary> {
    let (name, fields) = match config.optional::<RopeFields>("rope_parameters")? {
        Some(fields) => ("rope_parameters", fields),
        None => (
            "rope_scaling",
            config.optional("rope_scaling")?.unwrap_or_default(),
        ),
    };
    let theta = match fields.rope_theta {
        Some(theta) => theta,
        None => config.optional("rope_theta")?.unwrap_or(10_000.0),
    };
    let need = |field: &str, value: Option<f32>| {
        let value = value.filter(|v| v.is_finite() && *v > 0.0);
        value.ok_or_else(|| {
            config.wrong(
                &format!("{name}.{field}"),
                "not a positive number".to_string(),
            )
        })
    };
    let kind = fields.rope_type.as_deref().or(fields.r#type.as_deref());
    let scaling = match kind.unwrap_or("default") {
        "default" => RotaryScaling::None,
        "linear" => RotaryScaling::Linear(need("factor", fields.factor)?),
        "llama3" => RotaryScaling::Llama3 {
            factor: need("factor", fields.factor)?,
            low: need("low_freq_factor", fields.low_freq_factor)?,
            high: need("high_freq_factor", fields.high_freq_factor)?,
            original_context: need(
                "original_max_position_embeddings",
                fields.original_max_position_embeddings,
            )?,
        },
        other => {
            let problem = format!("{other:?} is not supported, only default, linear and llama3");
            return Err(config.wrong(&format!("{name}.rope_type"), problem));
        }
    };
    Ok(Rotary {
        theta: need("rope_theta", Some(theta))?,
        scaling,
    })
}

fn from_gguf(metadata: &Metadata, weights: &Weights) -> Result<ModelSpec> {
    let size = |key: &str| metadata.u32(key).map(|value| value as usize);
    let hidden = size("llama.embedding_length")?;
    let query = size("llama.attention.head_count")?;
    let dim = match metadata.opt_u32("llama.attention.key_length")? {
        Some(dim) => dim as usize,
        None => hidden.checked_div(query).unwrap_or(0),
    };
    let kv = metadata.opt_u32("llama.attention.head_count_kv")?;
    let vocabulary = match metadata.opt_u32("llama.vocab_size")? {
        Some(rows) => rows as usize,
        None => metadata.strings("tokenizer.ggml.tokens")?.len(),
    };
    Ok(ModelSpec {
        family: FAMILY.name,
        layers: size("llama.block_count")?,
        hidden,
        heads: Heads {
            query,
            kv: kv.map_or(query, |heads| heads as usize),
            dim,
            scale: 1.0 / (dim as f32).sqrt(),
        },
        intermediate: size("llama.feed_forward_length")?,
        vocabulary,
        norm_eps: metadata.f32("llama.attention.layer_norm_rms_epsilon")?,
        rotary: Rotary {
            theta: metadata
                .opt_f32("llama.rope.freq_base")?
                .unwrap_or(10_000.0),
            scaling: gguf_scaling(metadata, weights, dim)?,
        },
        tied_head: !weights.contains("output.weight"),
        attention_bias: weights.contains("blk.0.attn_q.bias"),
        mlp_bias: weights.contains("blk.0.ffn_gate.bias"),
    })
}

/// Llama 3's scaling is carried as a divisor per frequency, linear scaling as metadata.
fn gguf_scaling(metadata: &Metadata, weights: &Weights, dim: usize) -> Result<RotaryScaling> {
    const FACTORS: &str = "rope_freqs.weight";
    if weights.contains(FACTORS) {
        weights.expect_shape(FACTORS, &[dim / 2])?;
        let mut factors = vec![0.0; dim / 2];
        weights.tensor(FACTORS)?.read_rows(0..1, &mut factors)?;
        return Ok(RotaryScaling::Factors(factors));
    }
    match metadata.opt_str("llama.rope.scaling.type")? {
        None | Some("none") => Ok(RotaryScaling::None),
        Some("linear") => Ok(RotaryScaling::Linear(
            metadata.f32("llama.rope.scaling.factor")?,
        )),
        Some(other) => Err(Error::Config {
            path: metadata.path().to_path_buf(),
            field: "llama.rope.scaling.type".to_string(),
            problem: format!("{other:?} is not supported, only none and linear"),
        }),
    }
}
