//! `inbedder cluster`: what it writes and prints, and what it refuses. The model is random: which
//! texts lie together is not judged, except that copies of a text do.

use crate::support::{Dir, QUESTION, Ran};
use serde_json::Value;

const OTHER: &str = "How does the writer feel?";

/// Five texts, six times each, with their number as a label.
fn dir() -> Dir {
    let dir = Dir::new();
    let texts = [
        "late parcel",
        "loud fan",
        "nice price",
        "wrong size of shoe",
        "dead battery",
    ];
    let row = |i: usize| {
        format!(
            "{{\"text\": \"{}\", \"kind\": \"k{}\", \"cluster\": {i}}}\n",
            texts[i % 5],
            i % 5
        )
    };
    dir.file("in.jsonl", (0..30).map(row).collect::<String>());
    dir
}

fn cluster(dir: &Dir, out: &str, more: &[&str]) -> Ran {
    let args = [
        "cluster",
        "in.jsonl",
        "-q",
        QUESTION,
        "-o",
        out,
        "--max-new-tokens",
        "3",
    ];
    dir.run(&[&args[..], more].concat())
}

fn json(dir: &Dir, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir.path(name)).unwrap()).unwrap()
}

fn lines(dir: &Dir, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.path(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn copies_of_a_text_lie_together_and_labels_say_so() {
    let dir = dir();
    let ran = cluster(&dir, "out.jsonl", &["-k", "5", "--labels", "kind"]).ok();
    let rows = lines(&dir, "out.jsonl");
    assert_eq!(rows.len(), 30);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["cluster"], rows[i % 5]["cluster"], "row {i}");
        assert_eq!(row["cluster_input"], i, "the input's own column is kept");
        assert!(row["cluster_name"].is_string() && row["answer"].is_string());
        assert!(row["distance"].as_f64().unwrap() < 1e-3);
    }
    let report = json(&dir, "out.clusters.json");
    let question = &report["questions"][0];
    assert_eq!(question["agreement"]["v_measure"], 1.0);
    assert_eq!(question["clusters"].as_array().unwrap().len(), 5);
    assert_eq!(question["clusters"][0]["entropy_bits"], 0.0);
    assert_eq!(question["clusters"][0]["size"], 6);
    assert!(question["clusters"][0]["decoded"].is_array());
    assert_eq!(
        question["clusters"][0]["nearest"].as_array().unwrap().len(),
        3
    );
    assert_eq!(report["embedding"]["instructions"][0], QUESTION);
    let out = ran.stdout();
    for part in [
        QUESTION,
        "5 clusters",
        "V-measure 1.000",
        "[0.00 bits: k",
        "late parcel",
    ] {
        assert!(out.contains(part), "{part:?} is missing:\n{out}");
    }
}

#[test]
fn k_is_chosen_and_the_curve_shown() {
    let dir = dir();
    let ran = cluster(&dir, "out.csv", &[]).ok();
    assert!(
        ran.stdout()
            .contains("k = 4 by the simplified silhouette: 2: ")
            || ran
                .stdout()
                .contains("k = 6 by the simplified silhouette: 2: "),
        "{}",
        ran.stdout()
    );
    let report = json(&dir, "out.clusters.json");
    let curve = report["questions"][0]["choice"]["curve"]
        .as_array()
        .unwrap();
    assert_eq!(
        curve
            .iter()
            .map(|c| c["k"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [2, 3, 4, 6, 8, 11]
    );
    let text = std::fs::read_to_string(dir.path("out.csv")).unwrap();
    assert!(
        text.starts_with("text,kind,cluster_input,cluster,cluster_name,distance,answer\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 31);
}

#[test]
fn one_seed_gives_one_result_whatever_the_threads() {
    let dir = dir();
    cluster(&dir, "a.csv", &["-k", "3", "--threads", "1"]).ok();
    cluster(&dir, "b.csv", &["-k", "3", "--threads", "3"]).ok();
    let read = |name: &str| std::fs::read_to_string(dir.path(name)).unwrap();
    assert_eq!(read("a.csv"), read("b.csv"));
}

#[test]
fn two_questions_are_crossed() {
    let dir = dir();
    let ran = cluster(&dir, "out.parquet", &["-q", OTHER, "-k", "5", "--cross"]).ok();
    let out = ran.stdout();
    assert!(
        out.contains(&format!("{QUESTION} × {OTHER}")) && out.contains("NMI 1.000"),
        "{out}"
    );
    let report = json(&dir, "out.clusters.json");
    let table = report["cross"][0]["table"].as_array().unwrap();
    let counts: u64 = table
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|c| c.as_u64().unwrap())
        .sum();
    assert_eq!(counts, 30);
    let file = std::fs::File::open(dir.path("out.parquet")).unwrap();
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let names: Vec<_> = reader
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(
        names,
        [
            "text",
            "kind",
            "cluster",
            "cluster_1",
            "cluster_name_1",
            "distance_1",
            "answer_1",
            "cluster_2",
            "cluster_name_2",
            "distance_2",
            "answer_2"
        ]
    );
}

#[test]
fn other_methods_and_what_they_alone_tell() {
    let dir = dir();
    let fast = ["--no-answers", "--method"];
    cluster(
        &dir,
        "a.jsonl",
        &[
            &fast[..],
            &["agglomerative", "-k", "5", "--linkage", "average"],
        ]
        .concat(),
    )
    .ok();
    let report = json(&dir, "a.clusters.json");
    let merges = report["questions"][0]["dendrogram"].as_array().unwrap();
    assert_eq!(merges.len(), 29);
    assert_eq!(merges[28][3], 30, "the last merge holds all texts");
    assert!(lines(&dir, "a.jsonl")[0].get("answer").is_none());
    cluster(
        &dir,
        "h.jsonl",
        &[&fast[..], &["hdbscan", "--min-cluster-size", "4"]].concat(),
    )
    .ok();
    assert_eq!(
        json(&dir, "h.clusters.json")["questions"][0]["clusters"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    cluster(
        &dir,
        "m.jsonl",
        &[&fast[..], &["minibatch", "-k", "2"]].concat(),
    )
    .ok();
    assert_eq!(json(&dir, "m.clusters.json")["questions"][0]["k"], 2);
    // Another layer than the last is not what the head reads: said, and left out.
    let ran = cluster(
        &dir,
        "l.jsonl",
        &["-k", "2", "--layer", "1", "--no-answers"],
    )
    .ok();
    assert!(
        ran.stderr().contains("no decoded words"),
        "{}",
        ran.stderr()
    );
    assert!(json(&dir, "l.clusters.json")["questions"][0]["clusters"][0]["decoded"].is_null());
}

#[test]
fn vectors_from_a_file_give_what_embedding_gives() {
    let dir = dir();
    cluster(&dir, "direct.csv", &["-k", "3"]).ok();
    let direct = std::fs::read_to_string(dir.path("direct.csv")).unwrap();
    let more = ["-q", OTHER, "--answers", "--max-new-tokens", "3"];
    dir.embed("in.jsonl", "v.parquet", &more).ok();
    dir.embed("in.jsonl", "v.jsonl.gz", &more).ok();
    dir.embed("in.jsonl", "v.safetensors", &["-q", OTHER]).ok();
    dir.embed("in.jsonl", "v.npy", &[]).ok();
    for (vectors, answers) in [
        ("v.parquet", true),
        ("v.jsonl.gz", true),
        ("v.safetensors", false),
        ("v.npy", false),
    ] {
        let out = format!("{vectors}.csv");
        let ran = cluster(&dir, &out, &["-k", "3", "--embeddings", vectors]).ok();
        let found = std::fs::read_to_string(dir.path(&out)).unwrap();
        if answers {
            assert_eq!(found, direct, "{vectors}");
        } else {
            let column = |text: &str| -> Vec<String> {
                text.lines()
                    .map(|line| line.split(',').nth(3).unwrap().to_string())
                    .collect()
            };
            assert_eq!(column(&found), column(&direct), "{vectors}");
        }
        assert_eq!(ran.stderr().contains("taken on trust"), vectors == "v.npy");
    }
    // Without -q: the file's questions.
    dir.run(&[
        "cluster",
        "in.jsonl",
        "--embeddings",
        "v.parquet",
        "-k",
        "2",
        "-o",
        "own.jsonl",
    ])
    .ok();
    assert_eq!(
        json(&dir, "own.clusters.json")["questions"][1]["question"],
        OTHER
    );
}

#[test]
fn vectors_that_are_not_of_this_are_refused() {
    let dir = dir();
    dir.embed("in.jsonl", "v.jsonl", &[]).ok();
    let with = |more: &[&str]| {
        cluster(
            &dir,
            "out.jsonl",
            &[&["-k", "2", "--embeddings", "v.jsonl"], more].concat(),
        )
    };
    with(&["--layer", "1"]).fails(2, &["v.jsonl", "layer", "--layer"]);
    with(&["--readout", "avg_ppt"]).fails(2, &["readout fst_gen there", "avg_ppt here"]);
    let other = crate::support::model().join("../mha_untied");
    with(&["--model", other.to_str().unwrap()]).fails(2, &["--model"]);
    with(&["-q", OTHER]).fails(2, &["was not made with the question", OTHER]);
    with(&["--limit", "29"]).fails(2, &["30 texts, the input has 29"]);
    let text = std::fs::read_to_string(dir.path("in.jsonl")).unwrap();
    let turned: Vec<&str> = text.lines().rev().collect();
    dir.file("turned.jsonl", turned.join("\n"));
    let args = [
        "cluster",
        "turned.jsonl",
        "-q",
        QUESTION,
        "-k",
        "2",
        "--embeddings",
        "v.jsonl",
        "-o",
        "out.jsonl",
    ];
    dir.run(&args)
        .fails(2, &["text 1 is another than in the input"]);
    // A number that is none, a shorter vector.
    let whole = std::fs::read_to_string(dir.path("v.jsonl")).unwrap();
    let rows: Vec<&str> = whole.lines().collect();
    let damaged = |row: &str| {
        let mut rows = rows.clone();
        rows[6] = row;
        dir.file("v.jsonl", rows.join("\n"));
    };
    let (head, tail) = rows[6].split_once("\"embedding\":[").unwrap();
    let (_, tail) = tail.split_once(',').unwrap();
    damaged(&format!("{head}\"embedding\":[null,{tail}"));
    with(&[]).fails(2, &["v.jsonl:7", "NaN"]);
    damaged(&format!("{head}\"embedding\":[{tail}"));
    with(&[]).fails(2, &["v.jsonl:7", "a vector of 63, expected 64"]);
    assert!(!dir.path("out.jsonl").exists());
}

#[test]
fn requests_that_make_no_sense_are_refused_before_or_with_a_reason() {
    let dir = dir();
    cluster(&dir, "out.jsonl", &["-k", "0"]).fails(2, &["expected a number of clusters from 1"]);
    cluster(&dir, "out.jsonl", &["-k", "31"]).fails(2, &["31 clusters of 30 vectors"]);
    cluster(&dir, "out.jsonl", &["--cross"]).fails(2, &["at least two"]);
    cluster(&dir, "out.jsonl", &["--method", "hdbscan", "-k", "3"]).fails(2, &["leave -k out"]);
    let many = ["--method", "hdbscan", "--min-cluster-size", "31"];
    cluster(&dir, "out.jsonl", &many).fails(2, &["the least size of a cluster is 31"]);
    cluster(&dir, "out.txt", &[]).fails(2, &["unknown extension"]);
    cluster(&dir, "out.jsonl", &["-q", QUESTION]).fails(2, &["asked twice"]);
    cluster(&dir, "out.jsonl", &["-k", "2", "--labels", "sort"]).fails(2, &["no field \"sort\""]);
    let ran = cluster(&dir, "out.jsonl", &["-k", "8", "--no-answers"]).ok();
    assert!(
        ran.stderr().contains("5 clusters instead of 8"),
        "{}",
        ran.stderr()
    );
    cluster(&dir, "out.jsonl", &["-k", "2"]).fails(2, &["exists"]);
    std::fs::remove_file(dir.path("out.jsonl")).unwrap();
    cluster(&dir, "out.jsonl", &["-k", "2"]).fails(2, &["out.clusters.json", "exists"]);
}

#[test]
fn a_missing_label_is_named_and_a_single_one_noted() {
    let dir = Dir::new();
    dir.file(
        "in.jsonl",
        "{\"text\":\"a\",\"kind\":1}\n{\"text\":\"b\",\"kind\":1}\n{\"text\":\"c\"}\n",
    );
    let labels = ["-k", "2", "--no-answers", "--labels", "kind"];
    cluster(&dir, "out.csv", &labels).fails(2, &["text 3 has no label"]);
    let ran = cluster(&dir, "out.csv", &[&labels[..], &["--limit", "2"]].concat()).ok();
    assert!(
        ran.stderr().contains("all texts have the label \"1\""),
        "{}",
        ran.stderr()
    );
}
