//! Limits on a GGUF header, checked before candle-core reads it.
//!
//! candle-core's reader bounds strings and counts by the file's size, but three things are left:
//! an alignment of zero makes it divide by zero, an array of bytes takes 32 times its size, and
//! a repeated name silently hides the first. This walk excludes them and names the tensor whose
//! type is unknown. It builds nothing, so it takes no memory worth a limit.

use super::dtype::{Dtype, GGUF_SUPPORTED};

/// Array elements in all metadata together: some eight times the largest vocabularies with their
/// scores, types and merges. Each takes 32 bytes when read.
const ELEMENTS: u64 = 8 << 20;
/// Arrays inside arrays.
const DEPTH: usize = 4;
/// Metadata entries, and tensors: far above any model.
const ENTRIES: u64 = 1 << 16;

/// What the header declares.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) tensors: usize,
    pub(super) entries: usize,
    /// Bytes; a power of two.
    pub(super) alignment: u64,
}

/// Why a header is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    Malformed(String),
    Type { tensor: String, dtype: String },
}

impl From<String> for Refusal {
    fn from(problem: String) -> Self {
        Self::Malformed(problem)
    }
}

/// Walks the whole header.
pub(super) fn check(bytes: &[u8]) -> Result<Header, Refusal> {
    let mut walk = Walk {
        bytes,
        at: 0,
        elements: 0,
    };
    let magic = walk.take(4)?;
    if magic != b"GGUF" {
        return Err("it does not begin with `GGUF`".to_owned().into());
    }
    let version = walk.u32()?;
    if version != 2 && version != 3 {
        return Err(format!("it has version {version}; 2 and 3 are read").into());
    }
    let (tensors, entries) = (walk.u64()?, walk.u64()?);
    if tensors > ENTRIES || entries > ENTRIES {
        return Err(format!(
            "it declares {tensors} tensors and {entries} metadata entries; {ENTRIES} are allowed"
        )
        .into());
    }
    let mut header = Header {
        // At most `ENTRIES`, which any usize holds.
        tensors: tensors as usize,
        entries: entries as usize,
        alignment: 32,
    };
    for _ in 0..entries {
        walk.entry(&mut header)?;
    }
    for _ in 0..tensors {
        walk.tensor()?;
    }
    Ok(header)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    elements: u64,
}

impl<'a> Walk<'a> {
    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(n).ok().and_then(|n| rest.get(..n));
        let taken = taken.ok_or_else(|| {
            let (at, rest) = (self.at, rest.len());
            format!("at byte {at} the header needs {n} more bytes, but {rest} are left")
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn u64(&mut self) -> Result<u64, String> {
        let (low, high) = (self.u32()?, self.u32()?);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    fn string(&mut self) -> Result<&'a [u8], String> {
        let n = self.u64()?;
        self.take(n)
    }

    fn entry(&mut self, header: &mut Header) -> Result<(), String> {
        let key = self.string()?;
        let kind = self.u32()?;
        let start = self.at;
        let name = |key| String::from_utf8_lossy(key).into_owned();
        self.values(kind, 1, 0)
            .map_err(|problem| format!("metadata key `{}`: {problem}", name(key)))?;
        if key == b"general.alignment" {
            // Blocks are read in place, as numbers of two bytes; 8 is the smallest that writers use.
            let value = &self.bytes[start..self.at];
            header.alignment = match (kind, value) {
                (4, &[a, b, c, d]) => u64::from(u32::from_le_bytes([a, b, c, d])),
                _ => 0,
            };
            if !header.alignment.is_power_of_two() || !(8..=1 << 16).contains(&header.alignment) {
                return Err(
                    "metadata key `general.alignment` is no u32 power of two from 8 to 65536"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    /// Steps over `n` values of a type.
    fn values(&mut self, kind: u32, n: u64, depth: usize) -> Result<(), String> {
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                for _ in 0..n {
                    self.string()?;
                }
                return Ok(());
            }
            9 if depth < DEPTH => {
                for _ in 0..n {
                    let (kind, n) = (self.u32()?, self.u64()?);
                    self.elements = self.elements.saturating_add(n);
                    if self.elements > ELEMENTS {
                        return Err(format!(
                            "with its {n} elements the arrays exceed the limit of {ELEMENTS}"
                        ));
                    }
                    self.values(kind, n, depth + 1)?;
                }
                return Ok(());
            }
            9 => return Err(format!("arrays are nested more than {DEPTH} deep")),
            _ => return Err(format!("{kind} is no value type")),
        };
        self.take(n.saturating_mul(size)).map(|_| ())
    }

    fn tensor(&mut self) -> Result<(), Refusal> {
        let name = String::from_utf8_lossy(self.string()?).into_owned();
        let dims = self.u32()?;
        if dims > 4 {
            return Err(format!("tensor `{name}` has {dims} dimensions; 4 are allowed").into());
        }
        self.take(8 * u64::from(dims))?;
        let kind = self.u32()?;
        self.u64()?;
        match Dtype::from_ggml(kind) {
            Ok(_) => Ok(()),
            Err(dtype) => Err(Refusal::Type {
                tensor: name,
                dtype: dtype.into_owned(),
            }),
        }
    }
}

impl Refusal {
    /// As this crate's error.
    pub(super) fn at(self, path: &std::path::Path) -> crate::Error {
        let path = path.to_path_buf();
        match self {
            Self::Malformed(problem) => crate::Error::WeightsFormat {
                path,
                format: "GGUF",
                problem,
                source: None,
            },
            Self::Type { tensor, dtype } => crate::Error::TensorType {
                path,
                tensor,
                dtype,
                supported: GGUF_SUPPORTED,
            },
        }
    }
}
