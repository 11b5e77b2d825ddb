//! The manifest, `tasks.json`: which tasks a folder of data holds.
//!
//! A list of objects with `name`, `kind`, `file` and what the kind wants (`tasks`). Unknown kinds and
//! keys are refused: a misspelt setting must not pass for a default.

use crate::prompts::Prompts;
use crate::robustness::Wordings;
use crate::settings::Settings;
use crate::tasks::{Data, KINDS, Kind, Prepared};
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The manifest's name in a folder of data.
pub const MANIFEST: &str = "tasks.json";
/// Instructions of robustness tests, in the same folder.
pub const ROBUSTNESS: &str = "robustness_instructions.json";

/// A folder of data with its tasks.
pub struct Manifest {
    /// The folder.
    pub folder: PathBuf,
    /// In the order of the manifest.
    pub(crate) tasks: Vec<Task>,
    pub(crate) robustness: BTreeMap<String, Wordings>,
}

/// A task of the manifest.
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// Relative to the folder.
    pub(crate) file: String,
    pub(crate) spec: Box<dyn Kind>,
}

impl Manifest {
    /// Reads the manifest of a folder, and the robustness instructions beside it if there are any.
    ///
    /// # Errors
    /// Files that cannot be read, a task of an unknown kind or with unknown, missing or wrong fields, two
    /// tasks of one name.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let entries: Vec<Map<String, Value>> = json(&path)?;
        let mut tasks: Vec<Task> = Vec::new();
        for (number, entry) in entries.into_iter().enumerate() {
            let task = task(&path, number, entry)?;
            if tasks.iter().any(|other| other.name == task.name) {
                return Err(wrong(&path, &task.name, "is there twice"));
            }
            tasks.push(task);
        }
        if tasks.is_empty() {
            return Err(Error::data(&path, "holds no task"));
        }
        let wordings = folder.join(ROBUSTNESS);
        let robustness = if wordings.exists() {
            json(&wordings)?
        } else {
            BTreeMap::new()
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            tasks,
            robustness,
        })
    }

    /// Keeps the tasks whose name fits the pattern: parts with `*` for anything, separated by commas.
    ///
    /// # Errors
    /// [`Error::NoTask`] for a part that fits none.
    pub fn select(&mut self, pattern: &str) -> Result<()> {
        let parts: Vec<&str> = pattern.split(',').map(str::trim).collect();
        for part in &parts {
            if !self.tasks.iter().any(|task| fits(part, &task.name)) {
                let names = self.tasks.iter().map(|task| task.name.as_str());
                return Err(Error::NoTask {
                    pattern: part.to_string(),
                    known: names.collect::<Vec<_>>().join(", "),
                });
            }
        }
        let chosen = |task: &Task| parts.iter().any(|part| fits(part, &task.name));
        self.tasks.retain(chosen);
        Ok(())
    }

    /// Reads a task's rows and enters the prompts that they want.
    pub(crate) fn prepare(
        &self,
        task: &Task,
        settings: &Settings,
        prompts: &mut Prompts,
    ) -> Result<Box<dyn Prepared>> {
        let data = Data {
            path: &self.folder.join(&task.file),
            file: &task.file,
            settings,
            robustness: &self.robustness,
        };
        task.spec.prepare(&data, prompts)
    }
}

fn task(path: &Path, number: usize, mut entry: Map<String, Value>) -> Result<Task> {
    let named = entry.get("name").and_then(Value::as_str);
    let name = named.map_or(format!("number {}", number + 1), str::to_string);
    let mut take = |field: &str| match entry.remove(field) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(wrong(path, &name, format!("{field} is no string: {other}"))),
        None => Err(wrong(path, &name, format!("there is no {field:?}"))),
    };
    let (_, kind, file) = (take("name")?, take("kind")?, take("file")?);
    let known = KINDS.iter().find(|(known, _)| *known == kind);
    let Some((kind, parse)) = known else {
        let known = KINDS.map(|(known, _)| known).join(", ");
        let problem = format!("the kind {kind:?} is unknown, there are: {known}");
        return Err(wrong(path, &name, problem));
    };
    let spec = parse(Value::Object(entry)).map_err(|cause| wrong(path, &name, cause))?;
    Ok(Task {
        name,
        kind,
        file,
        spec,
    })
}

fn wrong(path: &Path, task: &str, problem: impl ToString) -> Error {
    Error::Manifest {
        path: path.to_path_buf(),
        task: task.to_string(),
        problem: problem.to_string(),
    }
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(Error::json(path))
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            let mut ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            ends.any(|at| fits(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a*", "a.b", true),
            ("*b", "a.b", true),
            ("*.b*c", "a.b-c", true),
            ("*", "", true),
            ("a", "a.b", false),
            ("b*", "a.b", false),
            ("*é*", "né", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[track_caller]
    fn refused(manifest: &str, parts: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        let message = match Manifest::open(folder.path()) {
            Ok(_) => panic!("{manifest} was accepted"),
            Err(error) => error.to_string(),
        };
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }

    #[test]
    fn what_is_unknown_missing_or_double_is_refused_by_name() {
        refused("[]", &["no task"]);
        refused("{", &[MANIFEST, "line 1"]);
        refused(r#"[{"kind": "sts", "file": "x"}]"#, &["number 1", "name"]);
        refused(
            r#"[{"name": "a", "kind": "guessing", "file": "x"}]"#,
            &["task a", "guessing", "clustering, triplets, sts, reranking"],
        );
        refused(
            r#"[{"name": "a", "kind": "sts", "file": "x", "instructed": true, "lable": 1}]"#,
            &["task a", "lable"],
        );
        refused(
            r#"[{"name": "a", "kind": "clustering", "file": "x", "label": "y"}]"#,
            &["task a", "instruction"],
        );
        let sts = r#"{"name": "a", "kind": "sts", "file": "x", "instructed": false}"#;
        refused(&format!("[{sts}, {sts}]"), &["task a", "twice"]);
    }
}
