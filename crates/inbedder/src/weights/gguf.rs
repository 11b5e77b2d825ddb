//! The tensors and the metadata of a GGUF file, by candle-core's reader.
//!
//! Dimensions come out in the order of Hugging Face files. What a key means is the business of
//! the model families and of the tokenizer; here a key has a type and nothing more.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};

use super::dtype::Dtype;
use super::mmap::MappedFile;
use super::{Entry, Layout, gguf_header};
use crate::{Error, Result};

pub(super) fn read(file: &MappedFile) -> Result<(Vec<Entry>, Metadata)> {
    let bad = |problem, source| Error::WeightsFormat {
        path: file.path().to_path_buf(),
        format: "GGUF",
        problem,
        source,
    };
    let header = gguf_header::check(file).map_err(|refusal| refusal.at(file.path()))?;
    let content = Content::read(&mut Cursor::new(&file[..])).map_err(|source| {
        bad(
            format!("its header is wrong: {source}"),
            Some(Box::new(source)),
        )
    })?;
    if content.metadata.len() != header.entries {
        return Err(bad("a metadata key is there twice".into(), None));
    }
    if content.tensor_infos.len() != header.tensors {
        return Err(bad("a tensor is there twice".into(), None));
    }
    let mut entries = Vec::with_capacity(header.tensors);
    for (name, info) in content.tensor_infos {
        let start = content.tensor_data_offset;
        let layout = layout(&info, start, header.alignment, file.len())
            .map_err(|problem| bad(format!("tensor `{name}` {problem}"), None))?;
        entries.push(Entry {
            name,
            file: 0,
            layout: Ok(layout),
        });
    }
    let metadata = Metadata {
        path: file.path().to_path_buf(),
        values: content.metadata,
    };
    Ok((entries, metadata))
}

fn layout(
    info: &TensorInfo,
    data_start: u64,
    alignment: u64,
    file_len: usize,
) -> Result<Layout, String> {
    if !info.offset.is_multiple_of(alignment) {
        let offset = info.offset;
        return Err(format!(
            "begins at offset {offset}, no multiple of the alignment {alignment}"
        ));
    }
    let start = data_start
        .checked_add(info.offset)
        .and_then(|start| usize::try_from(start).ok())
        .ok_or_else(|| format!("begins at offset {}, outside the file", info.offset))?;
    let dtype = match info.ggml_dtype {
        GgmlDType::F32 => Dtype::F32,
        GgmlDType::F16 => Dtype::F16,
        GgmlDType::BF16 => Dtype::BF16,
        blocks => Dtype::Blocks(blocks),
    };
    Layout::new(dtype, info.shape.dims().to_vec(), start, file_len)
}

/// The metadata of a GGUF file, by key and type.
#[derive(Debug, Clone)]
pub struct Metadata {
    path: PathBuf,
    values: HashMap<String, Value>,
}

/// A getter and its optional twin: absent is `None` there, another type is an error in both.
macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $optional:ident, $type:ty, $expected:literal, $convert:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// [`Error::MetadataKey`] when the key is absent or of another type.
        pub fn $name(&self, key: &str) -> Result<$type> {
            self.$optional(key)?
                .ok_or_else(|| self.wrong(key, $expected, "missing".into()))
        }

        /// The same, `None` when the key is absent.
        ///
        /// # Errors
        /// [`Error::MetadataKey`] when the key is of another type.
        pub fn $optional(&self, key: &str) -> Result<Option<$type>> {
            let Some(value) = self.values.get(key) else {
                return Ok(None);
            };
            let converted: Option<$type> = $convert(value);
            match converted {
                Some(converted) => Ok(Some(converted)),
                None => Err(self.wrong(key, $expected, kind(value))),
            }
        }
    };
}

impl Metadata {
    /// The file that it comes from, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether the key is there, of whatever type.
    pub fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// All entries, by key.
    pub(crate) fn into_values(self) -> std::collections::BTreeMap<String, Value> {
        self.values.into_iter().collect()
    }

    fn wrong(&self, key: &str, expected: &'static str, found: String) -> Error {
        Error::MetadataKey {
            path: self.path.clone(),
            key: key.to_owned(),
            expected,
            found,
        }
    }

    getter!(
        /// A string.
        str, opt_str, &str, "a string", text
    );
    getter!(
        /// An integer of any width and sign whose value a `u32` holds.
        u32, opt_u32, u32, "an integer from 0 to 4294967295", unsigned
    );
    getter!(
        /// A number in single precision; a double is rounded.
        f32, opt_f32, f32, "a floating-point number", float
    );
    getter!(
        /// A truth value.
        bool, opt_bool, bool, "a bool", truth
    );
    getter!(
        /// A list of strings.
        strings, opt_strings, Vec<&str>, "a list of strings", |value| each(value, text)
    );
    getter!(
        /// A list of numbers in single precision.
        f32s, opt_f32s, Vec<f32>, "a list of floating-point numbers", |value| each(value, float)
    );
    getter!(
        /// A list of integers of any width whose values an `i32` holds.
        i32s, opt_i32s, Vec<i32>, "a list of integers", |value| each(value, signed)
    );
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        _ => None,
    }
}

fn signed(value: &Value) -> Option<i32> {
    i32::try_from(integer(value)?).ok()
}

fn each<'a, T>(value: &'a Value, convert: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::Array(elements) => elements.iter().map(convert).collect(),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i128> {
    Some(match *value {
        Value::U8(n) => n.into(),
        Value::I8(n) => n.into(),
        Value::U16(n) => n.into(),
        Value::I16(n) => n.into(),
        Value::U32(n) => n.into(),
        Value::I32(n) => n.into(),
        Value::U64(n) => n.into(),
        Value::I64(n) => n.into(),
        _ => return None,
    })
}

fn unsigned(value: &Value) -> Option<u32> {
    u32::try_from(integer(value)?).ok()
}

fn float(value: &Value) -> Option<f32> {
    match *value {
        Value::F32(x) => Some(x),
        Value::F64(x) => Some(x as f32),
        _ => None,
    }
}

/// A value's type for messages; short values are shown.
fn kind(value: &Value) -> String {
    match value {
        Value::Array(elements) => match elements.first() {
            Some(first) => format!(
                "a list of {} values such as {:?}",
                elements.len(),
                first.value_type()
            ),
            None => "an empty list".to_owned(),
        },
        Value::String(text) => {
            format!("the string {:?}", text.chars().take(40).collect::<String>())
        }
        other => format!("{other:?}"),
    }
}
