//! `--adapter` on every command, what an adapter brings and who overrides it, and `models merge`.

use crate::support::{Dir, QUESTION, Ran};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn adapter() -> String {
    golden("adapter/plain")
}

fn golden(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden");
    root.join(path).display().to_string()
}

fn dir() -> Dir {
    let dir = Dir::new();
    dir.file("in.txt", "one text\nanother\na third one\nand the fourth\n");
    dir
}

/// Embeds the texts and returns the metadata with the vectors beside it.
fn embed(dir: &Dir, name: &str, more: &[&str]) -> (Value, Vec<Vec<f64>>) {
    dir.embed("in.txt", name, more).ok();
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let meta = read(dir.path(&format!("{name}.meta.json")));
    let vector = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let numbers = row["embedding"].as_array().unwrap().iter();
        numbers.map(|v| v.as_f64().unwrap()).collect()
    };
    let vectors = read(dir.path(name)).lines().map(vector).collect();
    (serde_json::from_str(&meta).unwrap(), vectors)
}

#[test]
fn an_adapter_changes_vectors_and_defaults_and_is_written_down() {
    let dir = dir();
    let adapter = adapter();
    let with = ["--adapter", adapter.as_str()];
    let (meta, centred) = embed(&dir, "default.jsonl", &with);
    assert_eq!(meta["adapter"], adapter.as_str());
    assert_eq!(meta["adapter_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&meta["readout"], &meta["layer"]),
        (&"avg_ppt".into(), &1.into())
    );
    assert!(
        meta["template"]
            .as_str()
            .unwrap()
            .starts_with("### Instruction"),
        "{meta}"
    );
    assert!(meta["center_means"].is_array());

    let (meta, raw) = embed(&dir, "raw.jsonl", &[&with[..], &["--no-center"]].concat());
    assert!(meta.get("center_means").is_none() && raw != centred);

    let plain = [
        "--template",
        "inbedder",
        "--readout",
        "fst_gen",
        "--layer",
        "2",
        "--no-center",
    ];
    let (meta, tuned) = embed(&dir, "flags.jsonl", &[&with[..], &plain].concat());
    assert_eq!(
        (&meta["readout"], &meta["layer"]),
        (&"fst_gen".into(), &2.into())
    );
    let (meta, base) = embed(&dir, "base.jsonl", &["--adapter", "none"]);
    assert!(
        meta["adapter"].is_null() && meta.get("adapter_sha256").is_none(),
        "{meta}"
    );
    assert_ne!(tuned, base);
    assert_eq!(base, embed(&dir, "no.jsonl", &[]).1);
    // What has few texts, or a part of them, is left as it is.
    let few = [&with[..], &["--limit", "2"]].concat();
    assert!(
        embed(&dir, "few.jsonl", &few)
            .0
            .get("center_means")
            .is_none()
    );
    let part = [&with[..], &["--shard", "1/2"]].concat();
    assert!(
        embed(&dir, "part.jsonl", &part)
            .0
            .get("center_means")
            .is_none()
    );
}

#[test]
fn vectors_of_base_and_adapted_model_are_not_mixed() {
    let dir = dir();
    let adapter = adapter();
    dir.embed("in.txt", "base.jsonl", &["--center"]).ok();
    let settings = [
        "--template",
        "inbedder",
        "--readout",
        "fst_gen",
        "--layer",
        "2",
    ];
    let with = ["--adapter", adapter.as_str(), "--center-from", "base.jsonl"];
    dir.embed("in.txt", "out.jsonl", &[&with[..], &settings].concat())
        .fails(2, &["adapter_sha256", "--adapter"]);
}

#[test]
fn every_command_takes_an_adapter_and_refuses_one_that_does_not_fit() {
    let dir = dir();
    let (adapter, other) = (adapter(), golden("adapter/regex"));
    let texts: String = (0..20).map(|i| format!("text number {i}\n")).collect();
    dir.file("in.txt", texts);
    let commands: [&[&str]; 5] = [
        &["ask", "in.txt", "-q", QUESTION],
        &["compare", "one", "two", "three", "-q", QUESTION],
        &["check", "in.txt", "-q", QUESTION, "--no-answers"],
        &[
            "cluster", "in.txt", "-q", QUESTION, "-k", "2", "-o", "out.csv",
        ],
        &["embed", "in.txt", "-q", QUESTION, "-o", "out.npy"],
    ];
    for command in commands {
        let with = |adapter: &str| dir.run(&[command, &["--adapter", adapter]].concat());
        with("nowhere").fails(2, &["no adapter \"nowhere\"", "none"]);
        let parts = ["does not fit", "self_attn.q_proj.lora_A.weight"];
        with(&other).fails(2, &parts);
        with(&adapter).ok();
    }
}

fn merge(dir: &Dir, model: &str, output: &str, more: &[&str]) -> Ran {
    let base = ["models", "merge", "--model", model, "-o", output];
    dir.run(&[&base[..], more].concat())
}

#[test]
fn a_merged_model_embeds_as_its_parts_do() {
    let dir = dir();
    let (adapter, base) = (adapter(), golden("llama/gqa_tied"));
    let settings = [
        "--template",
        "alpaca",
        "--readout",
        "avg_ppt",
        "--layer",
        "1",
        "--no-center",
    ];
    let with = [&["--adapter", adapter.as_str()], &settings[..]].concat();
    let (_, expected) = embed(&dir, "parts.jsonl", &with);
    for output in ["merged", "merged.gguf"] {
        let ran = merge(
            &dir,
            &base,
            output,
            &["--adapter", &adapter, "--dtype", "f32"],
        )
        .ok();
        let hint = "--template \"alpaca\" --readout avg_ppt --layer 1 --center";
        assert!(ran.stderr().contains(hint), "{}", ran.stderr());
        assert_eq!(ran.stdout(), format!("{output}\n"));
        let out = format!("{output}.jsonl");
        let (_, got) = embed(&dir, &out, &[&["--model", output], &settings[..]].concat());
        assert_eq!(got, expected, "{output}");
        merge(&dir, &base, output, &["--adapter", &adapter]).fails(2, &["is there already"]);
    }
    merge(&dir, &base, "x", &["--dtype", "q8_0"]).fails(2, &["a folder", "q8_0"]);
    merge(&dir, &base, "x", &["--dtype", "f8"]).fails(2, &["f8", "bf16, q8_0"]);
    merge(&dir, &base, "x", &["--adapter", &golden("adapter/gguf")]).ok();
}
