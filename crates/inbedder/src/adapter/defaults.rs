//! `inbedder.json`: what an adapter was trained to be used with. PEFT does not look at this file, so
//! that a folder with it loads there as any other.

use crate::{Error, Readout, Result, Template};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Settings that an adapter brings; a user's own go before them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdapterDefaults {
    /// The base model that it belongs to.
    pub base: AdapterBase,
    /// Prompt pattern that it was trained with.
    pub template: Option<Template>,
    /// Which states make the embedding.
    pub readout: Option<Readout>,
    /// Layer to read, 0 (token embedding) to L (after the final norm).
    pub layer: Option<usize>,
    /// Whether vectors are better with the mean of their question taken off.
    pub center: Option<bool>,
}

/// The model that an adapter was trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterBase {
    /// For messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// SHA-256 of weights that it fits, in hex; none means that any model of its shapes is taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sha256: Vec<String>,
}

/// The file. Names of settings are those of the command's options.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// 1; raised when a file could be misread by an older program.
    version: u32,
    #[serde(default)]
    base: AdapterBase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    readout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    center: Option<bool>,
}

const VERSION: u32 = 1;

impl AdapterDefaults {
    /// Reads the file's content.
    ///
    /// # Errors
    /// [`Error::Json`] for a field that is unknown or of another type, [`Error::Config`] for a value
    /// that makes no sense, both naming the file and the field.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let file: File = serde_json::from_slice(bytes).map_err(|source| Error::Json {
            path: path.to_path_buf(),
            source,
        })?;
        let wrong = |field: &str, problem: String| Error::Config {
            path: path.to_path_buf(),
            field: field.to_string(),
            problem,
        };
        if file.version != VERSION {
            let problem = format!("is {}, this program knows {VERSION}", file.version);
            return Err(wrong("version", problem));
        }
        let is_hash =
            |hash: &&String| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(hash) = file.base.sha256.iter().find(|hash| !is_hash(hash)) {
            return Err(wrong(
                "base.sha256",
                format!("{hash:?} is no SHA-256 in hex"),
            ));
        }
        Ok(Self {
            base: file.base,
            template: setting(file.template, |problem| wrong("template", problem))?,
            readout: setting(file.readout, |problem| wrong("readout", problem))?,
            layer: file.layer,
            center: file.center,
        })
    }

    /// The file's content.
    pub(super) fn json(&self) -> String {
        let file = File {
            version: VERSION,
            base: self.base.clone(),
            template: self.template.as_ref().map(ToString::to_string),
            readout: self.readout.map(|readout| readout.to_string()),
            layer: self.layer,
            center: self.center,
        };
        format!("{:#}\n", serde_json::json!(file))
    }
}

/// A setting that is written as users write it.
fn setting<T: std::str::FromStr<Err = Error>>(
    text: Option<String>,
    wrong: impl Fn(String) -> Error,
) -> Result<Option<T>> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|cause: Error| wrong(cause.to_string()))
}
