//! Triplets as a folder that `inbedder eval` scores. Questions with enough triplets are tasks of their
//! own (`reranking`, a query with one candidate of either kind), which can be centred per question; all
//! triplets of one question are pairs of another task (`sts`: 1 for the anchor's answer, 0 for another);
//! pairs of questions, of one text or of joined ones, are `triplets`.

use super::{AnswerTriplet, LEAST, QuestionTriplet, Validation};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

impl Validation {
    /// Writes `tasks.json` and the tasks' rows into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no triplet; files that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        if self.is_empty() {
            let problem = "the held-out passages allow no triplet: hold more out";
            return Err(Error::setting("validation", problem));
        }
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let mut tasks = Vec::new();
        let answers: Vec<Value> = self.answers.iter().flat_map(pairs).collect();
        if !answers.is_empty() {
            tasks.push(
                json!({"name": "answers", "kind": "sts", "file": "answers.jsonl",
                "rows": answers.len(), "instructed": true}),
            );
            rows(&folder.join("answers.jsonl"), &answers)?;
        }
        let of_question = self.answers.chunk_by(|a, b| a.instruction == b.instruction);
        for (i, group) in of_question.filter(|group| group.len() >= LEAST).enumerate() {
            let file = format!("answers.{}.jsonl", i + 1);
            tasks.push(
                json!({"name": format!("answers.{}", i + 1), "kind": "reranking",
                "file": file, "rows": group.len(), "instruction": group[0].instruction}),
            );
            rows(
                &folder.join(file),
                &group.iter().map(query).collect::<Vec<_>>(),
            )?;
        }
        for (name, triplets) in [("questions", &self.questions), ("joined", &self.joined)] {
            let of_pair = triplets.chunk_by(|a, b| a.instructions == b.instructions);
            for (i, group) in of_pair.enumerate() {
                let name = format!("{name}.{}", i + 1);
                let file = format!("{name}.jsonl");
                tasks.push(json!({"name": name, "kind": "triplets", "file": file,
                    "rows": group.len(), "axes": group[0].instructions,
                    "instructions": group[0].instructions}));
                rows(
                    &folder.join(file),
                    &group.iter().map(triplet).collect::<Vec<_>>(),
                )?;
            }
        }
        let path = folder.join("tasks.json");
        let text = serde_json::to_string_pretty(&tasks).map_err(Error::json(&path))?;
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))
    }
}

fn pairs(triplet: &AnswerTriplet) -> [Value; 2] {
    let pair = |other: &str, label: u8| {
        json!({"sentence1": triplet.anchor, "sentence2": other,
            "instruction": triplet.instruction, "label": label})
    };
    [pair(&triplet.positive, 1), pair(&triplet.negative, 0)]
}

fn query(triplet: &AnswerTriplet) -> Value {
    json!({"query": triplet.anchor, "positive": [triplet.positive], "negative": [triplet.negative]})
}

fn triplet(triplet: &QuestionTriplet) -> Value {
    let [first, second] = &triplet.instructions;
    json!({"anchor": triplet.anchor, "p": triplet.p, "n": triplet.n,
        "axis_p": first, "axis_n": second, "instr_p": first, "instr_n": second})
}

fn rows(path: &Path, rows: &[Value]) -> Result<()> {
    let file = std::fs::File::create(path).map_err(Error::io(path))?;
    let mut out = std::io::BufWriter::new(file);
    for row in rows {
        writeln!(out, "{row}").map_err(Error::io(path))?;
    }
    out.flush().map_err(Error::io(path))
}
