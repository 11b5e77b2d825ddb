//! Tensors and metadata of a GGUF file, read by candle.

use super::mmap::MappedFile;
use super::{Entry, Kind};
use crate::{Error, Result};
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Metadata of a GGUF file, by key.
#[derive(Debug)]
pub struct Metadata {
    path: PathBuf,
    values: HashMap<String, Value>,
}

/// Reads the header: every tensor's place, checked against the file, and the metadata.
pub(super) fn open(file: &MappedFile) -> Result<(HashMap<String, Entry>, Metadata)> {
    let damaged = |problem: String| Error::damaged(file.path(), problem);
    refuse_zero_alignment(file)?;
    let content =
        Content::read(&mut Cursor::new(&file[..])).map_err(|cause| damaged(cause.to_string()))?;
    let mut tensors = HashMap::new();
    for (name, info) in content.tensor_infos {
        let kind = kind(info.ggml_dtype).ok_or_else(|| Error::TensorType {
            path: file.path().to_path_buf(),
            tensor: name.clone(),
            found: format!("{:?}", info.ggml_dtype),
        })?;
        let shape = info.shape.into_dims();
        let bytes = kind.bytes(&shape).and_then(|len| {
            let start =
                usize::try_from(content.tensor_data_offset.checked_add(info.offset)?).ok()?;
            Some(start..start.checked_add(len)?)
        });
        // Blocks hold two-byte numbers; candle reads them in place.
        let fits = |bytes: &std::ops::Range<usize>| bytes.end <= file.len() && bytes.start % 2 == 0;
        let Some(bytes) = bytes.filter(fits) else {
            return Err(damaged(format!(
                "tensor {name} of shape {shape:?} lies outside the file or off its alignment"
            )));
        };
        tensors.insert(
            name,
            Entry {
                file: 0,
                bytes,
                kind,
                shape,
            },
        );
    }
    Ok((
        tensors,
        Metadata {
            path: file.path().to_path_buf(),
            values: content.metadata,
        },
    ))
}

/// Candle divides by the alignment that a file gives.
fn refuse_zero_alignment(file: &MappedFile) -> Result<()> {
    const KEY: &[u8] = b"general.alignment";
    let zero = |at: usize| {
        let value = file.get(at + KEY.len() + 4..).unwrap_or_default();
        // 1, 2 or 4 bytes wide; a wider type is ignored by candle.
        value.first() == Some(&0)
    };
    if file
        .windows(KEY.len())
        .take(1 << 20)
        .enumerate()
        .any(|(at, window)| window == KEY && zero(at))
    {
        return Err(Error::damaged(
            file.path(),
            "general.alignment is 0 or a multiple of 256",
        ));
    }
    Ok(())
}

fn kind(dtype: GgmlDType) -> Option<Kind> {
    match dtype {
        GgmlDType::F32 => Some(Kind::F32),
        GgmlDType::F16 => Some(Kind::F16),
        GgmlDType::BF16 => Some(Kind::Bf16),
        GgmlDType::Q4_0
        | GgmlDType::Q4_1
        | GgmlDType::Q5_0
        | GgmlDType::Q5_1
        | GgmlDType::Q8_0
        | GgmlDType::Q2K
        | GgmlDType::Q3K
        | GgmlDType::Q4K
        | GgmlDType::Q5K
        | GgmlDType::Q6K => Some(Kind::Blocks(dtype)),
        _ => None,
    }
}

/// `typed!(name, optional_name, "what", Type, method)`: a required and an optional getter.
macro_rules! typed {
    ($required:ident, $optional:ident, $what:literal, $type:ty, $value:pat => $out:expr) => {
        #[doc = concat!("The ", $what, " under a key, `None` when the key is absent.")]
        ///
        /// # Errors
        /// [`Error::Metadata`] when the value is of another type.
        pub fn $optional(&self, key: &str) -> Result<Option<$type>> {
            match self.values.get(key) {
                None => Ok(None),
                Some($value) => Ok(Some($out)),
                Some(other) => Err(self.wrong(key, $what, format!("{:?}", other.value_type()))),
            }
        }

        #[doc = concat!("The ", $what, " under a key.")]
        ///
        /// # Errors
        /// [`Error::Metadata`] when the key is absent or its value of another type.
        pub fn $required(&self, key: &str) -> Result<$type> {
            self.$optional(key)?
                .ok_or_else(|| self.wrong(key, $what, "nothing".to_string()))
        }
    };
}

impl Metadata {
    typed!(str, optional_str, "string", &str, Value::String(text) => text.as_str());
    typed!(u32, optional_u32, "32-bit unsigned number", u32, Value::U32(number) => *number);
    typed!(f32, optional_f32, "32-bit float", f32, Value::F32(number) => *number);
    typed!(bool, optional_bool, "truth value", bool, Value::Bool(truth) => *truth);

    /// The list of strings under a key.
    ///
    /// # Errors
    /// [`Error::Metadata`] when the key is absent or its value of another type.
    pub fn strings(&self, key: &str) -> Result<Vec<&str>> {
        self.list(key, "list of strings", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The list of floats under a key.
    ///
    /// # Errors
    /// As for [`Self::strings`].
    pub fn f32s(&self, key: &str) -> Result<Vec<f32>> {
        self.list(key, "list of 32-bit floats", |value| match value {
            Value::F32(number) => Some(*number),
            _ => None,
        })
    }

    /// The list of signed numbers under a key.
    ///
    /// # Errors
    /// As for [`Self::strings`].
    pub fn i32s(&self, key: &str) -> Result<Vec<i32>> {
        self.list(key, "list of 32-bit numbers", |value| match value {
            Value::I32(number) => Some(*number),
            Value::U32(number) => i32::try_from(*number).ok(),
            _ => None,
        })
    }

    fn list<'a, T>(
        &'a self,
        key: &str,
        what: &'static str,
        item: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Vec<T>> {
        let Some(value) = self.values.get(key) else {
            return Err(self.wrong(key, what, "nothing".to_string()));
        };
        let Value::Array(values) = value else {
            return Err(self.wrong(key, what, format!("{:?}", value.value_type())));
        };
        let items: Option<Vec<T>> = values.iter().map(item).collect();
        items.ok_or_else(|| self.wrong(key, what, "a list with other items".to_string()))
    }

    /// Whether there is a value under a key.
    pub fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn wrong(&self, key: &str, expected: &'static str, found: String) -> Error {
        Error::Metadata {
            path: self.path.clone(),
            key: key.to_string(),
            expected,
            found,
        }
    }
}
