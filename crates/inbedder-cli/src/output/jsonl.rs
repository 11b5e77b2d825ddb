//! JSON lines: an object per text and question. The metadata goes to `OUT.meta.json`.

use super::rows::carried;
use super::{OTHER_ROWS, Pairs, Plan, Unfinished, Writer, as_text, beside, questions};
use crate::error::{Error, Result};
use crate::input::Window;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

pub(super) struct JsonlWriter {
    target: Unfinished,
    encoder: Encoder,
    metadata: String,
    instructions: Vec<String>,
    text_field: String,
}

/// Compresses lines as the output's name says.
pub(super) enum Encoder {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<File>>),
    Zstd(Box<zstd::Encoder<'static, File>>),
}

impl JsonlWriter {
    pub(super) fn new(target: Unfinished, plan: &Plan<'_>) -> Result<Self> {
        let failed = |cause| Error::write(&target.path, cause);
        let encoder = Encoder::new(&target).map_err(failed)?;
        let metadata =
            serde_json::to_string_pretty(&plan.metadata).map_err(|cause| failed(cause.into()))?;
        Ok(Self {
            target,
            encoder,
            metadata,
            instructions: plan.metadata.instructions.clone(),
            text_field: plan.text_field.to_string(),
        })
    }
}

impl Encoder {
    /// Compresses as the target's name says.
    pub(super) fn new(target: &Unfinished) -> std::io::Result<Self> {
        let file = target.file.as_file().try_clone()?;
        let extension = target.path.extension().and_then(|end| end.to_str());
        Ok(match extension {
            Some("gz") => {
                let level = flate2::Compression::default();
                Self::Gzip(Box::new(GzEncoder::new(file, level)))
            }
            Some("zst") => Self::Zstd(Box::new(zstd::Encoder::new(file, 3)?)),
            _ => Self::Plain(BufWriter::new(file)),
        })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(writer) => writer.write_all(bytes),
            Self::Gzip(writer) => writer.write_all(bytes),
            Self::Zstd(writer) => writer.write_all(bytes),
        }
    }

    /// Ends the lines, then gives metadata and lines their names.
    fn finish(self, target: Unfinished, metadata: &str) -> Result<()> {
        let path = target.path.clone();
        let failed = |cause| Error::write(&path, cause);
        self.end().map_err(failed)?;
        let mut file = Unfinished::new(&sidecar(&path))?;
        file.file.write_all(metadata.as_bytes()).map_err(failed)?;
        file.persist()?;
        target.persist()
    }

    /// Ends the lines.
    pub(super) fn end(self) -> std::io::Result<()> {
        match self {
            Self::Plain(mut writer) => writer.flush(),
            Self::Gzip(writer) => writer.finish().map(drop),
            Self::Zstd(writer) => writer.finish().map(drop),
        }
    }
}

/// Where the metadata stands.
fn sidecar(path: &Path) -> PathBuf {
    beside(path, ".meta.json")
}

/// The metadata of an output, values as text.
pub(crate) fn metadata(path: &Path) -> Result<Pairs> {
    let sidecar = sidecar(path);
    let text = std::fs::read(&sidecar).map_err(|cause| Error::input(&sidecar, 0, cause))?;
    let fields: serde_json::Map<String, Value> =
        serde_json::from_slice(&text).map_err(|cause| Error::input(&sidecar, 0, cause))?;
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name, as_text(value)))
        .collect())
}

/// Joins outputs whose texts were dealt out in turn.
pub(crate) fn merge(parts: &[PathBuf], first: &Pairs, target: Unfinished) -> Result<()> {
    let failed = |cause| Error::write(&target.path, cause);
    let questions = questions(first);
    let mut encoder = Encoder::new(&target).map_err(failed)?;
    let mut readers = Vec::new();
    for part in parts {
        readers.push(open(part)?);
    }
    // The part in whose turn a text was missing: all later turns must be without a text too.
    let mut ended: Option<usize> = None;
    for turn in 0.. {
        let part = turn % parts.len();
        if ended.is_some_and(|at| turn - at >= parts.len()) {
            break;
        }
        let mut text = Vec::new();
        for _ in 0..questions {
            let read = readers[part].read_until(b'\n', &mut text);
            read.map_err(|cause| Error::input(&parts[part], 0, cause))?;
        }
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        if lines != 0 && lines != questions || lines > 0 && ended.is_some() {
            return Err(Error::input(&parts[part], 0, OTHER_ROWS));
        }
        if lines == 0 {
            ended = ended.or(Some(turn));
        }
        encoder.write_all(&text).map_err(failed)?;
    }
    let whole = std::fs::read(sidecar(&parts[0])).unwrap_or_default();
    let mut whole: Value = serde_json::from_slice(&whole).unwrap_or_default();
    whole["shard"] = Value::Null;
    let metadata = serde_json::to_string_pretty(&whole).map_err(|cause| failed(cause.into()))?;
    encoder.finish(target, &metadata)
}

/// The lines of an output.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    let failed = |cause| Error::input(path, 0, cause);
    let file = BufReader::new(File::open(path).map_err(failed)?);
    Ok(match path.extension().and_then(|end| end.to_str()) {
        Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        Some("zst") => {
            let decoder = zstd::Decoder::with_buffer(file).map_err(failed)?;
            Box::new(BufReader::new(decoder))
        }
        _ => Box::new(file),
    })
}

impl Writer for JsonlWriter {
    fn write(&mut self, window: &Window, output: &inbedder::Output) -> Result<()> {
        let rows = carried(window).map_err(|cause| Error::output(&self.target.path, cause))?;
        let mut lines = Vec::new();
        let mut i = 0;
        for (text, fields) in window.texts.iter().zip(rows) {
            for instruction in &self.instructions {
                let mut row = serde_json::Map::new();
                row.insert(self.text_field.clone(), Value::from(text.as_str()));
                row.extend(fields.clone());
                row.insert("instruction".to_string(), Value::from(instruction.as_str()));
                if let Some(answer) = output.answers.get(i) {
                    row.insert("answer".to_string(), Value::from(answer.as_str()));
                }
                let line = serde_json::to_vec(&row)
                    .map_err(|cause| Error::write(&self.target.path, cause))?;
                lines.extend_from_slice(&line);
                if output.dim > 0 {
                    push_vector(
                        &mut lines,
                        &output.embeddings[i * output.dim..][..output.dim],
                    );
                }
                lines.push(b'\n');
                i += 1;
            }
        }
        self.encoder
            .write_all(&lines)
            .map_err(|cause| Error::write(&self.target.path, cause))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.encoder.finish(self.target, &self.metadata)
    }
}

/// Adds a vector to a JSON object, as f32 (shortest digits that give it back) and not as the f64s that
/// a JSON value would hold. Not a number becomes null.
fn push_vector(object: &mut Vec<u8>, vector: &[f32]) {
    object.pop();
    object.extend_from_slice(b",\"embedding\":");
    for (i, value) in vector.iter().enumerate() {
        object.push(if i == 0 { b'[' } else { b',' });
        let digits = if value.is_finite() {
            value.to_string()
        } else {
            "null".to_string()
        };
        object.extend_from_slice(digits.as_bytes());
    }
    object.extend_from_slice(b"]}");
}
