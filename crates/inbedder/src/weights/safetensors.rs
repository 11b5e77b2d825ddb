//! Tensors of a safetensors file; header and bounds are checked by the `safetensors` crate.

use super::mmap::MappedFile;
use super::{Entry, Kind};
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors};

/// Name and place of every tensor.
pub(super) fn entries(file: &MappedFile, index: usize) -> Result<Vec<(String, Entry)>> {
    let damaged = |problem: String| Error::damaged(file.path(), problem);
    let (header, metadata) =
        SafeTensors::read_metadata(file).map_err(|cause| damaged(cause.to_string()))?;
    // Behind the 8 bytes that hold the header's length.
    let data = header + 8;
    let mut entries = Vec::new();
    for (name, info) in metadata.tensors() {
        let kind = match info.dtype {
            Dtype::F32 => Kind::F32,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            other => {
                return Err(Error::TensorType {
                    path: file.path().to_path_buf(),
                    tensor: name,
                    found: format!("{other:?}"),
                });
            }
        };
        let (start, end) = info.data_offsets;
        let bytes = data
            .checked_add(start)
            .zip(data.checked_add(end))
            .map(|(start, end)| start..end);
        let fits = |bytes: &std::ops::Range<usize>| {
            bytes.end <= file.len() && kind.bytes(&info.shape) == bytes.end.checked_sub(bytes.start)
        };
        let Some(bytes) = bytes.filter(fits) else {
            return Err(damaged(format!(
                "tensor {name} lies outside the file, or its size is not its shape's"
            )));
        };
        entries.push((
            name,
            Entry {
                file: index,
                bytes,
                kind,
                shape: info.shape.clone(),
            },
        ));
    }
    Ok(entries)
}
