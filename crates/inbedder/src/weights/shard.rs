//! Where the tensors of a safetensors file lie.
//!
//! The header is taken apart here and only its JSON is given to the `safetensors` crate, whose
//! own whole-file reader adds up declared sizes without a check.

use std::collections::HashMap;

use safetensors::tensor::Metadata;

use super::dtype::Dtype;
use super::mmap::MappedFile;
use super::{Entry, Layout};
use crate::{Error, Result};

/// A header of this size would describe some 80,000 tensors. It bounds the memory that a
/// crafted header can claim: parsing takes at most about 100 bytes for each of its bytes.
const HEADER_LIMIT: usize = 8 << 20;

/// Reads the header of `file`, which is number `index` among the shards.
pub(super) fn entries(file: &MappedFile, index: usize) -> Result<Vec<Entry>> {
    let bad = |problem: String, source| Error::WeightsFormat {
        path: file.path().to_path_buf(),
        format: "safetensors",
        problem,
        source,
    };
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        let problem = format!("it has {} bytes, fewer than a header", file.len());
        return Err(bad(problem, None));
    };
    let length = u64::from_le_bytes(*length);
    let length = usize::try_from(length)
        .ok()
        .filter(|&n| n <= rest.len())
        .ok_or_else(|| {
            let rest = rest.len();
            bad(
                format!("its header claims {length} bytes, but {rest} follow"),
                None,
            )
        })?;
    if length > HEADER_LIMIT {
        let problem = format!("its header of {length} bytes is over the limit of {HEADER_LIMIT}");
        return Err(bad(problem, None));
    }
    let (header, data) = rest.split_at(length);
    let header: Metadata = serde_json::from_slice(header).map_err(|source| {
        bad(
            format!("its header is wrong: {source}"),
            Some(Box::new(source)),
        )
    })?;
    if header.data_len() != data.len() {
        let (told, found) = (header.data_len(), data.len());
        return Err(bad(
            format!("its tensors take {told} bytes, but {found} follow the header"),
            None,
        ));
    }
    located(&header, file, index, 8 + length, bad)
}

/// Tensors of other types are named all the same: models carry some that nobody reads, such as
/// numbered positions, and only asking for one is an error.
fn located(
    header: &Metadata,
    file: &MappedFile,
    index: usize,
    data_start: usize,
    bad: impl Fn(String, Option<Box<dyn std::error::Error + Send + Sync>>) -> Error,
) -> Result<Vec<Entry>> {
    let tensors: HashMap<String, _> = header.tensors();
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, info) in tensors {
        // Offsets lie inside the data, which the header's own check and the length above ensure;
        // the sum is of two positions in a file.
        let start = data_start + info.data_offsets.0;
        let layout = match Dtype::from_safetensors(info.dtype) {
            Some(dtype) => Ok(Layout::new(dtype, info.shape.clone(), start, file.len())
                .map_err(|problem| bad(format!("tensor `{name}` {problem}"), None))?),
            None => Err(format!("{:?}", info.dtype)),
        };
        entries.push(Entry {
            name,
            file: index,
            layout,
        });
    }
    Ok(entries)
}
