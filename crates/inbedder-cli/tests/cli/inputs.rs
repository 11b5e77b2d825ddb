//! Every input format, and everything that can be wrong with one.

use crate::support::{Dir, QUESTION};
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

const JSONL: &str = "{\"text\": \"one\", \"n\": 1, \"tags\": [\"a\"], \"x\": 0.5}\n\n{\"n\": 2, \"text\": \"two\", \"ok\": true, \"tags\": {\"b\": null}}\n";

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zst(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Texts and carried columns as `ask` prints them.
#[track_caller]
fn check(dir: &Dir, input: &str, more: &[&str], expected: &[Value]) {
    let ran = dir
        .run(
            &[
                &["ask", input, "-q", QUESTION, "--max-new-tokens", "1"],
                more,
            ]
            .concat(),
        )
        .ok();
    let rows: Vec<Value> = ran
        .lines()
        .into_iter()
        .map(|mut row| {
            let answers = row.as_object_mut().unwrap().remove("answers").unwrap();
            assert!(answers[QUESTION].is_string());
            row
        })
        .collect();
    assert_eq!(rows, expected, "{input}");
}

#[track_caller]
fn refused(dir: &Dir, input: &str, more: &[&str], parts: &[&str]) {
    dir.run(&[&["ask", input, "-q", QUESTION], more].concat())
        .fails(2, parts);
}

#[test]
fn text_lines() {
    let dir = Dir::new();
    let expected = [json!({"text": "one"}), json!({"text": " two "})];
    let content = "\u{feff}one\r\n\n   \n two \n";
    dir.file("a.txt", content)
        .file("b.txt.gz", gz(content.as_bytes()))
        .file("c.txt.zst", zst(content.as_bytes()));
    for name in ["a.txt", "b.txt.gz", "c.txt.zst"] {
        check(&dir, name, &[], &expected);
    }
    check(&dir, "a.txt", &["--limit", "1"], &expected[..1]);
}

#[test]
fn json_lines_carry_every_column_as_it_came() {
    let dir = Dir::new();
    dir.file("a.jsonl", JSONL)
        .file("b.ndjson.zst", zst(JSONL.as_bytes()));
    let expected = [
        json!({"text": "one", "n": 1, "tags": ["a"], "x": 0.5, "ok": null}),
        json!({"text": "two", "n": 2, "tags": {"b": null}, "x": null, "ok": true}),
    ];
    check(&dir, "a.jsonl", &[], &expected);
    check(&dir, "b.ndjson.zst", &[], &expected);
}

#[test]
fn a_column_of_mixed_types_and_one_with_a_reserved_name_are_kept() {
    let dir = Dir::new();
    dir.file("a.jsonl", "{\"text\":\"a\",\"v\":1,\"answer\":\"x\"}\n{\"text\":\"b\",\"v\":\"s\",\"answer\":null}\n{\"text\":\"c\",\"v\":18446744073709551615}\n");
    let expected = [
        json!({"text": "a", "v": 1, "answer_input": "x"}),
        json!({"text": "b", "v": "s", "answer_input": null}),
        json!({"text": "c", "v": 18446744073709551615u64, "answer_input": null}),
    ];
    check(&dir, "a.jsonl", &[], &expected);
}

#[test]
fn tables() {
    let dir = Dir::new();
    dir.file("a.csv", "id,body\n1,\"one, \"\"two\"\"\nlines\"\n2,three\n");
    dir.file("b.tsv.gz", gz(b"id\tbody\n1\tone\n"));
    let expected = [
        json!({"body": "one, \"two\"\nlines", "id": "1"}),
        json!({"body": "three", "id": "2"}),
    ];
    check(&dir, "a.csv", &["--text-field", "body"], &expected);
    check(
        &dir,
        "b.tsv.gz",
        &["--text-field", "body"],
        &[json!({"body": "one", "id": "1"})],
    );
}

#[test]
fn parquet_columns() {
    let dir = Dir::new();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "three"]));
    let n: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    write_parquet(&dir.path("a.parquet"), vec![("n", n), ("text", text)]);
    let expected = [
        json!({"text": "one", "n": 1}),
        json!({"text": "two", "n": null}),
        json!({"text": "three", "n": 3}),
    ];
    check(&dir, "a.parquet", &[], &expected);
    check(&dir, "a.parquet", &["--limit", "2"], &expected[..2]);
}

#[test]
fn standard_input_is_told_by_its_first_character() {
    let dir = Dir::new();
    let texts = |input: &str, more: &[&str]| {
        let ran = dir
            .run_with(
                &[&["ask", "-", "-q", QUESTION, "--max-new-tokens", "1"], more].concat(),
                input,
            )
            .ok();
        ran.lines()
            .into_iter()
            .map(|row| row["text"].as_str().unwrap().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts("a\nb\n", &[]), ["a", "b"]);
    assert_eq!(texts("{\"text\": \"a\"}\n", &[]), ["a"]);
    assert_eq!(texts("text\na\n", &["--input-format", "csv"]), ["a"]);
    dir.run_with(&["ask", "-", "-q", QUESTION], "")
        .fails(2, &["standard input", "empty"]);
}

#[test]
fn files_that_are_no_input() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path("folder.txt")).unwrap();
    dir.file("empty.txt", "")
        .file("blank.txt", "\n \n")
        .file("a.docx", "x")
        .file("header.csv", "text\n");
    refused(&dir, "nowhere.txt", &[], &["nowhere.txt", "No such file"]);
    refused(&dir, "folder.txt", &[], &["folder.txt", "folder"]);
    refused(&dir, "empty.txt", &[], &["empty.txt", "empty"]);
    refused(&dir, "blank.txt", &[], &["blank.txt", "no text"]);
    refused(&dir, "header.csv", &[], &["header.csv", "no text"]);
    refused(
        &dir,
        "a.docx",
        &[],
        &["a.docx", "extension", "--input-format"],
    );
}

#[test]
fn lines_that_are_no_text() {
    let dir = Dir::new();
    dir.file("utf8.txt", b"fine\nbad \xff byte\n")
        .file("utf8.jsonl", b"{\"text\": \"\xff\"}\n");
    refused(&dir, "utf8.txt", &[], &["utf8.txt:2", "UTF-8"]);
    refused(&dir, "utf8.jsonl", &[], &["utf8.jsonl:1", "UTF-8"]);
    dir.file("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \n")
        .file("list.jsonl", "[1]\n");
    refused(&dir, "broken.jsonl", &[], &["broken.jsonl:2", "JSON"]);
    refused(&dir, "list.jsonl", &[], &["list.jsonl:1", "no object"]);
    dir.file(
        "field.jsonl",
        "{\"text\": \"a\"}\n{\"body\": \"b\", \"id\": 1}\n",
    )
    .file("number.jsonl", "{\"text\": 5}\n");
    refused(
        &dir,
        "field.jsonl",
        &[],
        &["field.jsonl:2", "\"text\"", "body, id", "--text-field"],
    );
    refused(
        &dir,
        "number.jsonl",
        &[],
        &["number.jsonl:1", "\"text\"", "no string"],
    );
    dir.file("surrogate.jsonl", "{\"text\": \"\\ud83d alone\"}\n");
    refused(&dir, "surrogate.jsonl", &[], &["surrogate.jsonl:1", "JSON"]);
    dir.file("ragged.csv", "text,id\na,1\nb\n")
        .file("column.csv", "body\na\n")
        .file("twice.csv", "text,a,a\n1,2,3\n");
    refused(&dir, "ragged.csv", &[], &["ragged.csv:3", "1 columns", "2"]);
    refused(
        &dir,
        "column.csv",
        &[],
        &["column.csv:1", "body", "--text-field"],
    );
    refused(&dir, "twice.csv", &[], &["twice.csv:1", "\"a\""]);
    dir.file("utf8.csv", b"text\n\xff\n");
    refused(&dir, "utf8.csv", &[], &["utf8.csv", "UTF-8"]);
}

#[test]
fn files_that_are_cut_off_or_mislabelled() {
    let dir = Dir::new();
    let long = "{\"text\": \"a line of some length\"}\n".repeat(2000);
    for (name, bytes) in [
        ("a.jsonl.gz", gz(long.as_bytes())),
        ("a.jsonl.zst", zst(long.as_bytes())),
    ] {
        dir.file(name, &bytes[..bytes.len() / 2]);
        refused(&dir, name, &[], &[name, "cut off or damaged"]);
        dir.file(name, "{\"text\": \"plain\"}\n");
        refused(&dir, name, &[], &[name, "not compressed"]);
    }
    let text: ArrayRef = Arc::new(StringArray::from(vec!["one"; 500]));
    let n: ArrayRef = Arc::new(Int32Array::from(vec![1; 500]));
    write_parquet(&dir.path("a.parquet"), vec![("text", text), ("n", n)]);
    refused(
        &dir,
        "a.parquet",
        &["--text-field", "n"],
        &["a.parquet", "\"n\"", "Int32"],
    );
    refused(
        &dir,
        "a.parquet",
        &["--text-field", "m"],
        &["a.parquet", "\"m\"", "text, n"],
    );
    let bytes = std::fs::read(dir.path("a.parquet")).unwrap();
    dir.file("cut.parquet", &bytes[..bytes.len() / 2])
        .file("text.parquet", "text");
    refused(&dir, "cut.parquet", &[], &["cut.parquet"]);
    refused(&dir, "text.parquet", &[], &["text.parquet"]);
    let null: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    write_parquet(&dir.path("null.parquet"), vec![("text", null)]);
    refused(&dir, "null.parquet", &[], &["null.parquet:2", "null"]);
}

/// xorshift, seeded: the same damage every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// Damaged files are rows or an error with the file's name; a panic or a signal is neither. A bad
/// model keeps each run short: it fails when (and only when) the input was read.
#[test]
fn damaged_files_never_panic() {
    let dir = Dir::new();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "three"]));
    write_parquet(&dir.path("a.parquet"), vec![("text", text)]);
    let whole = [
        ("m.jsonl", JSONL.as_bytes().to_vec()),
        ("m.csv", b"text,id\n\"a\nb\",1\nc,2\n".to_vec()),
        ("m.jsonl.gz", gz(JSONL.as_bytes())),
        ("m.jsonl.zst", zst(JSONL.as_bytes())),
        ("m.parquet", std::fs::read(dir.path("a.parquet")).unwrap()),
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for (name, bytes) in whole {
        for _ in 0..60 {
            let mut damaged = bytes.clone();
            for _ in 0..=dice.below(4) {
                let at = dice.below(damaged.len());
                damaged[at] = [0, 0xff, 0x7f, dice.below(256) as u8][dice.below(4)];
            }
            if dice.below(3) == 0 {
                damaged.truncate(dice.below(damaged.len()));
            }
            dir.file(name, &damaged);
            let args = ["ask", name, "-q", QUESTION, "--model", "nowhere.gguf"];
            let ran = dir.run(&args).fails(2, &["error: "]);
            let said = ran.stderr();
            assert!(
                said.contains(name) || said.contains("nowhere.gguf"),
                "{said}"
            );
        }
    }
}
