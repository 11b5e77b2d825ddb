//! A Hugging Face folder: `config.json`, `tokenizer.json` and what stands beside it, one
//! `model.safetensors`.

use super::tensors::Tensors;
use super::{ExportDtype, config, parent};
use crate::checkpoint::Checkpoint;
use crate::model::StoredTensor;
use crate::source::ModelFiles;
use crate::{Error, Result};
use half::{bf16, f16};
use safetensors::{Dtype, View};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// Files beside `tokenizer.json` that are copied if they are there.
const NEIGHBOURS: &[&str] = &[
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];

pub(super) fn write(
    files: &ModelFiles,
    tensors: &Tensors<'_>,
    output: &Path,
    dtype: ExportDtype,
) -> Result<()> {
    let checkpoint = tensors.checkpoint;
    let io = |source| Error::io(output, source);
    let parent = parent(output);
    std::fs::create_dir_all(parent).map_err(io)?;
    let folder = tempfile::tempdir_in(parent).map_err(io)?;
    settings(files, checkpoint, folder.path(), dtype)?;
    let names = checkpoint.spec.hugging_face_names();
    let stored = tensors.all.iter().map(|tensor| {
        let rows = Rows {
            tensors,
            tensor,
            dtype,
        };
        (tensor.name(names), rows)
    });
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(stored, Some(format), &path).map_err(|cause| {
        Error::ExportTarget {
            path: output.to_path_buf(),
            problem: cause.to_string(),
        }
    })?;
    readable(folder.path()).map_err(io)?;
    std::fs::rename(folder.path(), output).map_err(io)?;
    // It has another name now: there is nothing to remove.
    let _ = folder.keep();
    Ok(())
}

/// A temporary folder is its owner's alone; a result is made as any folder.
fn readable(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Everything but the weights.
fn settings(
    files: &ModelFiles,
    checkpoint: &Checkpoint,
    folder: &Path,
    dtype: ExportDtype,
) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| Error::io(&path, source))
    };
    match files {
        ModelFiles::Folder {
            config, tokenizer, ..
        } => {
            put("config.json", retyped(config, dtype)?)?;
            let copy = |from: &Path, name: &str| {
                let copied = std::fs::copy(from, folder.join(name));
                copied.map(drop).map_err(|source| Error::io(from, source))
            };
            copy(tokenizer, "tokenizer.json")?;
            for name in NEIGHBOURS {
                let path = tokenizer.with_file_name(name);
                if path.is_file() {
                    copy(&path, name)?;
                }
            }
            Ok(())
        }
        ModelFiles::Gguf(path) => {
            let described = of_gguf(path, checkpoint, dtype)?;
            let mut described = described.into_iter();
            described.try_for_each(|(name, text)| put(name, text))
        }
    }
}

/// Whether there are words for all that a folder says beside the weights; what is copied needs none.
pub(super) fn check(files: &ModelFiles, checkpoint: &Checkpoint) -> Result<()> {
    match files {
        ModelFiles::Folder { .. } => Ok(()),
        ModelFiles::Gguf(path) => of_gguf(path, checkpoint, ExportDtype::F32).map(drop),
    }
}

/// Names and texts of the files beside the weights.
fn of_gguf(
    path: &Path,
    checkpoint: &Checkpoint,
    dtype: ExportDtype,
) -> Result<[(&'static str, String); 3]> {
    let config = config::of_gguf(path, checkpoint, dtype)?;
    let tokenizer = &checkpoint.tokenizer;
    let beside = config::beside_tokenizer(tokenizer);
    Ok([
        ("config.json", format!("{config:#}\n")),
        ("tokenizer.json", tokenizer.to_json()?),
        ("tokenizer_config.json", format!("{beside:#}\n")),
    ])
}

/// A `config.json` that says in which format the numbers are now.
fn retyped(path: &Path, dtype: ExportDtype) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    let json = |source| Error::Json {
        path: path.to_path_buf(),
        source,
    };
    let mut fields: serde_json::Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(json)?;
    let name = config::torch_name(dtype);
    // Newer files say `dtype`, older ones `torch_dtype`.
    let field = match fields.contains_key("dtype") {
        true => "dtype",
        false => "torch_dtype",
    };
    fields.insert(field.to_string(), Value::from(name));
    Ok(format!("{:#}\n", Value::Object(fields)))
}

/// A tensor that is read when it is written.
struct Rows<'a> {
    tensors: &'a Tensors<'a>,
    tensor: &'a StoredTensor,
    dtype: ExportDtype,
}

impl View for Rows<'_> {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            ExportDtype::F16 => Dtype::F16,
            ExportDtype::BF16 => Dtype::BF16,
            // Q8_0 is refused for folders.
            ExportDtype::F32 | ExportDtype::Q8_0 => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.tensors.read(self.tensor);
        let values = values.into_iter();
        let bytes: Vec<u8> = match self.dtype {
            ExportDtype::F16 => values
                .flat_map(|v| f16::from_f32(v).to_le_bytes())
                .collect(),
            ExportDtype::BF16 => values
                .flat_map(|v| bf16::from_f32(v).to_le_bytes())
                .collect(),
            ExportDtype::F32 | ExportDtype::Q8_0 => values.flat_map(f32::to_le_bytes).collect(),
        };
        bytes.into()
    }

    fn data_len(&self) -> usize {
        let numbers: usize = self.tensor.shape.iter().product();
        match self.dtype {
            ExportDtype::F16 | ExportDtype::BF16 => 2 * numbers,
            ExportDtype::F32 | ExportDtype::Q8_0 => 4 * numbers,
        }
    }
}
