//! A model with its adapter merged in, as files that other programs read: a Hugging Face folder, or a
//! GGUF file.
//!
//! Whatever the base was read from, a tensor is written in Hugging Face's order of rows with W + s · B ·
//! A computed in f32, and only then brought into the target's order and number format. The weights of a
//! folder are written tensor by tensor; those of a GGUF file are in memory together, in their final
//! format. Token embedding, norms and biases have no adapter and are carried over. Chat templates are
//! carried over only from one file format into the same.

mod config;
mod folder;
mod gguf;
mod tensors;
#[cfg(test)]
mod tests;

use crate::adapter::AdapterSource;
use crate::checkpoint::Checkpoint;
use crate::names::{by_name, name_of};
use crate::source::ModelFiles;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use tensors::Tensors;

/// How exported weights are stored. Norms and biases of a GGUF file are always f32, and rows that are no
/// multiple of 32 numbers f16 instead of Q8_0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportDtype {
    /// Single precision: loses nothing.
    F32,
    /// Half precision.
    F16,
    /// The upper half of an f32; folders alone.
    BF16,
    /// Blocks of 32 bytes with a scale; GGUF alone.
    Q8_0,
}

const DTYPES: [(&str, ExportDtype); 4] = [
    ("f32", ExportDtype::F32),
    ("f16", ExportDtype::F16),
    ("bf16", ExportDtype::BF16),
    ("q8_0", ExportDtype::Q8_0),
];

impl FromStr for ExportDtype {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        by_name(&DTYPES, "number format", name)
    }
}

impl fmt::Display for ExportDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&DTYPES, *self))
    }
}

/// Writes a model, with an adapter merged in, to `output`: a GGUF file if its name ends in `.gguf`, else
/// a new folder in Hugging Face's layout. Without a number format, folders are f32 and GGUF files Q8_0.
/// The output appears when it is whole, or not at all.
///
/// # Errors
/// An output that is there already, or a number format that its kind does not have
/// ([`Error::ExportTarget`]); what keeps model or adapter from being read; a tokenizer that the target
/// cannot describe ([`Error::Tokenizer`]); [`Error::Io`].
pub fn export(
    files: &ModelFiles,
    adapter: Option<&AdapterSource>,
    output: &Path,
    dtype: Option<ExportDtype>,
) -> Result<()> {
    let checkpoint = Checkpoint::open(files)?;
    let adapter = adapter
        .map(|source| checkpoint.adapter(source, files))
        .transpose()?;
    let trained = BTreeMap::new();
    let tensors = Tensors::new(&checkpoint, adapter.as_ref(), &trained)?;
    write(files, &tensors, output, dtype)
}

/// Writes a model of which some tensors, by Hugging Face's names and in its order, have been trained.
///
/// # Errors
/// As for [`export`], and [`Error::TensorMissing`] for a name that the model has not.
pub fn export_trained(
    files: &ModelFiles,
    trained: &BTreeMap<String, &[f32]>,
    output: &Path,
    dtype: Option<ExportDtype>,
) -> Result<()> {
    let checkpoint = Checkpoint::open(files)?;
    let tensors = Tensors::new(&checkpoint, None, trained)?;
    write(files, &tensors, output, dtype)
}

/// Whether [`export_trained`] could write this model to a folder, found out before there is anything to write.
///
/// # Errors
/// What keeps the model from being read; a configuration or a tokenizer that a folder cannot describe.
pub fn check_folder(files: &ModelFiles) -> Result<()> {
    folder::check(files, &Checkpoint::open(files)?)
}

fn write(
    files: &ModelFiles,
    tensors: &Tensors<'_>,
    output: &Path,
    dtype: Option<ExportDtype>,
) -> Result<()> {
    let refuse = |problem: String| Error::ExportTarget {
        path: output.to_path_buf(),
        problem,
    };
    let is_gguf = output
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let (default, foreign, kind) = match is_gguf {
        true => (ExportDtype::Q8_0, ExportDtype::BF16, "a GGUF file"),
        false => (ExportDtype::F32, ExportDtype::Q8_0, "a folder"),
    };
    let dtype = dtype.unwrap_or(default);
    if dtype == foreign {
        return Err(refuse(format!("{kind} is not written as {dtype}")));
    }
    if output.exists() {
        return Err(refuse("is there already".to_string()));
    }
    if is_gguf {
        gguf::write(files, tensors, output, dtype)
    } else {
        folder::write(files, tensors, output, dtype)
    }
}

/// The folder that an output is in, where it is written under another name first.
fn parent(output: &Path) -> &Path {
    match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
