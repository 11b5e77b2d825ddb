//! From a model reference to files on disk: folders and files as they are, built-in names through
//! the user's own pip, `hf:` names through the Hugging Face Hub.
//!
//! The environment is read in one place, [`Cache::from_env`].

mod builtin;
mod cache;
mod folder;
pub(crate) mod hub;
mod pip;
mod resolve;

pub use builtin::{BUILTIN, Builtin};
pub use cache::{Cache, HubSettings};
pub use resolve::{NamedAdapter, Resolved, resolve};

use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How a user names a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelRef {
    /// A Hugging Face folder.
    Folder(PathBuf),
    /// A GGUF file.
    Gguf(PathBuf),
    /// A name of [`BUILTIN`].
    Builtin(&'static Builtin),
    /// A repository of the Hugging Face Hub.
    Hub {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
    },
}

/// The files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFiles {
    /// Hugging Face layout.
    Folder {
        /// `config.json`.
        config: PathBuf,
        /// `tokenizer.json`.
        tokenizer: PathBuf,
        /// Safetensors files, in the order of the index.
        weights: Vec<PathBuf>,
    },
    /// One GGUF file.
    Gguf(PathBuf),
}

/// Told how a download gets on.
pub trait FetchProgress {
    /// What is being done.
    fn message(&self, text: &str);
    /// `done` bytes of `total` (0 if unknown). Returns whether to go on.
    fn advance(&self, done: u64, total: u64) -> bool;
}

/// No reports, no interruption.
impl FetchProgress for () {
    fn message(&self, _text: &str) {}
    fn advance(&self, _done: u64, _total: u64) -> bool {
        true
    }
}

impl FromStr for ModelRef {
    type Err = Error;

    /// # Errors
    /// [`Error::UnknownModel`] when the text is no existing path, no `hf:` name and no built-in.
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
        if let Some(builtin) = builtin::find(text).filter(|_| !path.exists()) {
            return Ok(Self::Builtin(builtin));
        }
        let is_gguf = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        if is_gguf {
            return Ok(Self::Gguf(path.to_path_buf()));
        }
        if path.is_dir() {
            return Ok(Self::Folder(path.to_path_buf()));
        }
        Err(Error::UnknownModel {
            name: text.to_string(),
            known: builtin::names(),
        })
    }
}

/// Repository and revision of `owner/name[@revision]`.
pub(crate) fn hub_ref(name: &str) -> Option<(String, String)> {
    let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && part.chars().all(allowed) && !part.starts_with('.')
    };
    let (owner, model) = repository.split_once('/')?;
    let good = plain(owner) && plain(model) && revision.split('/').all(plain);
    good.then(|| (repository.to_string(), revision.to_string()))
}

impl ModelRef {
    /// The model's files, fetched first if need be.
    ///
    /// # Errors
    /// A file that is missing, or whatever keeps the model from being fetched.
    pub fn resolve(&self, cache: &Cache, progress: &dyn FetchProgress) -> Result<ModelFiles> {
        match self {
            Self::Folder(path) => folder::open(path),
            Self::Gguf(path) => {
                let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
                if metadata.is_dir() {
                    let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
                    return Err(Error::io(path, source));
                }
                Ok(ModelFiles::Gguf(path.clone()))
            }
            Self::Builtin(builtin) => builtin.pull(cache, progress).map(ModelFiles::Gguf),
            Self::Hub {
                repository,
                revision,
            } => hub::fetch(&cache.hub, repository, revision, progress),
        }
    }
}

impl ModelFiles {
    /// SHA-256 of the weights, in hex; of several shards, that of their hashes one after the other.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn sha256(&self) -> Result<String> {
        match self {
            Self::Gguf(path) => sha256(path),
            Self::Folder { weights, .. } => match weights.as_slice() {
                [one] => sha256(one),
                shards => {
                    let hashes: Vec<String> = shards
                        .iter()
                        .map(|shard| sha256(shard))
                        .collect::<Result<_>>()?;
                    Ok(hex(&Sha256::digest(hashes.concat())))
                }
            },
        }
    }
}

pub(crate) fn sha256(path: &Path) -> Result<String> {
    let io = |source| Error::io(path, source);
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
