//! A model and its adapter, from their names to their files.

use super::{Cache, FetchProgress, ModelFiles, ModelRef};
use crate::Result;
use crate::adapter::{AdapterChoice, AdapterRef, AdapterSource};

/// The files of a model and of its adapter.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The model's.
    pub files: ModelFiles,
    /// The adapter's, if there is one.
    pub adapter: Option<NamedAdapter>,
}

/// An adapter's name and files.
#[derive(Debug, Clone)]
pub struct NamedAdapter {
    /// Its folder, repository or built-in name.
    pub name: String,
    /// Its files.
    pub source: AdapterSource,
}

/// Finds a model and the adapter that is chosen for it; both are fetched if need be.
///
/// # Errors
/// A name that stands for nothing, or whatever keeps files from being fetched.
pub fn resolve(
    model: &str,
    adapter: &AdapterChoice,
    progress: &dyn FetchProgress,
) -> Result<Resolved> {
    let model: ModelRef = model.parse()?;
    // An adapter that is not there is found out before the model is fetched.
    let adapter = match (adapter, &model) {
        (AdapterChoice::Reference(name), _) => Some(NamedAdapter::find(name, progress)?),
        (AdapterChoice::OfModel, ModelRef::Builtin(builtin)) => {
            builtin.adapter.map(|adapter| NamedAdapter {
                name: adapter.name.to_string(),
                source: AdapterSource::BuiltIn(adapter),
            })
        }
        (AdapterChoice::OfModel | AdapterChoice::None, _) => None,
    };
    let files = model.resolve(&Cache::from_env()?, progress)?;
    Ok(Resolved { files, adapter })
}

impl NamedAdapter {
    /// The adapter of a name; the environment is looked at for adapters of the Hub alone.
    pub(crate) fn find(name: &str, progress: &dyn FetchProgress) -> Result<Self> {
        let source = match name.parse::<AdapterRef>()? {
            AdapterRef::Folder(path) => AdapterSource::Folder(path),
            AdapterRef::BuiltIn(adapter) => AdapterSource::BuiltIn(adapter),
            hub => hub.resolve(&Cache::from_env()?, progress)?,
        };
        let name = name.to_string();
        Ok(Self { name, source })
    }
}
