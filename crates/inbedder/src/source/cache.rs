//! Where fetched models live, and how a file gets there: whole and verified, or not at all.

use super::{FetchProgress, hex};
use crate::{Error, Result};
use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The cache folder, and the settings that fetching needs.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The folder; made when something is stored.
    pub root: PathBuf,
    /// Python interpreters to try for pip, in order.
    pub pythons: Vec<OsString>,
    /// The Hugging Face Hub.
    pub hub: HubSettings,
}

/// How the Hugging Face Hub is reached.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Cache folder of the Hub's own tools.
    pub home: PathBuf,
    /// Another server than the Hub's.
    pub endpoint: Option<String>,
    /// Access token; `None` uses the one stored in `home`, if any.
    pub token: Option<String>,
}

/// Marks folders of unfinished fetches.
const UNFINISHED: &str = ".fetch-";
/// Unfinished fetches older than this belong to nobody.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

impl Cache {
    /// The cache of this user: `$INBEDDER_HOME`, else `inbedder` in the platform's cache folder.
    /// `$INBEDDER_PYTHON` names the interpreter whose pip fetches; `$HF_HOME`, `$HF_ENDPOINT` and
    /// `$HF_TOKEN` mean what they mean to Hugging Face's own tools.
    ///
    /// # Errors
    /// [`Error::NoHome`] when neither is set and the platform knows no home folder.
    pub fn from_env() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let platform = etcetera::choose_base_strategy().ok();
        let under = |name: &str| platform.as_ref().map(|dirs| dirs.cache_dir().join(name));
        let folder =
            |variable: &str, name: &str| set(variable).map(PathBuf::from).or_else(|| under(name));
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        Ok(Self {
            root: folder("INBEDDER_HOME", "inbedder").ok_or(Error::NoHome)?,
            pythons: match set("INBEDDER_PYTHON") {
                Some(python) => vec![python],
                None => vec!["python3".into(), "python".into()],
            },
            hub: HubSettings {
                home: folder("HF_HOME", "huggingface").ok_or(Error::NoHome)?,
                endpoint: text("HF_ENDPOINT"),
                token: text("HF_TOKEN"),
            },
        })
    }

    /// A folder for an unfinished fetch, on the cache's file system; removed when dropped. Those that
    /// killed processes left behind are removed too.
    pub(super) fn unfinished(&self) -> Result<tempfile::TempDir> {
        let io = |source| Error::io(&self.root, source);
        std::fs::create_dir_all(&self.root).map_err(io)?;
        for entry in std::fs::read_dir(&self.root).map_err(io)?.flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at).ok());
            if ours && age.is_some_and(|age| age > STALE) {
                tracing::debug!(path = %entry.path().display(), "removing an unfinished fetch");
                // Another process may be quicker; whoever removes it, it goes.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&self.root)
            .map_err(io)
    }
}

/// What a stored file must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) bytes: u64,
    pub(super) sha256: &'a str,
}

/// Copies `from` into `folder` and, once it is whole and verified, renames it to `to`.
///
/// Renaming is atomic, so two processes that store one file at a time both succeed.
pub(super) fn store(
    mut from: impl Read,
    expected: Expected<'_>,
    folder: &Path,
    to: &Path,
    progress: &dyn FetchProgress,
) -> Result<()> {
    let io = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::StorageFull => Error::DiskFull {
            path: to.to_path_buf(),
            bytes: expected.bytes,
        },
        _ => Error::io(to, source),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut done = 0;
    // One byte more than expected is enough to know that the file is another.
    while done <= expected.bytes {
        let n = from.read(&mut buffer).map_err(io)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(io)?;
        done += n as u64;
        if !progress.advance(done, expected.bytes) {
            return Err(Error::Interrupted);
        }
    }
    let found = hex(&hash.finalize());
    if done != expected.bytes || found != expected.sha256 {
        return Err(Error::WrongHash {
            path: to.to_path_buf(),
            expected: expected.sha256.to_string(),
            found,
        });
    }
    file.as_file().sync_all().map_err(io)?;
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(io)?;
    }
    file.persist(to).map_err(|failed| io(failed.error))?;
    Ok(())
}
