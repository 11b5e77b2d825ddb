//! Scores that others have published (`--published`), to be shown beside ours.
//!
//! `{"awareness_and_clustering": {SYSTEM: {"scores": {"NAME:metric": fraction}}}, "robustness": {SYSTEM:
//! {NAME: {"dci", "dii", …}}}}`. A task goes by its own name or by that of its robustness instructions.
//! The same name is no proof of the same texts: what a set stands in for, its documentation says.

use crate::Result;
use crate::manifest::json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "note")]
    _note: Option<String>,
    awareness_and_clustering: BTreeMap<String, System>,
    #[serde(default)]
    robustness: BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct System {
    #[serde(rename = "run")]
    _run: Option<Value>,
    scores: BTreeMap<String, f64>,
}

/// A published system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Published {
    /// Its name.
    pub name: String,
    /// Scores by our tasks' names.
    pub scores: BTreeMap<String, f64>,
    /// DCI and DII by our tasks' names.
    pub robustness: BTreeMap<String, [f64; 2]>,
}

/// Reads published scores for tasks, each with the name it may go by there.
///
/// # Errors
/// A file that cannot be read or is none of this kind.
pub(crate) fn read(path: &Path, tasks: &[(String, Option<String>)]) -> Result<Vec<Published>> {
    let file: File = json(path)?;
    let mut names: Vec<&String> = file.awareness_and_clustering.keys().collect();
    names.extend(
        file.robustness
            .keys()
            .filter(|name| !file.awareness_and_clustering.contains_key(*name)),
    );
    let mut published = Vec::new();
    for name in names {
        let mut system = Published {
            name: name.clone(),
            scores: BTreeMap::new(),
            robustness: BTreeMap::new(),
        };
        for (task, other) in tasks {
            let known = [Some(task), other.as_ref()];
            for known in known.into_iter().flatten() {
                let scores = file.awareness_and_clustering.get(name);
                let score = scores.and_then(|system| {
                    let mut all = system.scores.iter();
                    all.find(|(score, _)| score.split(':').next() == Some(known))
                });
                if let Some((_, score)) = score {
                    system.scores.insert(task.clone(), *score);
                }
                let strip = file.robustness.get(name).and_then(|tasks| tasks.get(known));
                let dci = strip.and_then(|strip| Some([*strip.get("dci")?, *strip.get("dii")?]));
                if let Some(dci) = dci {
                    system.robustness.insert(task.clone(), dci);
                }
            }
        }
        if !system.scores.is_empty() || !system.robustness.is_empty() {
            published.push(system);
        }
    }
    Ok(published)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_found_by_either_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("published.json");
        let text = r#"{"awareness_and_clustering": {"big": {"run": "r", "scores": {"News:v_measure": 0.5}}},
            "robustness": {"big": {"News": {"dci": 0.1, "dii": -0.1, "mean_correct": 0.4}}}}"#;
        std::fs::write(&path, text).unwrap();
        let tasks = [
            ("news.topic".to_string(), Some("News".to_string())),
            ("x".to_string(), None),
        ];
        let found = read(&path, &tasks).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].scores["news.topic"], 0.5);
        assert_eq!(found[0].robustness["news.topic"], [0.1, -0.1]);
        assert!(read(&path, &tasks[1..]).unwrap().is_empty());
        std::fs::write(&path, "{}").unwrap();
        assert!(read(&path, &tasks).is_err());
    }
}
