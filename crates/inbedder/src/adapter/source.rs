//! From an adapter's name to its files: folders, adapters compiled in, the Hugging Face Hub.

use super::{CONFIG, DEFAULTS, WEIGHTS};
use crate::source::{BUILTIN, Cache, FetchProgress, hex, hub, hub_ref, sha256};
use crate::weights::Weights;
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which adapter a model is loaded with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The one that the model's built-in name carries, if any.
    #[default]
    OfModel,
    /// None: the plain base model.
    None,
    /// A folder, `hf:owner/name[@revision]`, or the name of an adapter that is compiled in.
    Reference(String),
}

impl From<&str> for AdapterChoice {
    fn from(text: &str) -> Self {
        match text {
            "none" => Self::None,
            reference => Self::Reference(reference.to_string()),
        }
    }
}

/// How a user names an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdapterRef {
    /// A PEFT folder.
    Folder(PathBuf),
    /// One that is compiled in.
    BuiltIn(&'static BuiltinAdapter),
    /// A repository of the Hugging Face Hub.
    Hub {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
    },
}

/// An adapter that is compiled in: the content of its folder's files.
#[derive(PartialEq, Eq)]
pub struct BuiltinAdapter {
    /// Its name.
    pub name: &'static str,
    /// `adapter_config.json`.
    pub config: &'static [u8],
    /// `adapter_model.safetensors`.
    pub weights: &'static [u8],
    /// `inbedder.json`.
    pub defaults: &'static [u8],
}

impl fmt::Debug for BuiltinAdapter {
    /// Without the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BuiltinAdapter").field(&self.name).finish()
    }
}

/// The adapter of a folder with all three files, compiled in; a path as of `include_bytes!`.
macro_rules! builtin_adapter {
    ($name:literal, $folder:literal) => {
        $crate::adapter::BuiltinAdapter {
            name: $name,
            config: include_bytes!(concat!($folder, "/adapter_config.json")),
            weights: include_bytes!(concat!($folder, "/adapter_model.safetensors")),
            defaults: include_bytes!(concat!($folder, "/inbedder.json")),
        }
    };
}
pub(crate) use builtin_adapter;

/// Where an adapter's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdapterSource {
    /// A PEFT folder.
    Folder(PathBuf),
    /// Compiled in.
    BuiltIn(&'static BuiltinAdapter),
}

impl FromStr for AdapterRef {
    type Err = Error;

    /// # Errors
    /// [`Error::UnknownAdapter`] when the text is no folder, no `hf:` name and no built-in;
    /// [`Error::HubName`].
    fn from_str(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("hf:") {
            let (repository, revision) = hub_ref(name).ok_or_else(|| Error::HubName {
                name: name.to_string(),
            })?;
            return Ok(Self::Hub {
                repository,
                revision,
            });
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_path_buf()));
        }
        let mut builtin = BUILTIN.iter().filter_map(|model| model.adapter);
        let found = builtin.find(|adapter| adapter.name == text);
        found.map(Self::BuiltIn).ok_or_else(|| {
            let known = BUILTIN.iter().filter_map(|model| model.adapter);
            let known: Vec<&str> = known.map(|adapter| adapter.name).collect();
            Error::UnknownAdapter {
                name: text.to_string(),
                known: known.join(", "),
            }
        })
    }
}

impl AdapterRef {
    /// The adapter's files, fetched first if need be.
    ///
    /// # Errors
    /// Whatever keeps it from being fetched.
    pub fn resolve(&self, cache: &Cache, progress: &dyn FetchProgress) -> Result<AdapterSource> {
        match self {
            Self::Folder(path) => Ok(AdapterSource::Folder(path.clone())),
            Self::BuiltIn(adapter) => Ok(AdapterSource::BuiltIn(adapter)),
            Self::Hub {
                repository,
                revision,
            } => {
                let names = ([CONFIG, WEIGHTS], DEFAULTS);
                hub::fetch_folder(&cache.hub, (repository, revision), names, progress)
                    .map(AdapterSource::Folder)
            }
        }
    }
}

/// A file's name for messages, and its content.
type File = (PathBuf, Cow<'static, [u8]>);

impl AdapterSource {
    /// The folder, or what stands for it in messages.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Folder(path) => path.clone(),
            Self::BuiltIn(adapter) => PathBuf::from(format!("built-in {}", adapter.name)),
        }
    }

    /// SHA-256, in hex, of the hashes of `adapter_config.json` and `adapter_model.safetensors` one
    /// after the other, as that of a model in shards: both change the numbers.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn sha256(&self) -> Result<String> {
        let weights = match self {
            Self::Folder(path) => sha256(&path.join(WEIGHTS))?,
            Self::BuiltIn(adapter) => hex(&Sha256::digest(adapter.weights)),
        };
        let config = hex(&Sha256::digest(&self.config()?.1));
        Ok(hex(&Sha256::digest(config + &weights)))
    }

    pub(super) fn config(&self) -> Result<File> {
        let path = self.path().join(CONFIG);
        match self {
            Self::Folder(_) => read(path),
            Self::BuiltIn(adapter) => Ok((path, adapter.config.into())),
        }
    }

    pub(super) fn weights(&self) -> Result<Weights> {
        let path = self.path().join(WEIGHTS);
        match self {
            Self::Folder(_) if !path.is_file() => Err(Error::AdapterFile { path }),
            Self::Folder(_) => Weights::open_safetensors(&[path]),
            Self::BuiltIn(adapter) => Weights::of_bytes(&path, adapter.weights),
        }
    }

    /// `inbedder.json`, which a folder may lack.
    pub(super) fn defaults_file(&self) -> Result<Option<File>> {
        let path = self.path().join(DEFAULTS);
        match self {
            Self::Folder(_) if !path.exists() => Ok(None),
            Self::Folder(_) => read(path).map(Some),
            Self::BuiltIn(adapter) => Ok(Some((path, adapter.defaults.into()))),
        }
    }
}

fn read(path: PathBuf) -> Result<File> {
    if !path.is_file() {
        return Err(Error::AdapterFile { path });
    }
    let bytes = std::fs::read(&path).map_err(|source| Error::io(&path, source))?;
    Ok((path, bytes.into()))
}
