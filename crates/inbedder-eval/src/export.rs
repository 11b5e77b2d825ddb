//! Prompts for a peer to embed, in the layout of module `vectors`.

use crate::cache::write;
use crate::manifest::Manifest;
use crate::prompts::{Prompts, hex, key};
use crate::runner::by_file;
use crate::settings::Settings;
use crate::vectors::{Entry, INDEX, Index, Line};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Writes the prompts of all tasks for a peer to embed, and the index for its vectors (module
/// `vectors`). Gives back the number of prompts.
///
/// # Errors
/// A task whose rows cannot be read, a folder that cannot be written.
pub fn export_prompts(
    manifest: &Manifest,
    settings: &Settings,
    (name, empty): (&str, bool),
    folder: &Path,
) -> Result<usize> {
    settings.check()?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut index = Index {
        name: name.to_string(),
        files: BTreeMap::new(),
    };
    for group in by_file(&manifest.tasks) {
        let mut prompts = Prompts::default();
        for task in &group {
            manifest.prepare(task, settings, &mut prompts)?;
        }
        let file = &group[0].file;
        let entry = export(folder, file, &prompts, empty)?;
        index.files.insert(file.clone(), entry);
    }
    let text = serde_json::to_string_pretty(&index).unwrap_or_default();
    write(&folder.join(INDEX), text.as_bytes())?;
    Ok(index.files.values().map(|entry| entry.count).sum())
}

/// Writes the prompts of a data file, as a line each; `empty` adds every text without an instruction.
fn export(folder: &Path, file: &str, prompts: &Prompts, empty: bool) -> Result<Entry> {
    let plain = file.trim_end_matches(".zst").trim_end_matches(".gz");
    let stem = plain.trim_end_matches(".jsonl").replace(['/', '\\'], "_");
    let without = prompts.without_instruction().filter(|_| empty);
    let (mut lines, mut seen) = (String::new(), HashSet::new());
    for (text, instruction) in prompts.all().chain(without) {
        if seen.insert(key((text, instruction))) {
            let line = Line {
                text: text.to_string(),
                instruction: instruction.to_string(),
            };
            let path = folder.join(&stem);
            lines.push_str(&serde_json::to_string(&line).map_err(Error::json(&path))?);
            lines.push('\n');
        }
    }
    let name = format!("{stem}.prompts.jsonl");
    write(&folder.join(&name), lines.as_bytes())?;
    Ok(Entry {
        prompts: name,
        vectors: format!("{stem}.npy"),
        count: seen.len(),
        sha256: hex(&Sha256::digest(&lines)),
    })
}
