//! Weights in files: where each tensor lies, and its rows as f32.
//!
//! Files are mapped, never read as a whole, and nothing here keeps a converted tensor: a caller
//! asks for a range of rows and gets them as f32 in its own buffer. Packing a matrix for the
//! kernels piece by piece and looking up one token's embedding are the same call.
//!
//! Sizes are checked against the file when it is opened, so that reading rows cannot fail on
//! what the file says, only on what the caller asks for.

mod dtype;
mod gguf;
mod gguf_header;
#[cfg(test)]
pub(crate) mod lies;
mod mmap;
mod shard;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use dtype::Dtype;
pub use gguf::Metadata;
pub use mmap::MappedFile;

use crate::{Error, Result};

/// All tensors of a model, from one GGUF file or from one or several safetensors files.
#[derive(Debug)]
pub struct Weights {
    files: Vec<MappedFile>,
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
    /// For messages: the types that the file format's reader supports.
    supported: &'static str,
}

/// A tensor's name and place; the layout's error is the name of an unsupported type.
#[derive(Debug)]
struct Entry {
    name: String,
    file: usize,
    layout: Result<Layout, String>,
}

/// Where a tensor's numbers lie: `rows` × `row_len`, row after row.
#[derive(Debug)]
struct Layout {
    dtype: Dtype,
    shape: Vec<usize>,
    rows: usize,
    row_len: usize,
    row_bytes: usize,
    start: usize,
}

impl Layout {
    /// Checks a declared shape against the file; the error continues "tensor `x` …".
    fn new(dtype: Dtype, shape: Vec<usize>, start: usize, file_len: usize) -> Result<Self, String> {
        // A vector is one row, a scalar one row of one number.
        let row_len = shape.last().copied().unwrap_or(1);
        let leading = shape.split_last().map_or(&[][..], |(_, leading)| leading);
        let rows = leading.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if !row_len.is_multiple_of(dtype.block_len()) {
            return Err(format!(
                "has rows of {row_len} numbers, which is no multiple of the {} of a block",
                dtype.block_len()
            ));
        }
        let row_bytes = (row_len / dtype.block_len()).checked_mul(dtype.block_bytes());
        let end = rows
            .zip(row_bytes)
            .and_then(|(rows, bytes)| rows.checked_mul(bytes))
            .and_then(|bytes| start.checked_add(bytes))
            .filter(|&end| end <= file_len);
        let (Some(rows), Some(row_bytes), Some(_)) = (rows, row_bytes, end) else {
            return Err(format!(
                "of shape {shape:?} at byte {start} ends outside the file of {file_len} bytes"
            ));
        };
        Ok(Self {
            dtype,
            shape,
            rows,
            row_len,
            row_bytes,
            start,
        })
    }
}

impl Weights {
    /// Opens a model's safetensors files; several are shards of one set of tensors.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::WeightsFormat`] when a header or a size does not hold, when no file
    /// is given, or when two shards name the same tensor.
    pub fn open_safetensors(paths: &[PathBuf]) -> Result<Self> {
        let files = paths.iter().map(|path| MappedFile::open(path));
        Self::shards(files.collect::<Result<_>>()?)
    }

    /// The same of one safetensors file that is compiled in; `path` stands for it in messages.
    pub(crate) fn of_bytes(path: &Path, bytes: &'static [u8]) -> Result<Self> {
        Self::shards(vec![MappedFile::of_bytes(path, bytes)])
    }

    fn shards(files: Vec<MappedFile>) -> Result<Self> {
        let mut entries = Vec::new();
        for (index, file) in files.iter().enumerate() {
            entries.extend(shard::entries(file, index)?);
        }
        Self::new(files, entries, "safetensors", dtype::SAFETENSORS_SUPPORTED)
    }

    /// Opens a GGUF file: its tensors and its metadata.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::WeightsFormat`] when the header or a size does not hold;
    /// [`Error::TensorType`] when any tensor is stored in a format that is not read.
    pub fn open_gguf(path: &Path) -> Result<(Self, Metadata)> {
        let file = MappedFile::open(path)?;
        let (entries, metadata) = gguf::read(&file)?;
        let weights = Self::new(vec![file], entries, "GGUF", dtype::GGUF_SUPPORTED)?;
        Ok((weights, metadata))
    }

    fn new(
        files: Vec<MappedFile>,
        mut entries: Vec<Entry>,
        format: &'static str,
        supported: &'static str,
    ) -> Result<Self> {
        let bad = |path: &Path, problem| Error::WeightsFormat {
            path: path.to_path_buf(),
            format,
            problem,
            source: None,
        };
        if files.is_empty() {
            return Err(bad(Path::new(""), "no file was given".into()));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut index = HashMap::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            if index.insert(entry.name.clone(), i).is_some() {
                let problem = format!("tensor `{}` is there twice", entry.name);
                return Err(bad(files[entry.file].path(), problem));
            }
        }
        Ok(Self {
            files,
            entries,
            index,
            supported,
        })
    }

    /// Gives the files' pages back to the system until they are read again: for after packing, when
    /// the numbers would otherwise be in memory twice.
    pub fn release(&self) {
        self.files.iter().for_each(MappedFile::release);
    }

    /// The files, in the order they were given.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(MappedFile::path)
    }

    /// All names, sorted, those of unsupported types included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Whether a tensor of this name is stored, in whatever type.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// [`Error::TensorMissing`], [`Error::TensorType`].
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        self.view(self.find(name)?)
    }

    /// The same as a handle that keeps the files open, for a model to hold on to.
    ///
    /// # Errors
    /// [`Error::TensorMissing`], [`Error::TensorType`].
    pub fn handle(self: &Arc<Self>, name: &str) -> Result<Tensor> {
        let entry = self.find(name)?;
        self.view(entry)?;
        Ok(Tensor {
            weights: Arc::clone(self),
            entry,
        })
    }

    /// Row-major shape in the order of Hugging Face files: a linear layer is `[out, in]`.
    ///
    /// # Errors
    /// As [`Weights::tensor`].
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(self.tensor(name)?.shape())
    }

    /// Refuses a tensor of another shape.
    ///
    /// # Errors
    /// [`Error::TensorShape`], and as [`Weights::tensor`].
    pub fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        self.tensor(name)?.expect_shape(expected)
    }

    /// Rows of a tensor as f32; see [`TensorView::read_rows`].
    ///
    /// # Errors
    /// [`Error::TensorRows`], and as [`Weights::tensor`].
    pub fn read_rows(&self, name: &str, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        self.tensor(name)?.read_rows(rows, out)
    }

    fn find(&self, name: &str) -> Result<usize> {
        self.index
            .get(name)
            .copied()
            .ok_or_else(|| Error::TensorMissing {
                path: self.files[0].path().to_path_buf(),
                tensor: name.to_owned(),
            })
    }

    fn view(&self, entry: usize) -> Result<TensorView<'_>> {
        let entry = &self.entries[entry];
        let file = &self.files[entry.file];
        match &entry.layout {
            Ok(layout) => Ok(TensorView {
                name: &entry.name,
                file,
                layout,
            }),
            Err(dtype) => Err(Error::TensorType {
                path: file.path().to_path_buf(),
                tensor: entry.name.clone(),
                dtype: dtype.clone(),
                supported: self.supported,
            }),
        }
    }
}

/// One tensor, by reference. Copying it is free.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    name: &'a str,
    file: &'a MappedFile,
    layout: &'a Layout,
}

impl<'a> TensorView<'a> {
    /// The name in the file.
    pub fn name(self) -> &'a str {
        self.name
    }

    /// Row-major, `[out, in]` for a linear layer.
    pub fn shape(self) -> &'a [usize] {
        &self.layout.shape
    }

    /// The product of all dimensions but the last; 1 for a vector.
    pub fn rows(self) -> usize {
        self.layout.rows
    }

    /// The last dimension.
    pub fn row_len(self) -> usize {
        self.layout.row_len
    }

    /// How the numbers are stored.
    pub fn dtype(self) -> Dtype {
        self.layout.dtype
    }

    /// Refuses another shape.
    ///
    /// # Errors
    /// [`Error::TensorShape`].
    pub fn expect_shape(self, expected: &[usize]) -> Result<()> {
        if self.shape() == expected {
            return Ok(());
        }
        Err(Error::TensorShape {
            path: self.file.path().to_path_buf(),
            tensor: self.name.to_owned(),
            expected: expected.to_vec(),
            found: self.shape().to_vec(),
        })
    }

    /// Converts `rows` to f32: `out` is `rows.len()` × [`TensorView::row_len`], row-major.
    /// A vector is one row.
    ///
    /// # Errors
    /// [`Error::TensorRows`] when the rows or the buffer's length do not fit the tensor.
    pub fn read_rows(self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let layout = self.layout;
        let wanted = rows.len().checked_mul(layout.row_len);
        if rows.start > rows.end || rows.end > layout.rows || wanted != Some(out.len()) {
            return Err(Error::TensorRows {
                path: self.file.path().to_path_buf(),
                tensor: self.name.to_owned(),
                start: rows.start,
                end: rows.end,
                rows: layout.rows,
                row_len: layout.row_len,
                buffer: out.len(),
            });
        }
        // Inside the file, since `rows.end` times a row was checked to be when it was opened.
        let start = layout.start + rows.start * layout.row_bytes;
        let end = layout.start + rows.end * layout.row_bytes;
        layout.dtype.to_f32(&self.file[start..end], out);
        Ok(())
    }
}

/// One tensor with a share in its files.
#[derive(Debug, Clone)]
pub struct Tensor {
    weights: Arc<Weights>,
    entry: usize,
}

impl Tensor {
    /// All tensors of the checkpoint that this one is part of.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The tensor by reference.
    pub fn view(&self) -> TensorView<'_> {
        self.weights
            .view(self.entry)
            .expect("a handle is only made of a tensor whose type is supported")
    }
}
