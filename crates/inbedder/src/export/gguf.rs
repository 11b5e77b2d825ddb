//! A GGUF file, by candle-core's writer. Metadata of a base that was one is carried over; else it is made
//! of the configuration, with the keys that llama.cpp's `convert_hf_to_gguf.py` writes.

use super::tensors::Tensors;
use super::{ExportDtype, parent};
use crate::checkpoint::Checkpoint;
use crate::model::stored_row;
use crate::model::{Config, ModelSpec, Rotary, RotaryScaling, StoredTensor};
use crate::source::ModelFiles;
use crate::weights::Weights;
use crate::{Error, Result};
use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Numbers in a block of Q8_0.
const BLOCK: usize = 32;
const FREQUENCIES: &str = "rope_freqs.weight";

type Entries = BTreeMap<String, Value>;

pub(super) fn write(
    files: &ModelFiles,
    tensors: &Tensors<'_>,
    output: &Path,
    dtype: ExportDtype,
) -> Result<()> {
    let checkpoint = tensors.checkpoint;
    let mut metadata = match files {
        ModelFiles::Gguf(path) => Weights::open_gguf(path)?.1.into_values(),
        ModelFiles::Folder { config, .. } => described(&Config::open(config)?, checkpoint)?,
    };
    // The writer pads to its own alignment, 32, which is what a file without the key has.
    metadata.remove("general.alignment");
    metadata.insert(
        "general.file_type".to_string(),
        Value::U32(file_type(dtype)),
    );
    metadata.insert("general.quantization_version".to_string(), Value::U32(2));
    let failed = |cause: candle_core::Error| Error::ExportTarget {
        path: output.to_path_buf(),
        problem: cause.to_string(),
    };
    let stored = stored(checkpoint, tensors, dtype).map_err(failed)?;
    let io = |source| Error::io(output, source);
    std::fs::create_dir_all(parent(output)).map_err(io)?;
    let mut file = tempfile::NamedTempFile::new_in(parent(output)).map_err(io)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let stored: Vec<(&str, &QTensor)> = stored.iter().map(|(k, v)| (k.as_str(), v)).collect();
    candle_core::quantized::gguf_file::write(&mut writer, &metadata, &stored).map_err(failed)?;
    writer.flush().map_err(io)?;
    drop(writer);
    file.as_file().sync_all().map_err(io)?;
    file.persist(output).map_err(|failed| io(failed.error))?;
    Ok(())
}

/// `general.file_type`, as llama.cpp numbers what most tensors are.
fn file_type(dtype: ExportDtype) -> u32 {
    match dtype {
        ExportDtype::F32 => 0,
        ExportDtype::F16 => 1,
        ExportDtype::Q8_0 => 7,
        ExportDtype::BF16 => 32,
    }
}

/// Every tensor in its final format and order.
fn stored(
    checkpoint: &Checkpoint,
    tensors: &Tensors<'_>,
    dtype: ExportDtype,
) -> candle_core::Result<Vec<(String, QTensor)>> {
    let names = checkpoint.spec.gguf_names();
    let mut stored = Vec::with_capacity(tensors.all.len() + 1);
    for tensor in tensors.all {
        let mut values = tensors.read(tensor);
        if tensor.rotary && names.paired_rotary {
            values = paired(tensor, &values);
        }
        let numbers = Tensor::from_vec(values, tensor.shape.as_slice(), &Device::Cpu)?;
        let matrix = QTensor::quantize(&numbers, format(tensor, dtype))?;
        stored.push((tensor.name(names), matrix));
    }
    if let Some(factors) = frequency_divisors(&checkpoint.spec) {
        let numbers = Tensor::new(factors.as_slice(), &Device::Cpu)?;
        let numbers = QTensor::quantize(&numbers, GgmlDType::F32)?;
        stored.push((FREQUENCIES.to_string(), numbers));
    }
    Ok(stored)
}

fn format(tensor: &StoredTensor, dtype: ExportDtype) -> GgmlDType {
    match (tensor.shape.as_slice(), dtype) {
        ([_], _) | (_, ExportDtype::F32) => GgmlDType::F32,
        ([.., inputs], ExportDtype::Q8_0) if inputs.is_multiple_of(BLOCK) => GgmlDType::Q8_0,
        _ => GgmlDType::F16,
    }
}

/// Rows in GGUF's order.
fn paired(tensor: &StoredTensor, values: &[f32]) -> Vec<f32> {
    let row_len = values.len() / tensor.shape[0];
    let mut out = vec![0.0; values.len()];
    for (row, values) in values.chunks_exact(row_len).enumerate() {
        let to = stored_row(tensor.head_rows, row);
        out[to * row_len..][..row_len].copy_from_slice(values);
    }
    out
}

/// What frequencies are divided by, where metadata cannot say it.
fn frequency_divisors(spec: &ModelSpec) -> Option<Vec<f32>> {
    match &spec.rotary.scaling {
        RotaryScaling::Factors(factors) => Some(factors.clone()),
        RotaryScaling::Llama3 { .. } => {
            let scaled = spec.rotary.frequencies(spec.heads.dim);
            let plain = Rotary {
                theta: spec.rotary.theta,
                scaling: RotaryScaling::None,
            };
            let plain = plain.frequencies(spec.heads.dim);
            Some(
                plain
                    .iter()
                    .zip(&scaled)
                    .map(|(plain, scaled)| plain / scaled)
                    .collect(),
            )
        }
        RotaryScaling::None | RotaryScaling::Linear(_) => None,
    }
}

/// The metadata of a model that was a folder.
fn described(config: &Config, checkpoint: &Checkpoint) -> Result<Entries> {
    let spec = &checkpoint.spec;
    let context: Option<u32> = config.optional("max_position_embeddings")?;
    let mut entries = checkpoint.tokenizer.to_gguf(spec.vocabulary)?;
    let mut put = |key: &str, value: Value| {
        let key = key.replace("ARCH", spec.family);
        entries.insert(key, value);
    };
    let size = |value: usize| Value::U32(u32::try_from(value).unwrap_or(u32::MAX));
    put(
        "general.architecture",
        Value::String(spec.family.to_string()),
    );
    put("ARCH.block_count", size(spec.layers));
    put("ARCH.context_length", Value::U32(context.unwrap_or(2048)));
    put("ARCH.embedding_length", size(spec.hidden));
    put("ARCH.feed_forward_length", size(spec.intermediate));
    put("ARCH.attention.head_count", size(spec.heads.query));
    put("ARCH.attention.head_count_kv", size(spec.heads.kv));
    put("ARCH.attention.key_length", size(spec.heads.dim));
    put("ARCH.attention.value_length", size(spec.heads.dim));
    put(
        "ARCH.attention.layer_norm_rms_epsilon",
        Value::F32(spec.norm_eps),
    );
    put("ARCH.rope.dimension_count", size(spec.heads.dim));
    put("ARCH.rope.freq_base", Value::F32(spec.rotary.theta));
    put("ARCH.vocab_size", size(spec.vocabulary));
    if let RotaryScaling::Linear(factor) = spec.rotary.scaling {
        put(
            "ARCH.rope.scaling.type",
            Value::String("linear".to_string()),
        );
        put("ARCH.rope.scaling.factor", Value::F32(factor));
    }
    Ok(entries)
}
