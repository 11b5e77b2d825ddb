//! Models of the Hugging Face Hub, through its own cache and client.

use super::folder::{CONFIG, INDEX, SINGLE, TOKENIZER, shards};
use super::{FetchProgress, HubSettings, ModelFiles};
use crate::{Error, Result};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{CacheRepo, Repo, RepoType};
use std::path::{Path, PathBuf};

/// Fetches what the Hub's cache lacks of a model.
pub(super) fn fetch(
    settings: &HubSettings,
    repository: &str,
    revision: &str,
    progress: &dyn FetchProgress,
) -> Result<ModelFiles> {
    let (hub, repo) = open(settings, (repository, revision), progress)?;
    let config = hub.file(&repo, CONFIG)?;
    let tokenizer = hub.file(&repo, TOKENIZER)?;
    let weights = match hub.file(&repo, INDEX) {
        Ok(index) => shards(&index)?
            .iter()
            .map(|name| hub.file(&repo, name))
            .collect::<Result<_>>()?,
        // Most small models have one file and no index.
        Err(Error::Hub {
            status: Some(404), ..
        }) => vec![hub.file(&repo, SINGLE)?],
        Err(other) => return Err(other),
    };
    Ok(ModelFiles::Folder {
        config,
        tokenizer,
        weights,
    })
}

/// Fetches what the Hub's cache lacks of some files, of which the last may not exist, and returns the
/// folder that they are in.
pub(crate) fn fetch_folder(
    settings: &HubSettings,
    of: (&str, &str),
    (needed, wanted): ([&str; 2], &str),
    progress: &dyn FetchProgress,
) -> Result<PathBuf> {
    let (hub, repo) = open(settings, of, progress)?;
    let first = hub.file(&repo, needed[0])?;
    hub.file(&repo, needed[1])?;
    match hub.file(&repo, wanted) {
        Ok(_)
        | Err(Error::Hub {
            status: Some(404), ..
        }) => {}
        Err(other) => return Err(other),
    }
    Ok(first.parent().map_or_else(PathBuf::new, Path::to_path_buf))
}

/// A repository, by name and revision, with its place in the cache.
fn open<'a>(
    settings: &HubSettings,
    (repository, revision): (&'a str, &'a str),
    progress: &'a dyn FetchProgress,
) -> Result<(Hub<'a>, ApiRepo)> {
    let cache = hf_hub::Cache::new(settings.home.join("hub"));
    let repo = Repo::with_revision(
        repository.to_string(),
        RepoType::Model,
        revision.to_string(),
    );
    let cached = cache.repo(repo.clone());
    let hub = Hub {
        repository,
        revision,
        progress,
        cached,
    };
    let mut builder = ApiBuilder::from_cache(cache)
        .with_progress(false)
        .with_retries(3);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_string());
    }
    if let Some(token) = &settings.token {
        builder = builder.with_token(Some(token.clone()));
    }
    let api = builder.build().map_err(|cause| hub.error("", cause))?;
    Ok((hub, api.repo(repo)))
}

struct Hub<'a> {
    repository: &'a str,
    revision: &'a str,
    progress: &'a dyn FetchProgress,
    cached: CacheRepo,
}

impl Hub<'_> {
    /// A file of the cache, fetched first if need be.
    fn file(&self, repo: &ApiRepo, name: &str) -> Result<PathBuf> {
        if let Some(path) = self.cached.get(name) {
            return Ok(path);
        }
        self.progress
            .message(&format!("{}: {name}", self.repository));
        if !self.progress.advance(0, 0) {
            return Err(Error::Interrupted);
        }
        let reports = Reports {
            progress: self.progress,
            done: 0,
            total: 0,
        };
        repo.download_with_progress(name, reports)
            .map_err(|cause| self.error(name, cause))
    }

    fn error(&self, file: &str, cause: ApiError) -> Error {
        let status = status(&cause);
        let advice = match status {
            Some(401 | 403) => "set HF_TOKEN to a token that may read it",
            Some(404) => "check the name and the revision, and that it has this file",
            Some(_) => "try again later",
            None => "check the network, or use --model with a folder or a .gguf file",
        };
        Error::Hub {
            repository: self.repository.to_string(),
            revision: self.revision.to_string(),
            file: file.to_string(),
            status,
            cause: cause.to_string(),
            advice,
        }
    }
}

/// Passes the client's reports on; it cannot be stopped within a file.
struct Reports<'a> {
    progress: &'a dyn FetchProgress,
    done: u64,
    total: u64,
}

impl hf_hub::api::Progress for Reports<'_> {
    fn init(&mut self, size: usize, _filename: &str) {
        (self.done, self.total) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        self.progress.advance(self.done, self.total);
    }

    fn finish(&mut self) {}
}

/// The HTTP status in an error, if there was an answer.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        ApiError::TooManyRetries(inner) => status(inner),
        _ => None,
    }
}
