//! `inbedder train`: what is learnt, that a run is repeated to the bit however often it is killed, and
//! what is refused.

use super::support::Dir;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

/// Texts about animals and moods, each with two questions.
fn rows() -> String {
    let animals = ["cat", "dog", "horse", "owl", "crab"];
    let moods = ["glad", "sad", "angry", "calm"];
    let texts = (0..60).map(|i| {
        let (animal, mood) = (animals[i % 5], moods[i % 4]);
        let text = format!("Number {i}: the {animal} is {mood} today.");
        let row = |instruction: &str, output: &str| {
            let row = serde_json::json!({"input": text, "instruction": instruction,
                "output": output, "source": if i % 3 == 0 { "farm" } else { "wood" }});
            format!("{row}\n")
        };
        row("Which animal is it?", animal) + &row("How does it feel?", mood)
    });
    texts.collect()
}

fn dir() -> Dir {
    let dir = Dir::new();
    dir.file("rows.jsonl", rows());
    dir
}

const SMALL: [&str; 16] = [
    "--tokens-per-step",
    "300",
    "--tokens-per-batch",
    "100",
    "--threads",
    "2",
    "--rank",
    "4",
    "--dropout",
    "0.1",
    "--learning-rate",
    "0.01",
    "--held-out",
    "6",
    "--validate-every",
    "9",
];

fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "rows.jsonl", "-o", out], &SMALL[..], more].concat()
}

/// A run's metrics without its times.
fn metrics(dir: &Dir, out: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.path(out).join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        for time in ["seconds", "tokens_per_second"] {
            record.as_object_mut().unwrap().remove(time);
        }
        record
    });
    lines.collect()
}

fn losses(dir: &Dir, out: &str) -> Vec<f64> {
    let records = metrics(dir, out);
    records
        .iter()
        .filter_map(|record| record["loss"].as_f64())
        .collect()
}

#[test]
fn the_loss_falls_for_every_objective_and_whatever_is_trained() {
    let dir = dir();
    let ways: [&[&str]; 4] = [
        &[],
        &[
            "--causal",
            "0",
            "--whole-answer",
            "1",
            "--targets",
            "q_proj,v_proj",
        ],
        &[
            "--train",
            "all",
            "--learning-rate",
            "0.003",
            "--causal",
            "0.5",
            "--whole-answer",
            "0.5",
        ],
        &["--train", "head", "--keep-stop-words", "--no-leading-space"],
    ];
    for (i, way) in ways.into_iter().enumerate() {
        let out = format!("out{i}");
        // The last of two values of an option counts.
        let mut args = train(&out, &["--epochs", "4"]);
        args.retain(|arg| {
            !(way.contains(&"--learning-rate") && ["--learning-rate", "0.01"].contains(arg))
        });
        dir.run(&[&args[..], way].concat()).ok();
        let losses = losses(&dir, &out);
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(last < 0.8 * first, "{way:?}: {losses:?}");
        let (out, model) = (out.as_str(), format!("{out}/model"));
        let made: [&str; 2] = match way.contains(&"--train") {
            true => ["--model", &model],
            false => ["--adapter", out],
        };
        let ask = [
            "ask",
            "rows.jsonl",
            "--text-field",
            "input",
            "-q",
            "How does it feel?",
        ];
        let ran = dir
            .run(&[&ask[..], &["--format", "jsonl", "--limit", "5"], &made].concat())
            .ok();
        assert_eq!(ran.lines().len(), 5);
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been() {
    let dir = dir();
    dir.run(&train("whole", &[])).ok();
    dir.run(&train("again", &[])).ok();
    let mut random = 0x9e37_79b9_u64;
    for round in 0..12 {
        let mut child = dir
            .command(&train("out", &["--resume", "--checkpoint-minutes", "0"]))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        std::thread::sleep(Duration::from_millis((random >> 40 & 0xff) + 40 * round));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    dir.run(&train("out", &["--resume", "--checkpoint-minutes", "0"]))
        .ok();
    let adapter =
        |out: &str| std::fs::read(dir.path(out).join("adapter_model.safetensors")).unwrap();
    for out in ["again", "out"] {
        assert_eq!(metrics(&dir, out), metrics(&dir, "whole"), "{out}");
        assert!(adapter(out) == adapter("whole"), "{out} is another adapter");
    }
    let kept = std::fs::read_dir(dir.path("out").join("checkpoints")).unwrap();
    assert_eq!(kept.count(), 2, "the last two checkpoints are kept");
}

#[test]
fn nothing_need_be_held_out() {
    let dir = dir();
    let mut args = train("out", &["--max-steps", "3"]);
    let at = args.iter().position(|arg| *arg == "--held-out").unwrap();
    args[at + 1] = "0";
    dir.run(&args).ok();
    let metrics = metrics(&dir, "out");
    assert_eq!(metrics[3]["validation_loss"], Value::Null);
    dir.run(&["train", "plot", "out/metrics.jsonl", "-o", "out.svg"])
        .ok();
    assert!(dir.path("out/adapter_model.safetensors").exists());
}

#[test]
fn another_run_in_the_same_folder_is_refused() {
    let dir = dir();
    dir.run(&train("out", &["--max-steps", "2"])).ok();
    dir.run(&train("out", &["--max-steps", "2"]))
        .fails(2, &["--resume"]);
    let other = ["--max-steps", "2", "--resume", "--seed", "7"];
    dir.run(&train("out", &other))
        .fails(2, &["state.json", "seed", "42"]);
    dir.file("rows.jsonl", rows().replace("owl", "rat"));
    dir.run(&train("out", &["--max-steps", "2", "--resume"]))
        .fails(2, &["data"]);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_leaves_its_rows() {
    let dir = dir();
    let mut args = train(
        "out",
        &["--learning-rate", "1e38", "--schedule", "constant"],
    );
    args.retain(|arg| *arg != "0.01");
    let at = args
        .iter()
        .position(|arg| *arg == "--learning-rate")
        .unwrap();
    args.remove(at);
    dir.run(&args)
        .fails(1, &["step", "loss", "rows are in out", "not-finite.jsonl"]);
    let text = std::fs::read_to_string(dir.path("out").join("not-finite.jsonl")).unwrap();
    let step: Value = serde_json::from_str(text.trim()).unwrap();
    assert!(!step["rows"].as_array().unwrap().is_empty());
}

#[test]
fn texts_of_an_excluded_folder_are_refused_or_dropped() {
    let dir = dir();
    std::fs::create_dir(dir.path("test")).unwrap();
    dir.file(
        "test/tasks.jsonl",
        "{\"text\": \"number 3:  the OWL is calm today.\"}\n",
    );
    let exclude = ["--max-steps", "1", "--exclude", "test"];
    dir.run(&train("out", &exclude))
        .fails(2, &["rows.jsonl:7", "test/tasks.jsonl"]);
    let drop = [&exclude[..], &["--on-excluded", "drop"]].concat();
    let ran = dir.run(&train("out", &drop)).ok();
    assert!(ran.stderr().contains("2 excluded"), "{}", ran.stderr());
}

#[test]
fn wrong_rows_settings_and_sources_are_named() {
    let dir = dir();
    dir.file("bad.jsonl", "{\"input\": \"a\", \"instruction\": \"b\"}\n");
    dir.run(&["train", "bad.jsonl", "-o", "out"])
        .fails(2, &["bad.jsonl:1", "output"]);
    dir.run(&["train", "nothing.jsonl", "-o", "out"])
        .fails(2, &["nothing.jsonl"]);
    dir.run(&["train", "rows.jsonl"]).fails(2, &["--output"]);
    dir.run(&train("out", &["--targets", "qkv"]))
        .fails(2, &["qkv", "q_proj"]);
    dir.run(&train("out", &["--sources", "sea"]))
        .fails(2, &["sea", "farm", "wood"]);
    dir.run(&train("out", &["--max-tokens", "5"]))
        .fails(2, &["at most 5 tokens"]);
    for (option, value, part) in [
        ("--causal", "0", "objective"),
        ("--max-tokens", "8193", "8192"),
        ("--beta1", "1", "beta1"),
        ("--beta2", "-1", "beta2"),
        ("--eps", "0", "eps"),
        ("--weight-decay", "inf", "weight decay"),
        ("--alpha", "NaN", "alpha"),
    ] {
        let option = format!("{option}={value}");
        dir.run(&train("out", &[&option])).fails(2, &[part]);
    }
    let mut args = train("out", &["--mix", "rows.jsonl=1e-9"]);
    args.remove(1);
    dir.run(&args).fails(2, &["mix", "no text is drawn"]);
    assert!(!dir.path("out").exists());
}

#[test]
fn the_rows_of_every_step_can_be_written_for_a_peer() {
    let dir = dir();
    let dump = train(
        "out",
        &["--dump-batches", "steps.jsonl", "--sources", "farm"],
    );
    dir.run(&dump).ok();
    assert!(dir.path("out/adapter_model.safetensors").exists());
    dir.run(&dump).fails(2, &["out", "adapter already"]);
    let text = std::fs::read_to_string(dir.path("steps.jsonl")).unwrap();
    let steps: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let rows: usize = steps
        .iter()
        .map(|step| step["rows"].as_array().unwrap().len())
        .sum();
    assert!(steps.len() > 1 && steps[0]["step"] == 1);
    let held_out = 40 - rows;
    assert!(
        (2..=12).contains(&held_out),
        "{rows} rows of 40, six texts held out of all"
    );
}

#[test]
fn curves_are_drawn_of_what_training_wrote() {
    let dir = Dir::new();
    let step = |step: u64| {
        serde_json::json!({"step": step, "epoch": 1, "rows": 9, "tokens": 90, "loss": 2.0,
            "learning_rate": 1e-4, "grad_norm": 1.0, "tokens_per_second": 9.0, "seconds": 1.0})
    };
    dir.file("metrics.jsonl", format!("{}\n{}\n", step(1), step(2)));
    dir.run(&["train", "plot", "metrics.jsonl", "-o", "curve.svg"])
        .ok();
    let svg = std::fs::read_to_string(dir.path("curve.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("smoothed"));
    dir.file("metrics.jsonl", "{\"step\": \"one\"}\n");
    let ran = dir.run(&["train", "plot", "metrics.jsonl", "-o", "other.svg"]);
    ran.fails(2, &["metrics.jsonl:1: "]);
    assert_eq!(dir.names(), ["curve.svg", "metrics.jsonl"]);
}
