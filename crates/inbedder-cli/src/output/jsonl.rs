//! JSON lines: an object per text and question. The metadata goes to `OUT.meta.json`.

use super::rows::carried;
use super::{Plan, Unfinished, Writer};
use crate::error::{Error, Result};
use crate::input::Window;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

pub(super) struct JsonlWriter {
    target: Unfinished,
    encoder: Encoder,
    metadata: String,
    instructions: Vec<String>,
    text_field: String,
}

enum Encoder {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<File>>),
    Zstd(Box<zstd::Encoder<'static, File>>),
}

impl JsonlWriter {
    pub(super) fn new(target: Unfinished, plan: &Plan<'_>) -> Result<Self> {
        let failed = |cause| Error::write(&target.path, cause);
        let file = target.file.as_file().try_clone().map_err(failed)?;
        let encoder = match target
            .path
            .extension()
            .and_then(|extension| extension.to_str())
        {
            Some("gz") => Encoder::Gzip(Box::new(GzEncoder::new(
                file,
                flate2::Compression::default(),
            ))),
            Some("zst") => Encoder::Zstd(Box::new(zstd::Encoder::new(file, 3).map_err(failed)?)),
            _ => Encoder::Plain(BufWriter::new(file)),
        };
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

    fn encode(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.encoder {
            Encoder::Plain(writer) => writer.write_all(bytes),
            Encoder::Gzip(writer) => writer.write_all(bytes),
            Encoder::Zstd(writer) => writer.write_all(bytes),
        }
    }
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
        self.encode(&lines)
            .map_err(|cause| Error::write(&self.target.path, cause))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let path = self.target.path.clone();
        let failed = |cause| Error::write(&path, cause);
        match self.encoder {
            Encoder::Plain(mut writer) => writer.flush().map_err(failed)?,
            Encoder::Gzip(writer) => drop(writer.finish().map_err(failed)?),
            Encoder::Zstd(writer) => drop(writer.finish().map_err(failed)?),
        }
        let mut sidecar = path.clone().into_os_string();
        sidecar.push(".meta.json");
        let mut file = Unfinished::new(&PathBuf::from(sidecar))?;
        file.file
            .write_all(self.metadata.as_bytes())
            .map_err(failed)?;
        file.persist()?;
        self.target.persist()
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
