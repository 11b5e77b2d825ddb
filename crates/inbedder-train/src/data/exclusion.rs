//! Texts that must never be learnt from: those of evaluation data.

use super::text::normal;
use crate::{Error, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What to do with rows whose text is excluded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnExcluded {
    /// Stop, naming the row and the file that its text is in.
    #[default]
    Error,
    /// Leave them out, counted.
    Drop,
}

impl FromStr for OnExcluded {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self> {
        match given {
            "error" => Ok(Self::Error),
            "drop" => Ok(Self::Drop),
            _ => Err(Error::setting(
                "on-excluded",
                format!("{given:?} is neither error nor drop"),
            )),
        }
    }
}

/// Every string of every row of a folder's data, compared in lower case and with single spaces.
/// Instructions and labels are among them: which fields are texts is the manifest's business, and a
/// training text that equals a label is no loss.
#[derive(Debug, Default)]
pub struct Exclusion {
    /// Normal form → a file that it occurs in.
    texts: HashMap<String, usize>,
    files: Vec<PathBuf>,
}

impl Exclusion {
    /// Reads all `.jsonl` files (also `.gz`, `.zst`) of a folder and the folders below it.
    ///
    /// # Errors
    /// A folder or file that cannot be read, a line that is no JSON, no such file at all.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut found = Self::default();
        for entry in walkdir::WalkDir::new(folder)
            .follow_links(true)
            .sort_by_file_name()
        {
            let entry = entry.map_err(|cause| Error::Folder {
                path: folder.to_path_buf(),
                source: cause,
            })?;
            if !entry.file_type().is_dir() && is_rows(entry.path()) {
                found.add(entry.path())?;
            }
        }
        if found.files.is_empty() {
            let problem = format!("{} holds no .jsonl file", folder.display());
            return Err(Error::setting("exclude", problem));
        }
        Ok(found)
    }

    /// How many distinct strings are excluded.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// A file in which a text occurs.
    pub fn find(&self, text: &str) -> Option<&Path> {
        let file = self.texts.get(&normal(text))?;
        Some(&self.files[*file])
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let number = self.files.len();
        self.files.push(path.to_path_buf());
        for row in inbedder_rows::rows::<Value>(path)? {
            self.add_value(&row?.1, number);
        }
        Ok(())
    }

    fn add_value(&mut self, value: &Value, file: usize) {
        match value {
            Value::String(text) => {
                self.texts.entry(normal(text)).or_insert(file);
            }
            Value::Array(values) => values.iter().for_each(|value| self.add_value(value, file)),
            Value::Object(fields) => fields
                .values()
                .for_each(|value| self.add_value(value, file)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn is_rows(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_lowercase();
    let plain = name.strip_suffix(".gz").or(name.strip_suffix(".zst"));
    plain.unwrap_or(&name).ends_with(".jsonl")
}
