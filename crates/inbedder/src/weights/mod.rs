//! Weights as they lie in their files: memory-mapped, and turned into f32 row by row when asked.
//!
//! Rows are the unit because everything reads rows: packing a matrix goes through them once, and a
//! token's embedding is one. So no tensor ever exists in full beside the file and its packed form.

mod gguf;
#[allow(unsafe_code)]
mod mmap;
mod safetensors;

pub use gguf::Metadata;

use crate::{Error, Result};
use candle_core::Device;
use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};
use half::{bf16, f16};
use mmap::MappedFile;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tensors of a checkpoint, by name.
pub struct Weights {
    files: Vec<MappedFile>,
    tensors: HashMap<String, Entry>,
}

/// Where a tensor lies and what it is.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    file: usize,
    /// Inside the file (checked when it was opened).
    bytes: Range<usize>,
    kind: Kind,
    /// `[out, in]` for a linear layer, as Hugging Face has it.
    shape: Vec<usize>,
}

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    F32,
    F16,
    Bf16,
    /// Blocks of quantised numbers, dequantised by candle.
    Blocks(GgmlDType),
}

impl Kind {
    /// Numbers per block.
    fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Blocks(kind) => kind.block_size(),
        }
    }

    /// Bytes per block.
    fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Blocks(kind) => kind.type_size(),
        }
    }

    /// Bytes of a tensor; `None` for sizes that overflow or rows that are no whole blocks.
    fn bytes(self, shape: &[usize]) -> Option<usize> {
        let count = shape
            .iter()
            .try_fold(1usize, |n, dim| n.checked_mul(*dim))?;
        let row = shape.last().copied().unwrap_or(1);
        let whole = row.is_multiple_of(self.block());
        whole
            .then(|| (count / self.block()).checked_mul(self.block_bytes()))
            .flatten()
    }
}

impl Weights {
    /// Opens safetensors files: one, or the shards of one model.
    ///
    /// # Errors
    /// A file that cannot be mapped, is damaged, or holds a number type other than F32, F16, BF16;
    /// a tensor that is in two files.
    pub fn open_safetensors(paths: &[PathBuf]) -> Result<Self> {
        let mut weights = Self {
            files: Vec::new(),
            tensors: HashMap::new(),
        };
        for path in paths {
            let file = MappedFile::open(path)?;
            for (name, entry) in safetensors::entries(&file, weights.files.len())? {
                if weights.tensors.insert(name.clone(), entry).is_some() {
                    return Err(Error::damaged(
                        path,
                        format!("tensor {name} is in two files"),
                    ));
                }
            }
            weights.files.push(file);
        }
        Ok(weights)
    }

    /// Opens a GGUF file.
    ///
    /// # Errors
    /// A file that cannot be mapped, is damaged, or holds a number type that is not supported.
    pub fn open_gguf(path: &Path) -> Result<(Self, Metadata)> {
        let file = MappedFile::open(path)?;
        let (tensors, metadata) = gguf::open(&file)?;
        Ok((
            Self {
                files: vec![file],
                tensors,
            },
            metadata,
        ))
    }

    /// Names of all tensors, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A tensor.
    ///
    /// # Errors
    /// [`Error::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(Error::MissingTensor {
                path: self.path(0).to_path_buf(),
                tensor: name.to_string(),
            });
        };
        Ok(TensorView {
            bytes: &self.files[entry.file][entry.bytes.clone()],
            entry,
            file: &self.files[entry.file],
        })
    }

    /// A tensor that keeps its file mapped.
    ///
    /// # Errors
    /// [`Error::MissingTensor`].
    pub fn owned_tensor(weights: &Arc<Self>, name: &str) -> Result<Tensor> {
        let entry = weights.tensor(name)?.entry.clone();
        Ok(Tensor {
            weights: Arc::clone(weights),
            entry,
        })
    }

    /// Checks a tensor's shape.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], or [`Error::TensorShape`] with both shapes.
    pub fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        let found = self.tensor(name)?;
        if found.shape() == expected {
            return Ok(());
        }
        Err(Error::TensorShape {
            path: found.file.path().to_path_buf(),
            tensor: name.to_string(),
            expected: expected.to_vec(),
            found: found.shape().to_vec(),
        })
    }

    fn path(&self, file: usize) -> &Path {
        self.files.get(file).map_or(Path::new(""), MappedFile::path)
    }
}

/// A tensor in its mapped file.
#[derive(Clone, Copy)]
pub struct TensorView<'a> {
    file: &'a MappedFile,
    bytes: &'a [u8],
    entry: &'a Entry,
}

/// A tensor that keeps its file mapped.
#[derive(Clone)]
pub struct Tensor {
    weights: Arc<Weights>,
    entry: Entry,
}

impl Tensor {
    /// See [`TensorView::read_rows`].
    ///
    /// # Errors
    /// As there.
    pub fn read_rows(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let file = &self.weights.files[self.entry.file];
        TensorView {
            file,
            bytes: &file[self.entry.bytes.clone()],
            entry: &self.entry,
        }
        .read_rows(rows, out)
    }
}

impl TensorView<'_> {
    /// `[out, in]` for a linear layer, as Hugging Face has it.
    pub fn shape(&self) -> &[usize] {
        &self.entry.shape
    }

    /// Numbers per row; a vector is one row.
    fn row_len(&self) -> usize {
        match self.entry.shape.as_slice() {
            [len] => *len,
            [_, rest @ ..] => rest.iter().product(),
            [] => 1,
        }
    }

    /// Reads rows as f32 into `out`, `[row][row length]`.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the rows are not there, `out` has another length, or the blocks
    /// cannot be dequantised.
    pub fn read_rows(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let len = self.row_len();
        let row_bytes = len / self.entry.kind.block() * self.entry.kind.block_bytes();
        let bytes = rows
            .start
            .checked_mul(row_bytes)
            .zip(rows.end.checked_mul(row_bytes));
        let bytes = bytes.and_then(|(start, end)| self.bytes.get(start..end));
        let Some(bytes) = bytes.filter(|_| out.len() == rows.len() * len) else {
            let problem = format!(
                "rows {rows:?} asked of a tensor of shape {:?}",
                self.shape()
            );
            return Err(Error::damaged(self.file.path(), problem));
        };
        match self.entry.kind {
            Kind::F32 => convert(bytes, out, f32::from_le_bytes),
            Kind::F16 => convert(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            Kind::Bf16 => convert(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            Kind::Blocks(kind) => {
                let numbers = qtensor_from_ggml(kind, bytes, vec![out.len()], &Device::Cpu)
                    .and_then(|blocks| blocks.dequantize(&Device::Cpu)?.to_vec1::<f32>())
                    .map_err(|cause| Error::damaged(self.file.path(), cause.to_string()))?;
                out.copy_from_slice(&numbers);
            }
        }
        Ok(())
    }
}

fn convert<const N: usize>(bytes: &[u8], out: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    let (chunks, _) = bytes.as_chunks::<N>();
    for (value, chunk) in out.iter_mut().zip(chunks) {
        *value = number(*chunk);
    }
}

impl Error {
    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            problem: problem.into(),
        }
    }
}
