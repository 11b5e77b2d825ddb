//! Every output format, and what is left when writing fails or is interrupted.

use crate::support::{Dir, QUESTION};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const OTHER: &str = "How does the writer feel?";
const INPUT: &str = "{\"text\": \"first text\", \"id\": 7}\n{\"text\": \"second\", \"id\": null}\n{\"text\": \"first text\", \"id\": 9}\n";

fn dir() -> Dir {
    let dir = Dir::new();
    dir.file("in.jsonl", INPUT);
    dir
}

/// Vectors by `[question][text]`, from JSON lines.
fn vectors(text: &str, questions: usize) -> Vec<Vec<Vec<f32>>> {
    let mut found = vec![Vec::new(); questions];
    for (i, line) in text.lines().enumerate() {
        let row: Value = serde_json::from_str(line).unwrap();
        let vector = row["embedding"].as_array().unwrap().iter();
        found[i % questions].push(vector.map(|v| v.as_f64().unwrap() as f32).collect());
    }
    found
}

fn embed_two(dir: &Dir, out: &str, more: &[&str]) {
    dir.embed("in.jsonl", out, &[&["-q", OTHER], more].concat())
        .ok();
}

#[test]
fn json_lines_hold_a_row_per_text_and_question_and_the_metadata_stands_beside() {
    let dir = dir();
    embed_two(&dir, "out.jsonl", &["--answers", "--layer", "1"]);
    let text = std::fs::read_to_string(dir.path("out.jsonl")).unwrap();
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("text")[..3], ["first text", "first text", "second"]);
    assert_eq!(column("instruction")[..2], [QUESTION, OTHER]);
    assert_eq!(
        column("id"),
        [
            7.into(),
            7.into(),
            Value::Null,
            Value::Null,
            9.into(),
            9.into()
        ]
    );
    assert!(column("answer").iter().all(Value::is_string));
    let vectors = vectors(&text, 2);
    assert_eq!(vectors[0][0], vectors[0][2], "one text, one vector");
    assert_ne!(
        vectors[0][0], vectors[1][0],
        "another question, another vector"
    );
    let length: f32 = vectors[0][1].iter().map(|v| v * v).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let meta: Value =
        serde_json::from_slice(&std::fs::read(dir.path("out.jsonl.meta.json")).unwrap()).unwrap();
    assert_eq!(meta["layer"], 1);
    assert_eq!(meta["instructions"][1], OTHER);
    assert_eq!(meta["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(meta["dim"], 64);
}

#[test]
fn all_formats_hold_the_same_numbers() {
    let dir = dir();
    for out in [
        "a.jsonl",
        "a.jsonl.gz",
        "a.jsonl.zst",
        "a.parquet",
        "a.npy",
        "a.safetensors",
    ] {
        embed_two(&dir, out, &[]);
    }
    let plain = std::fs::read_to_string(dir.path("a.jsonl")).unwrap();
    let mut unzipped = String::new();
    let file = std::fs::File::open(dir.path("a.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut unzipped)
        .unwrap();
    assert_eq!(unzipped, plain);
    let file = std::fs::File::open(dir.path("a.jsonl.zst")).unwrap();
    assert_eq!(
        String::from_utf8(zstd::decode_all(file).unwrap()).unwrap(),
        plain
    );

    let expected: Vec<f32> = vectors(&plain, 2).concat().concat();
    assert_eq!(
        npy(&std::fs::read(dir.path("a.npy")).unwrap(), "(2, 3, 64)"),
        expected
    );
    let bytes = std::fs::read(dir.path("a.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("embeddings").unwrap();
    assert_eq!(tensor.shape(), [2, 3, 64]);
    assert_eq!(floats(tensor.data()), expected);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["readout"], "fst_gen");
    assert!(metadata["instructions"].contains(OTHER));
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

/// The numbers of a `.npy` file, whose header is checked.
#[track_caller]
fn npy(bytes: &[u8], shape: &str) -> Vec<f32> {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    assert!(
        header.contains("'<f4'") && header.contains(shape) && header.ends_with('\n'),
        "{header}"
    );
    assert_eq!((10 + length) % 64, 0);
    floats(&bytes[10 + length..])
}

#[test]
fn parquet_keeps_columns_types_and_metadata() {
    let dir = dir();
    embed_two(&dir, "a.parquet", &["--answers"]);
    let file = std::fs::File::open(dir.path("a.parquet")).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let pairs = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .clone();
    let value = |key: &str| {
        pairs
            .iter()
            .find(|pair| pair.key == key)
            .and_then(|pair| pair.value.clone())
    };
    assert_eq!(
        value("template").unwrap(),
        "### Input:\n{input}\n\n### Instruction:\n{instruction}\n\n### Response:"
    );
    assert_eq!(value("normalize").unwrap(), "l2");
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    let names: Vec<_> = batches[0]
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["text", "id", "instruction", "answer", "embedding"]);
    let ids = batches[0]["id"].as_primitive::<Int64Type>();
    assert_eq!(
        ids.iter().collect::<Vec<_>>(),
        [Some(7), Some(7), None, None, Some(9), Some(9)]
    );
    let embeddings = batches[0]["embedding"].as_fixed_size_list();
    assert_eq!(embeddings.value_length(), 64);
    embed_two(&dir, "a.jsonl", &[]);
    let plain = std::fs::read_to_string(dir.path("a.jsonl")).unwrap();
    let rows = vectors(&plain, 1).concat().concat();
    assert_eq!(
        embeddings
            .values()
            .as_primitive::<Float32Type>()
            .values()
            .to_vec(),
        rows
    );
}

#[test]
fn one_question_makes_a_matrix_and_order_and_threads_change_nothing() {
    let dir = Dir::new();
    let texts: String = (0..50)
        .map(|i| format!("{}\n", "word ".repeat(i % 17 + 1) + &i.to_string()))
        .collect();
    dir.file("in.txt", &texts);
    let reversed: Vec<&str> = texts.lines().rev().collect();
    dir.file("back.txt", reversed.join("\n"));
    dir.embed(
        "in.txt",
        "a.npy",
        &["--threads", "1", "--token-budget", "50"],
    )
    .ok();
    dir.embed("back.txt", "b.npy", &["--threads", "3"]).ok();
    let read = |name: &str| npy(&std::fs::read(dir.path(name)).unwrap(), "(50, 64)");
    let (a, b) = (read("a.npy"), read("b.npy"));
    for (i, (a, b)) in a.chunks(64).zip(b.chunks(64).rev()).enumerate() {
        let dot: f64 = a
            .iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum();
        assert!(dot >= 0.999999, "text {i}: {dot}");
    }
}

#[test]
fn outputs_that_cannot_be_are_refused_before_anything_is_read() {
    let dir = dir();
    dir.file("there.npy", "old");
    std::fs::create_dir(dir.path("folder.npy")).unwrap();
    for (out, more, parts) in [
        (
            "out.txt",
            &[][..],
            &["out.txt", "extension", ".parquet"][..],
        ),
        ("none/out.npy", &[], &["none/out.npy", "no folder none"]),
        ("there.npy", &[], &["there.npy", "--force"]),
        ("folder.npy", &["--force"], &["folder.npy", "folder"]),
        (
            "out.npy",
            &["--answers"],
            &["out.npy", "--answers", ".parquet"],
        ),
    ] {
        // The input does not exist either: the output is looked at first.
        dir.embed("nowhere.jsonl", out, more).fails(2, parts);
    }
    assert_eq!(std::fs::read(dir.path("there.npy")).unwrap(), b"old");
    dir.embed("in.jsonl", "there.npy", &["--force"]).ok();
    assert!(
        std::fs::read(dir.path("there.npy"))
            .unwrap()
            .starts_with(b"\x93NUMPY")
    );
    assert_eq!(dir.names(), ["folder.npy", "in.jsonl", "there.npy"]);
}

/// A limit on file sizes stands in for a full disk: a write fails in the middle.
#[test]
fn a_write_that_fails_leaves_nothing() {
    for out in ["out.parquet", "out.jsonl", "out.npy", "out.safetensors"] {
        let dir = Dir::new();
        dir.file(
            "in.txt",
            (0..200).map(|i| format!("text {i}\n")).collect::<String>(),
        );
        let inner = dir.command(&["embed", "in.txt", "-q", QUESTION, "-o", out]);
        let quoted = |arg: &std::ffi::OsStr| format!("'{}'", arg.to_str().unwrap());
        let words: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(quoted)
            .collect();
        let script = format!("trap '' XFSZ; ulimit -f 8; exec {}", words.join(" "));
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(dir.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{out}: {said}");
        assert!(
            said.contains(out) && said.contains("nothing was left"),
            "{said}"
        );
        assert_eq!(dir.names(), ["in.txt"], "{out}");
    }
}

#[test]
fn an_interrupt_leaves_nothing() {
    let dir = Dir::new();
    dir.file(
        "in.txt",
        (0..200_000)
            .map(|i| format!("text number {i}\n"))
            .collect::<String>(),
    );
    let mut child = dir
        .command(&["embed", "in.txt", "-q", QUESTION, "-o", "out.parquet"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The unfinished file shows that the work has begun.
    let deadline = Instant::now() + Duration::from_secs(60);
    while dir.names().len() < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(dir.names().len(), 2, "the work began");
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    assert_eq!(dir.names(), ["in.txt"]);
}
