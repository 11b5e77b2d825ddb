//! Finished parts of a job that is not finished: the folder `OUT.parts` holds what the model made of
//! each window of the input, so that the same command goes on where it was stopped.
//!
//! A part appears whole or not at all. The output itself is always written from its beginning, out of
//! parts and of new results alike, so it is the same to the byte however often the job was stopped.

use crate::error::{Error, Result};
use crate::input::Window;
use crate::output::beside;
use inbedder::Output;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The parts of one job.
pub(crate) struct Parts {
    folder: PathBuf,
    /// Results of another job or of another input are replaced instead of refused.
    force: bool,
    /// Removes the folder when dropped, if nobody is to go on from it.
    _temporary: Option<tempfile::TempDir>,
}

impl Parts {
    /// Where the parts of an output lie.
    pub(crate) fn folder(output: &Path) -> PathBuf {
        beside(output, ".parts")
    }

    /// Begins a job, or finds what is done of it. `job` says all that results depend on, beside the
    /// texts.
    ///
    /// # Errors
    /// A folder that cannot be written, or holds parts of another job (unless `force`).
    pub(crate) fn open(output: &Path, job: &Value, force: bool) -> Result<Self> {
        let parts = Self {
            folder: Self::folder(output),
            force,
            _temporary: None,
        };
        let failed = |cause| Error::write(&parts.folder, cause);
        let card = parts.folder.join("job.json");
        match std::fs::read(&card) {
            Ok(bytes) => {
                let earlier: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                match difference(&earlier, job) {
                    None => {
                        parts.sweep().map_err(failed)?;
                        return Ok(parts);
                    }
                    Some(_) if force => std::fs::remove_dir_all(&parts.folder).map_err(failed)?,
                    Some(difference) => {
                        let problem =
                            format!("is of another job ({difference}); --force begins anew");
                        return Err(Error::output(&parts.folder, problem));
                    }
                }
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed(cause)),
        }
        std::fs::create_dir_all(&parts.folder).map_err(failed)?;
        parts.write("job.json", job.to_string().as_bytes())?;
        Ok(parts)
    }

    /// Parts of a job that is not to be gone on with: they lie beside the output until it is there.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub(crate) fn temporary(output: &Path) -> Result<Self> {
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let folder = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(".parts")
            .tempdir_in(crate::output::folder(output))
            .map_err(|cause| Error::write(output, cause))?;
        Ok(Self {
            folder: folder.path().to_path_buf(),
            force: false,
            _temporary: Some(folder),
        })
    }

    /// What to say of a part that should be there.
    pub(crate) fn missing(&self, number: usize) -> Error {
        let problem = "is gone or damaged: it was removed while this ran";
        Error::output(&self.folder.join(name(number)), problem)
    }

    /// Removes what a killed process was writing.
    fn sweep(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "part") {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// What was made of the window with this number; `None` if it was not, or not to the end.
    ///
    /// # Errors
    /// A window that held other texts then (unless `force`).
    pub(crate) fn load(&self, number: usize, window: &Window) -> Result<Option<Output>> {
        let path = self.folder.join(name(number));
        let Ok(bytes) = std::fs::read(&path) else {
            return Ok(None);
        };
        match decode(&bytes) {
            Some((texts, output)) if texts == digest(window) => Ok(Some(output)),
            Some(_) if !self.force => {
                let problem = "the input has changed since this part was made; --force begins anew";
                Err(Error::output(&path, problem))
            }
            _ => Ok(None),
        }
    }

    /// Keeps what was made of a window.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn save(&self, number: usize, window: &Window, output: &Output) -> Result<()> {
        let vectors: Vec<u8> = output
            .embeddings
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let rows = output.embeddings.len().checked_div(output.dim).unwrap_or(0);
        let texts = digest(window);
        let answers = Value::from(output.answers.clone()).to_string();
        let stats = serde_json::json!(output.stats).to_string();
        let contents = Contents {
            texts: &texts,
            answers: &answers,
            stats: &stats,
            dim: output.dim,
            vectors: &vectors,
        };
        let seal = contents.seal();
        let metadata = [
            ("texts", texts),
            ("answers", answers),
            ("stats", stats),
            ("sha256", seal),
        ];
        let metadata = metadata.map(|(name, value)| (name.to_string(), value));
        let metadata = HashMap::from(metadata);
        let failed = |cause| Error::write(&self.folder, std::io::Error::other(cause));
        let view = TensorView::new(Dtype::F32, vec![rows, output.dim], &vectors).map_err(failed)?;
        let bytes =
            safetensors::serialize([("embeddings", view)], Some(metadata)).map_err(failed)?;
        self.write(&name(number), &bytes)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let failed = |cause| Error::write(&self.folder, cause);
        let mut file = tempfile::Builder::new()
            .suffix(".part")
            .tempfile_in(&self.folder)
            .map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(self.folder.join(name))
            .map_err(|failure| failed(failure.error))?;
        Ok(())
    }

    /// The output is there: its parts are no longer needed.
    ///
    /// # Errors
    /// A folder that cannot be removed.
    pub(crate) fn remove(output: &Path) -> Result<()> {
        let folder = Self::folder(output);
        match std::fs::remove_dir_all(&folder) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::output(&folder, cause))
            }
            _ => Ok(()),
        }
    }
}

fn name(number: usize) -> String {
    format!("{number:08}.safetensors")
}

/// SHA-256 of a window's texts.
fn digest(window: &Window) -> String {
    sha256(window.texts.iter().map(String::as_bytes))
}

/// SHA-256 of several pieces, each with its length.
fn sha256<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update((piece.len() as u64).to_le_bytes());
        hash.update(piece);
    }
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All that a part says beside its seal, for the seal.
struct Contents<'a> {
    texts: &'a str,
    answers: &'a str,
    stats: &'a str,
    dim: usize,
    vectors: &'a [u8],
}

impl Contents<'_> {
    /// SHA-256 of all of it: a part with a bit that fell over is made again.
    fn seal(&self) -> String {
        let dim = (self.dim as u64).to_le_bytes();
        let words = [self.texts, self.answers, self.stats].map(str::as_bytes);
        sha256(words.into_iter().chain([&dim, self.vectors]))
    }
}

/// A part's digest of texts and results; `None` if the file is damaged.
fn decode(bytes: &[u8]) -> Option<(String, Output)> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let metadata = header.metadata().as_ref()?;
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let vectors = tensors.tensor("embeddings").ok()?;
    let contents = Contents {
        texts: metadata.get("texts")?,
        answers: metadata.get("answers")?,
        stats: metadata.get("stats")?,
        dim: *vectors.shape().get(1)?,
        vectors: vectors.data(),
    };
    if contents.seal() != *metadata.get("sha256")? {
        return None;
    }
    let (chunks, _) = contents.vectors.as_chunks::<4>();
    let numbers = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let output = Output {
        dim: contents.dim,
        embeddings: numbers.collect(),
        answers: serde_json::from_str(contents.answers).ok()?,
        stats: serde_json::from_str(contents.stats).ok()?,
        ..Output::default()
    };
    Some((contents.texts.to_string(), output))
}

/// The first field in which two jobs differ.
fn difference(earlier: &Value, job: &Value) -> Option<String> {
    let fields = job.as_object()?;
    let differs = fields
        .iter()
        .find(|(name, value)| earlier.get(name) != Some(value));
    differs.map(|(name, value)| {
        let there = earlier.get(name).unwrap_or(&Value::Null);
        format!("{name} {there} there, {value} here")
    })
}
