//! Vectors made elsewhere (`--vectors`), so that any peer is scored by the same code.
//!
//! [`export_prompts`](crate::export_prompts) (module `export`) writes, for every data file, `NAME.prompts.jsonl`: a line
//! `{"text", "instruction"}` per prompt, and `vectors.json` beside them:
//!
//! ```json
//! {"name": "a peer", "files": {"corpus/reuters.jsonl.zst": {"prompts": "corpus_reuters.prompts.jsonl",
//!   "vectors": "corpus_reuters.npy", "count": 3140, "sha256": "… of the prompts' file"}}}
//! ```
//!
//! The peer embeds each line and writes `vectors`: float32, count × dimensions, in the order of the
//! lines, as .npy or as .safetensors with one tensor `embeddings`. A prompts' file that was changed
//! (order, length, contents) or vectors of another count are refused; so is a NaN, by its line. Vectors
//! for more prompts than a run wants are fine, for fewer are not.

use crate::manifest::json;
use crate::matrix::Matrix;
use crate::prompts::{Prompt, hex, key};
use crate::rows;
use crate::source::{Source, Work};
use crate::{Error, Result};
use inbedder::Progress;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The index's name in a folder of vectors.
pub(crate) const INDEX: &str = "vectors.json";

/// What a folder of vectors holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    pub(crate) name: String,
    /// By data file, as the manifest names it.
    pub(crate) files: BTreeMap<String, Entry>,
}

/// The vectors of one data file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) prompts: String,
    pub(crate) vectors: String,
    pub(crate) count: usize,
    pub(crate) sha256: String,
}

/// A line of a prompts' file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) instruction: String,
}

/// Vectors made elsewhere, one data file's at a time.
pub struct FileSource {
    folder: PathBuf,
    index: Index,
    places: HashMap<[u8; 16], usize>,
    matrix: Matrix,
}

impl FileSource {
    /// Opens a folder of vectors.
    ///
    /// # Errors
    /// An index that cannot be read or is none.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.to_path_buf(),
            index: json(&folder.join(INDEX))?,
            places: HashMap::new(),
            matrix: Matrix {
                data: Vec::new(),
                dim: 1,
            },
        })
    }

    /// What the index calls the vectors' maker.
    pub fn name(&self) -> &str {
        &self.index.name
    }

    fn load(&mut self, file: &str) -> Result<()> {
        let index = self.folder.join(INDEX);
        let Some(entry) = self.index.files.get(file) else {
            return Err(Error::vectors(&index, format!("has no vectors for {file}")));
        };
        let path = self.folder.join(&entry.prompts);
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let found = hex(&Sha256::digest(&bytes));
        if found != entry.sha256 {
            let problem =
                format!("was changed since its vectors were listed in {INDEX}: SHA-256 {found}");
            return Err(Error::vectors(&path, problem));
        }
        let lines: Vec<(usize, Line)> = rows::read(&path)?;
        let vectors = self.folder.join(&entry.vectors);
        let matrix = read(&vectors)?;
        if lines.len() != entry.count || matrix.rows() != entry.count {
            let problem = format!(
                "holds {} vectors for {} prompts, {INDEX} says {}",
                matrix.rows(),
                lines.len(),
                entry.count
            );
            return Err(Error::vectors(&vectors, problem));
        }
        if let Err(cause) = matrix.view() {
            return Err(Error::vectors(&vectors, cause));
        }
        let keys = lines
            .iter()
            .map(|(_, line)| key((&line.text, &line.instruction)));
        self.places = keys.zip(0..).collect();
        self.matrix = matrix;
        Ok(())
    }
}

/// A matrix out of .npy or .safetensors.
fn read(path: &Path) -> Result<Matrix> {
    let wrong = |problem: String| Error::vectors(path, problem);
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let (shape, data) = match path.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => {
            let npy = npyz::NpyFile::new(&bytes[..]).map_err(|cause| wrong(cause.to_string()))?;
            if npy.order() != npyz::Order::C {
                return Err(wrong("is in Fortran's order, expected C's".to_string()));
            }
            let shape: Vec<usize> = npy.shape().iter().map(|n| *n as usize).collect();
            let data = npy.into_vec::<f32>();
            (
                shape,
                data.map_err(|cause| wrong(format!("expected float32: {cause}")))?,
            )
        }
        Some("safetensors") => {
            let failed = |cause: safetensors::SafeTensorError| wrong(cause.to_string());
            let file = safetensors::SafeTensors::deserialize(&bytes).map_err(failed)?;
            let tensor = file.tensor("embeddings").map_err(failed)?;
            if tensor.dtype() != safetensors::Dtype::F32 {
                return Err(wrong(format!("holds {:?}, expected F32", tensor.dtype())));
            }
            let (numbers, _) = tensor.data().as_chunks::<4>();
            let data = numbers
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            (tensor.shape().to_vec(), data)
        }
        _ => {
            return Err(wrong(
                "unknown extension: expected .npy or .safetensors".to_string(),
            ));
        }
    };
    match shape[..] {
        [rows, dim] if dim > 0 && rows * dim == data.len() => Ok(Matrix { data, dim }),
        _ => Err(wrong(format!(
            "has the shape {shape:?}, expected prompts × dimensions"
        ))),
    }
}

impl Source for FileSource {
    fn describe(&self) -> Value {
        serde_json::json!({"vectors": self.index.name, "folder": self.folder.display().to_string()})
    }

    fn prepare(
        &mut self,
        file: &str,
        wanted: &[(&str, &str)],
        _progress: &dyn Progress,
    ) -> Result<Work> {
        self.load(file)?;
        let missing = wanted
            .iter()
            .find(|prompt| !self.places.contains_key(&key(**prompt)));
        if let Some((text, instruction)) = missing {
            let problem = format!(
                "the vectors for {file} are of other prompts: there is none for {instruction:?} about {:?}; \
                 write the prompts again with --export-prompts and the settings of this run",
                text.chars().take(60).collect::<String>()
            );
            return Err(Error::vectors(&self.folder.join(INDEX), problem));
        }
        Ok(Work {
            kept: wanted.len(),
            ..Work::default()
        })
    }

    fn vectors(&self, _reading: usize, prompts: &[Prompt<'_>]) -> Result<Matrix> {
        let rows: Option<Vec<usize>> = prompts
            .iter()
            .map(|prompt| self.places.get(&key(*prompt)).copied())
            .collect();
        let path = self.folder.join(INDEX);
        let rows = rows.ok_or_else(|| Error::vectors(&path, "lacks a prompt that was there"))?;
        Ok(self.matrix.gather(&rows))
    }
}
