//! Outputs: a format per file, each written to a temporary name in the target folder and renamed
//! when it is whole. Until then, whatever happens, nothing stands under the final name.

pub(crate) mod jsonl;
mod npy;
pub(crate) mod parquet;
mod rows;
mod table;

pub(crate) use rows::carried;
pub(crate) use table::TableTarget;

use crate::error::{Error, Result};
use crate::input::Window;
use inbedder::{Embedder, Request};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What is known of an output before its first row.
pub(crate) struct Plan<'a> {
    pub(crate) metadata: Metadata,
    /// Texts to come.
    pub(crate) texts: usize,
    /// The name of the text's column.
    pub(crate) text_field: &'a str,
    /// Columns beside the text.
    pub(crate) carried: arrow_schema::SchemaRef,
    pub(crate) answers: bool,
    /// Vectors are written.
    pub(crate) embeddings: bool,
}

/// How the vectors came about; part of every output but npy.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Metadata {
    pub(crate) model: String,
    pub(crate) sha256: String,
    pub(crate) adapter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adapter_sha256: Option<String>,
    pub(crate) template: String,
    pub(crate) truncate: String,
    pub(crate) max_tokens: usize,
    pub(crate) instructions: Vec<String>,
    pub(crate) readout: String,
    pub(crate) layer: usize,
    pub(crate) normalize: String,
    pub(crate) precision: String,
    pub(crate) instruction_set: String,
    pub(crate) dim: usize,
    /// `2/3`: the second of three parts of a job.
    pub(crate) shard: Option<String>,
    /// `[question][dim]`: the means that were taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) center_means: Option<Vec<Vec<f32>>>,
    pub(crate) version: String,
}

impl Metadata {
    pub(crate) fn new(embedder: &Embedder, request: &Request) -> Result<Self> {
        let info = embedder.info();
        Ok(Self {
            model: info.name.clone(),
            sha256: embedder.sha256()?,
            adapter: info.adapter.as_ref().map(|adapter| adapter.name.clone()),
            adapter_sha256: info.adapter.as_ref().map(|adapter| adapter.sha256.clone()),
            template: request.template.pattern().to_string(),
            truncate: request.truncate.to_string(),
            max_tokens: request.max_tokens,
            instructions: request.questions.clone(),
            readout: request
                .readout
                .map_or(String::new(), |readout| readout.to_string()),
            layer: request.layer.unwrap_or(info.layers),
            normalize: request.normalize.to_string(),
            precision: info.precision.to_string(),
            instruction_set: info.instruction_set.to_string(),
            dim: info.hidden_size,
            shard: None,
            center_means: None,
            version: env!("CARGO_PKG_VERSION").to_string(),
        })
    }

    /// Names and values as text; lists are JSON.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let value = serde_json::to_value(self).unwrap_or_default();
        let fields = value.as_object().cloned().unwrap_or_default();
        fields
            .into_iter()
            .map(|(name, value)| (name, as_text(value)))
            .collect()
    }
}

/// What an output says of itself: its metadata, values as text.
pub(crate) type Pairs = BTreeMap<String, String>;

/// A string as it is, everything else as JSON.
fn as_text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Questions that an output's metadata names: its rows per text.
fn questions(metadata: &Pairs) -> usize {
    let instructions = metadata.get("instructions").map_or("", String::as_str);
    serde_json::from_str::<Vec<String>>(instructions).map_or(1, |list| list.len().max(1))
}

/// What is wrong with a part whose rows do not fit the others'.
const OTHER_ROWS: &str =
    "has more or fewer rows than the parts beside it: it is not of the same job";

/// A format's writer.
pub(crate) trait Writer {
    /// Writes the rows of a window with what the library made of them.
    fn write(&mut self, window: &Window, output: &inbedder::Output) -> Result<()>;
    /// Completes the file and gives it its name.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A format, by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Parquet,
    Jsonl,
    Npy,
    Safetensors,
}

impl Format {
    /// The format that a name stands for.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().to_lowercase();
        let formats = [
            (".parquet", Self::Parquet),
            (".jsonl", Self::Jsonl),
            (".jsonl.gz", Self::Jsonl),
            (".jsonl.zst", Self::Jsonl),
            (".npy", Self::Npy),
            (".safetensors", Self::Safetensors),
        ];
        let found = formats.iter().find(|(ending, _)| name.ends_with(ending));
        found.map(|(_, format)| *format)
    }
}

/// An output's name, checked before anything is loaded or computed.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    pub(crate) format: Format,
}

impl Target {
    /// # Errors
    /// An unknown extension, a folder that is not there, a file that is, answers in a format without
    /// words.
    pub(crate) fn check(path: &Path, answers: bool, force: bool) -> Result<Self> {
        let Some(format) = Format::of(path) else {
            let problem = "unknown extension: expected .parquet, .jsonl (also .gz or .zst), .npy or .safetensors";
            return Err(Error::output(path, problem));
        };
        if answers && matches!(format, Format::Npy | Format::Safetensors) {
            return Err(Error::output(
                path,
                "holds vectors alone; for --answers write .parquet or .jsonl",
            ));
        }
        check_place(path, force)?;
        Ok(Self {
            path: path.to_path_buf(),
            format,
        })
    }

    /// Begins the file; until it is whole it lies in `folder`, else beside its final name.
    pub(crate) fn begin(&self, folder: Option<&Path>) -> Result<Unfinished> {
        match folder {
            Some(folder) => Unfinished::new_in(folder, &self.path),
            None => Unfinished::new(&self.path),
        }
    }

    /// Begins the file with its format's writer; `folder` as for [`Self::begin`].
    pub(crate) fn create(self, plan: &Plan<'_>, folder: Option<&Path>) -> Result<Box<dyn Writer>> {
        let file = self.begin(folder)?;
        Ok(match self.format {
            Format::Parquet => Box::new(parquet::ParquetWriter::new(file, plan)?),
            Format::Jsonl => Box::new(jsonl::JsonlWriter::new(file, plan)?),
            Format::Npy => Box::new(npy::MatrixWriter::npy(file, plan)?),
            Format::Safetensors => Box::new(npy::MatrixWriter::safetensors(file, plan)?),
        })
    }
}

/// # Errors
/// A folder that is not there, a file that is.
fn check_place(path: &Path, force: bool) -> Result<()> {
    if path.is_dir() {
        return Err(Error::output(path, "is a folder"));
    }
    if path.exists() && !force {
        return Err(Error::output(path, "exists; --force replaces it"));
    }
    if !folder(path).is_dir() {
        let problem = format!("there is no folder {}", folder(path).display());
        return Err(Error::output(path, problem));
    }
    Ok(())
}

/// The name of a file or folder that belongs to an output: the output's, and an ending.
pub(crate) fn beside(output: &Path, ending: &str) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The folder that a file lies in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file on its way; removed when dropped.
pub(crate) struct Unfinished {
    pub(crate) file: NamedTempFile,
    pub(crate) path: PathBuf,
}

impl Unfinished {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        Self::new_in(folder(path), path)
    }

    fn new_in(folder: &Path, path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(".part")
            .tempfile_in(folder)
            .map_err(|cause| Error::write(path, cause))?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
        })
    }

    /// Gives the file its name.
    pub(crate) fn persist(self) -> Result<()> {
        let Self { file, path } = self;
        file.as_file()
            .sync_all()
            .map_err(|cause| Error::write(&path, cause))?;
        set_usual_mode(file.as_file(), &path)?;
        file.persist(&path)
            .map_err(|failed| Error::write(&path, failed.error))?;
        Ok(())
    }
}

/// Temporary files are readable by their owner alone; outputs are for whom the folder is for.
#[cfg(unix)]
fn set_usual_mode(file: &std::fs::File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o644);
    file.set_permissions(permissions)
        .map_err(|cause| Error::write(path, cause))
}

#[cfg(not(unix))]
fn set_usual_mode(_file: &std::fs::File, _path: &Path) -> Result<()> {
    Ok(())
}
