//! `--center`: vectors without what all of a question have in common.

use crate::support::{Dir, QUESTION};
use serde_json::Value;

const OTHER: &str = "How does the writer feel?";

fn dir() -> Dir {
    let dir = Dir::new();
    let line = |i: usize| format!("text number {i}\n");
    dir.file("in.txt", (0..40).map(line).collect::<String>());
    dir
}

/// `[row][dim]`.
fn vectors(dir: &Dir, name: &str) -> Vec<Vec<f32>> {
    let text = std::fs::read_to_string(dir.path(name)).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let vector = row["embedding"].as_array().unwrap().iter();
        vector.map(|v| v.as_f64().unwrap() as f32).collect()
    };
    text.lines().map(row).collect()
}

/// What `raw`, rows of two questions in turn, should be without the means.
fn centred(raw: &[Vec<f32>], unit: bool) -> Vec<Vec<f32>> {
    let mean = |q: usize, d: usize| {
        let own: Vec<f64> = raw
            .iter()
            .skip(q)
            .step_by(2)
            .map(|v| f64::from(v[d]))
            .collect();
        own.iter().sum::<f64>() / own.len() as f64
    };
    let means: Vec<Vec<f64>> = (0..2)
        .map(|q| (0..raw[0].len()).map(|d| mean(q, d)).collect())
        .collect();
    let off = |(i, v): (usize, &Vec<f32>)| -> Vec<f32> {
        let v: Vec<f64> = v
            .iter()
            .zip(&means[i % 2])
            .map(|(v, m)| f64::from(*v) - m)
            .collect();
        let length = if unit {
            v.iter().map(|v| v * v).sum::<f64>().sqrt()
        } else {
            1.0
        };
        v.iter().map(|v| (v / length) as f32).collect()
    };
    raw.iter().enumerate().map(off).collect()
}

fn assert_near(a: &[Vec<f32>], b: &[Vec<f32>]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn the_mean_of_each_question_is_taken_off_and_kept() {
    let dir = dir();
    for unit in [true, false] {
        let scale = if unit { "l2" } else { "none" };
        let more = ["-q", OTHER, "--force", "--normalize", scale];
        dir.embed("in.txt", "raw.jsonl", &more).ok();
        dir.embed("in.txt", "off.jsonl", &[&more[..], &["--center"]].concat())
            .ok();
        assert_near(
            &vectors(&dir, "off.jsonl"),
            &centred(&vectors(&dir, "raw.jsonl"), unit),
        );
        let meta = std::fs::read(dir.path("off.jsonl.meta.json")).unwrap();
        let meta: Value = serde_json::from_slice(&meta).unwrap();
        assert_eq!(meta["center_means"].as_array().unwrap().len(), 2);
        assert_eq!(meta["center_means"][1].as_array().unwrap().len(), 64);
    }
    let names = dir.names();
    assert!(!names.iter().any(|name| name.contains("part")), "{names:?}");
}

#[test]
fn later_texts_are_centred_as_the_earlier_were_whatever_the_format() {
    let dir = dir();
    dir.file("later.txt", "text number 7\ntext number 3\n");
    dir.embed("in.txt", "off.jsonl", &["-q", OTHER, "--center"])
        .ok();
    dir.embed("in.txt", "off.parquet", &["-q", OTHER, "--center"])
        .ok();
    dir.embed("in.txt", "off.safetensors", &["-q", OTHER, "--center"])
        .ok();
    let all = vectors(&dir, "off.jsonl");
    for from in ["off.jsonl", "off.parquet", "off.safetensors"] {
        let out = format!("{from}.later.jsonl");
        // One of the questions is enough.
        let args = [
            "embed",
            "later.txt",
            "-q",
            OTHER,
            "-o",
            &out,
            "--center-from",
            from,
        ];
        dir.run(&args).ok();
        assert_near(&vectors(&dir, &out), &[all[15].clone(), all[7].clone()]);
    }
}

#[test]
fn centred_jobs_are_resumed_and_shared() {
    let dir = dir();
    dir.embed("in.txt", "whole.parquet", &["--center"]).ok();
    dir.embed("in.txt", "again.parquet", &["--center", "--resume"])
        .ok();
    let read = |name: &str| std::fs::read(dir.path(name)).unwrap();
    assert!(read("whole.parquet") == read("again.parquet"));
    assert!(!dir.path("again.parquet.parts").exists());
    dir.embed("in.txt", "1.parquet", &["--center", "--shard", "1/2"])
        .fails(2, &["--center-from"]);
    for (out, shard) in [("1.parquet", "1/2"), ("2.parquet", "2/2")] {
        dir.embed(
            "in.txt",
            out,
            &["--center-from", "whole.parquet", "--shard", shard],
        )
        .ok();
    }
    dir.run(&["merge", "1.parquet", "2.parquet", "-o", "merged.parquet"])
        .ok();
    dir.embed(
        "in.txt",
        "from.parquet",
        &["--center-from", "whole.parquet"],
    )
    .ok();
    let args = ["-k", "3", "--no-answers"];
    for name in ["merged", "from", "whole"] {
        let (vectors, out) = (format!("{name}.parquet"), format!("{name}.csv"));
        let cluster = [
            "cluster",
            "in.txt",
            "-q",
            QUESTION,
            "--embeddings",
            &vectors,
            "-o",
            &out,
        ];
        dir.run(&[&cluster[..], &args].concat()).ok();
        assert_eq!(read(&out), read("merged.csv"));
    }
}

#[test]
fn means_that_do_not_belong_are_refused() {
    let dir = dir();
    dir.embed("in.txt", "raw.jsonl", &[]).ok();
    dir.embed("in.txt", "off.jsonl", &["--center"]).ok();
    let from = |file: &str, more: &[&str]| {
        dir.embed(
            "in.txt",
            "o.jsonl",
            &[&["--center-from", file], more].concat(),
        )
    };
    from("raw.jsonl", &[]).fails(2, &["raw.jsonl", "holds no means"]);
    from("off.jsonl", &["--layer", "1"]).fails(2, &["off.jsonl", "--layer"]);
    from("off.jsonl", &["-q", OTHER]).fails(2, &["was not made with the question", OTHER]);
    from("off.jsonl", &["--center"]).fails(2, &["cannot be used with"]);
    from("nothing.jsonl", &[]).fails(2, &["nothing.jsonl.meta.json"]);
    let npy = dir.embed("in.txt", "off.npy", &["--center"]).ok();
    assert!(npy.stderr().contains("are not kept"), "{}", npy.stderr());
    let args = [
        "cluster",
        "in.txt",
        "-q",
        QUESTION,
        "-k",
        "2",
        "--embeddings",
        "off.jsonl",
        "--center",
        "-o",
        "c.csv",
    ];
    dir.run(&args).fails(2, &["is centred already"]);
}

#[test]
fn clusters_of_centred_vectors_are_those_of_a_centred_file() {
    let dir = dir();
    dir.embed("in.txt", "off.parquet", &["--center"]).ok();
    let cluster = |out: &str, more: &[&str]| {
        let args = [
            "cluster",
            "in.txt",
            "-q",
            QUESTION,
            "-k",
            "4",
            "--no-answers",
            "-o",
            out,
        ];
        dir.run(&[&args[..], more].concat()).ok();
        std::fs::read_to_string(dir.path(out)).unwrap()
    };
    let own = cluster("own.csv", &["--center"]);
    let labels = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.split(',').nth(1).unwrap().to_string())
            .collect()
    };
    assert_eq!(
        labels(&own),
        labels(&cluster("file.csv", &["--embeddings", "off.parquet"]))
    );
    assert_eq!(
        labels(&own),
        labels(&cluster("from.csv", &["--center-from", "off.parquet"]))
    );
}
