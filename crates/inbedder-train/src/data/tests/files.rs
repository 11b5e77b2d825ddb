//! Reading: what is kept, what is left out, and what is refused, with its place.

use super::super::*;
use std::path::{Path, PathBuf};

const ROWS: &str = r#"{"source": "a", "input": "The soup was cold.", "instruction": "What?", "output": "the soup"}
{"source": "b", "input": "It rains.", "instruction": "What?", "output": "rain"}

{"input": "The soup was cold.", "instruction": "How?", "output": "cold", "id": 7}
{"source": "a", "input": "The soup was cold.", "instruction": "What?", "output": "The soup."}
{"source": "a", "input": "The soup was cold.", "instruction": "What?", "output": "a meal"}
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = content.as_bytes().to_vec();
        let content = match name.ends_with(".zst") {
            true => zstd::encode_all(&content[..], 1).unwrap(),
            false => content,
        };
        std::fs::write(&path, content).unwrap();
        path
    }

    fn mix(&self, rows: &str) -> Mix {
        let path = self.write("rows.jsonl.zst", rows);
        Mix {
            files: vec![MixFile { path, weight: 1.0 }],
            ..Mix::default()
        }
    }
}

#[track_caller]
fn refused(mix: &Mix, parts: &[&str]) {
    let message = mix.read().unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}

#[test]
fn rows_become_passages_in_the_files_order_with_distinct_answers() {
    let folder = Folder::new();
    let mut mix = folder.mix(ROWS);
    let second = folder.write("more.jsonl", ROWS);
    mix.files.push(MixFile {
        path: second,
        weight: 0.5,
    });
    let (rows, counts) = mix.read().unwrap();
    assert_eq!(counts.rows, 10);
    assert_eq!(counts.kept[&Some("a".to_string())], 6);
    assert_eq!(counts.kept[&None], 2);
    let found = passages(&mix, rows, Answers::default());
    let outline: Vec<_> = found
        .iter()
        .map(|passage| {
            (
                passage.text.as_str(),
                passage.weight,
                passage.questions.len(),
            )
        })
        .collect();
    let expected = [
        ("The soup was cold.", 1.0, 2),
        ("It rains.", 1.0, 1),
        ("The soup was cold.", 0.5, 2),
        ("It rains.", 0.5, 1),
    ];
    assert_eq!(outline, expected);
    assert_eq!(found[0].source.as_deref(), Some("a"));
    assert_eq!(found[0].questions[0].instruction, "What?");
    assert_eq!(found[0].questions[0].answers, [" soup", " meal"]);
    assert_eq!(found[0].questions[1].answers, [" cold"]);
}

#[test]
fn sources_are_filtered_and_misspelt_ones_refused() {
    let folder = Folder::new();
    let mut mix = folder.mix(ROWS);
    mix.sources.without = vec!["a".into()];
    let (rows, counts) = mix.read().unwrap();
    assert_eq!((rows.len(), counts.of_other_sources), (2, 3));
    mix.sources.only = Some(vec!["b".into()]);
    assert_eq!(mix.read().unwrap().0.len(), 1);
    mix.sources.only = Some(vec!["a".into()]);
    refused(&mix, &["no row is left of 5", "5 of other sources"]);
    mix.sources.without = vec!["c".into()];
    refused(&mix, &["\"c\"", "a, b"]);
}

#[test]
fn broken_rows_are_named_with_file_line_and_field() {
    let folder = Folder::new();
    let row = |input: &str, output: &str| {
        format!("\n{{\"input\": {input}, \"instruction\": \"Q?\", \"output\": {output}}}\n")
    };
    let place = "rows.jsonl.zst:2: ";
    refused(
        &folder.mix(&row("\" \"", "\"x\"")),
        &[place, "\"input\" is empty"],
    );
    refused(
        &folder.mix(&row("\"x\"", "\"\"")),
        &[place, "\"output\" is empty"],
    );
    refused(
        &folder.mix(&row("3", "\"\"")),
        &[place, "\"input\"", "integer `3`"],
    );
    refused(
        &folder.mix("\n{\"input\": \"x\"}"),
        &[place, "`instruction`"],
    );
    refused(&folder.mix("\n{\"input"), &[place, "column"]);
    refused(&folder.mix(""), &["no row is left of 0"]);
}

#[test]
fn excluded_texts_are_refused_or_dropped() {
    let folder = Folder::new();
    let mut mix = folder.mix(ROWS);
    let quoted = "{\"deep\": [{\"text\": \"the  soup\\nwas COLD.\"}], \"n\": 1}";
    folder.write("eval/tasks.json", "[]");
    folder.write("eval/corpus/x.jsonl.zst", quoted);
    let exclusion = Exclusion::read(&folder.0.path().join("eval")).unwrap();
    assert_eq!(exclusion.len(), 1);
    mix.exclusion = Some(exclusion);
    refused(&mix, &["rows.jsonl.zst:1: ", "x.jsonl.zst", "excluded"]);
    mix.on_excluded = OnExcluded::Drop;
    let (rows, counts) = mix.read().unwrap();
    assert_eq!((rows.len(), counts.excluded), (1, 4));
    assert_eq!(rows[0].1.input, "It rains.");
}

#[test]
fn an_exclusion_that_excludes_nothing_is_refused() {
    let folder = Folder::new();
    folder.write("eval/tasks.json", "[]");
    let message = |path: &Path| Exclusion::read(path).unwrap_err().to_string();
    assert!(message(&folder.0.path().join("eval")).contains("no .jsonl"));
    assert!(message(&folder.0.path().join("gone")).contains("gone"));
    folder.write("eval/x.jsonl", "{\n");
    assert!(message(&folder.0.path().join("eval")).contains("x.jsonl:1: "));
}

#[test]
fn files_with_weights() {
    let parse = |given: &str| given.parse::<MixFile>();
    let file = |path: &str, weight| MixFile {
        path: path.into(),
        weight,
    };
    assert_eq!(parse("a.jsonl").unwrap(), file("a.jsonl", 1.0));
    assert_eq!(parse("a=b.jsonl=0.25").unwrap(), file("a=b.jsonl", 0.25));
    for wrong in ["a=", "=2", "a=x", "a=0", "a=-1", "a=inf", "a=nan", ""] {
        let message = parse(wrong).unwrap_err().to_string();
        assert!(message.contains("FILE=WEIGHT"), "{wrong}: {message}");
    }
}
