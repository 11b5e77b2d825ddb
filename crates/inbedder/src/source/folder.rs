//! A model folder in Hugging Face's layout.

use super::ModelFiles;
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

pub(super) const CONFIG: &str = "config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// The files of a folder, each of which exists.
pub(super) fn open(folder: &Path) -> Result<ModelFiles> {
    let needed = |name: &str| {
        let path = folder.join(name);
        if path.is_file() {
            Ok(path)
        } else {
            Err(Error::ModelFile { path })
        }
    };
    let weights = match needed(INDEX) {
        Ok(index) => shards(&index)?
            .iter()
            .map(|name| needed(name))
            .collect::<Result<_>>()?,
        Err(_) => vec![needed(SINGLE)?],
    };
    Ok(ModelFiles::Folder {
        config: needed(CONFIG)?,
        tokenizer: needed(TOKENIZER)?,
        weights,
    })
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

/// Names of the shards that an index lists, sorted. Names that lead out of the folder are refused.
pub(super) fn shards(index: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(index).map_err(|source| Error::io(index, source))?;
    let parsed: Index = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
        path: index.to_path_buf(),
        source,
    })?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    let outside = |name: &&String| PathBuf::from(name).file_name() != Some(name.as_ref());
    if let Some(name) = names.iter().find(outside) {
        let problem = format!("{name:?} is not the name of a file in this folder");
        return Err(Error::Config {
            path: index.to_path_buf(),
            field: "weight_map".to_string(),
            problem,
        });
    }
    Ok(names.into_iter().collect())
}
