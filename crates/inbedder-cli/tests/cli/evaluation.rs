//! `eval` and `check` on the small example set. The model is random: what is tested is that everything is
//! measured, kept, compared and refused, not how good it is.

use crate::support::{Dir, Ran};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/eval")
}

/// A folder with a copy of the example set in `data`.
fn dir() -> Dir {
    let dir = Dir::new();
    std::fs::create_dir(dir.path("data")).unwrap();
    for entry in std::fs::read_dir(example()).unwrap() {
        let from = entry.unwrap().path();
        let to = dir.path("data").join(from.file_name().unwrap());
        std::fs::copy(from, to).unwrap();
    }
    dir
}

const QUICK: [&str; 6] = [
    "--resamples",
    "20",
    "--cache",
    "cache",
    "--output",
    "results.json",
];

fn eval(dir: &Dir, more: &[&str]) -> Ran {
    dir.run(&[&["eval", "data"], &QUICK[..], more].concat())
}

fn results(dir: &Dir) -> Value {
    let text = std::fs::read_to_string(dir.path("results.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The results without what a clock decides.
fn timeless(mut results: Value) -> Value {
    for field in ["seconds", "model_seconds"] {
        results[field] = Value::Null;
    }
    for task in results["tasks"].as_array_mut().unwrap() {
        (task["work"], task["seconds"]) = (Value::Null, Value::Null);
    }
    results
}

/// Changes the manifest's task `name`.
fn change(dir: &Dir, name: &str, change: impl Fn(&mut Value)) {
    let path = dir.path("data").join("tasks.json");
    let mut tasks: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    tasks
        .iter_mut()
        .filter(|task| task["name"] == name)
        .for_each(change);
    std::fs::write(path, json!(tasks).to_string()).unwrap();
}

#[test]
fn every_kind_is_measured_against_every_baseline_and_reported() {
    let dir = dir();
    let files = ["--markdown", "table.md", "--report", "report.html"];
    let systems = [
        "--baseline",
        "empty",
        "--baseline",
        "avg_ppt",
        "--baseline",
        "fst_gen@1",
    ];
    let published = [
        "--published",
        "data/published.json",
        "--check",
        "--check-texts",
        "20",
    ];
    let ran = eval(&dir, &[&files[..], &systems, &published].concat()).ok();
    for part in [
        "[6/6] ",
        "messages.about + messages.feeling",
        "averages",
        "No task failed",
    ] {
        assert!(ran.stdout().contains(part), "{part}: {}", ran.stdout());
    }
    let results = results(&dir);
    assert_eq!(
        (&results["failed"], &results["open"]),
        (&json!(0), &json!(0))
    );
    let tasks = results["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 6);
    for task in tasks {
        let scores = task["scores"].as_array().unwrap();
        assert_eq!(scores.len(), 4);
        for (i, score) in scores.iter().enumerate() {
            for list in ["raw", "centred"] {
                let value = score[list][0]["value"].as_f64().unwrap();
                assert!((-1.0..=1.0).contains(&value), "{task}");
            }
            let interval = &score["difference"];
            assert_eq!(interval.is_object(), i > 0, "{task}");
            assert!(
                i == 0 || interval["low"].as_f64() <= interval["high"].as_f64(),
                "{task}"
            );
        }
    }
    let feeling = tasks
        .iter()
        .find(|task| task["name"] == "messages.feeling")
        .unwrap();
    let expected = json!({"rows": 47, "of": 47, "unlabelled": 1, "clusters": 3});
    assert_eq!(feeling["size"], expected);
    let strip = &tasks[0]["scores"][0];
    assert_eq!(
        strip["robustness"]["groups"][2]["scores"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(strip["validation"]["measures"].as_array().unwrap().len(), 6);
    assert!(
        tasks[0]["scores"][1]["robustness"].is_null(),
        "without instructions"
    );
    // What the empty instruction is asked, all tasks of plain similarity are asked.
    let plain = tasks
        .iter()
        .find(|task| task["name"] == "pairs.plain")
        .unwrap();
    assert_eq!(plain["scores"][0]["raw"], plain["scores"][1]["raw"]);
    assert_ne!(plain["scores"][0]["raw"], plain["scores"][2]["raw"]);
    let page = std::fs::read_to_string(dir.path("report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http"));
    let table = std::fs::read_to_string(dir.path("table.md")).unwrap();
    assert!(table.contains("a made-up model"), "{table}");
}

#[test]
fn a_second_run_reads_nothing_again_and_says_the_same() {
    let dir = dir();
    eval(&dir, &[]).ok();
    let first = results(&dir);
    assert!(first["tasks"][0]["work"]["made"].as_u64() > Some(0));
    eval(&dir, &[]).ok();
    let second = results(&dir);
    assert_eq!(second["tasks"][0]["work"]["made"], 0);
    assert_eq!(timeless(first), timeless(second));
    // Another setting is another folder of the cache.
    eval(&dir, &["--layer", "1"]).ok();
    assert!(results(&dir)["tasks"][0]["work"]["made"].as_u64() > Some(0));
}

#[test]
fn a_sample_is_seeded_and_stated() {
    let dir = dir();
    let sample = |seed: &str| {
        eval(
            &dir,
            &["--max-texts", "20", "--seed", seed, "--no-robustness"],
        )
        .ok();
        timeless(results(&dir))
    };
    let first = sample("1");
    assert_eq!(first["tasks"][0]["size"]["rows"], 20);
    assert_eq!(first["tasks"][0]["size"]["of"], 48);
    assert_eq!(first["settings"]["max_texts"], 20);
    assert_eq!(first, sample("1"));
    assert_ne!(first["tasks"], sample("2")["tasks"]);
    let mteb = eval(&dir, &["--protocol", "mteb", "--tasks", "messages.*"]).ok();
    assert!(
        mteb.stdout().contains("k-means `mteb`"),
        "{}",
        mteb.stdout()
    );
}

#[test]
fn what_fails_is_named_and_the_others_run() {
    let dir = dir();
    change(&dir, "messages.feeling", |task| {
        task["label"] = json!("mood")
    });
    change(&dir, "queries", |task| {
        task["file"] = json!("nowhere.jsonl")
    });
    let path = dir.path("data").join("pairs.jsonl");
    let pairs = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, pairs.replacen("\"sentence2\"", "\"sentence3\"", 1)).unwrap();
    let ran = eval(&dir, &[]).fails(1, &["3 of 6 tasks failed"]);
    for part in [
        "no row has the label \"mood\"",
        "nowhere.jsonl",
        "pairs.jsonl:1: missing field",
    ] {
        assert!(ran.stdout().contains(part), "{part}: {}", ran.stdout());
    }
    let results = results(&dir);
    assert_eq!(results["failed"], 3);
    assert!(results["tasks"][0]["scores"][0]["raw"][0]["value"].is_f64());
}

#[test]
fn data_that_is_not_what_the_manifest_says_is_a_failure() {
    let task = |name: &'static str, field: &'static str, value: Value, part: &str| {
        let dir = dir();
        change(&dir, name, |task| task[field] = value.clone());
        let ran = eval(&dir, &["--tasks", name]).fails(1, &["1 of 1"]);
        assert!(ran.stdout().contains(part), "{part}: {}", ran.stdout());
    };
    task(
        "messages.about",
        "texts",
        json!(47),
        "48 labelled texts, the manifest says 47",
    );
    task(
        "messages.about",
        "clusters",
        json!(5),
        "4 labels, the manifest says 5",
    );
    task(
        "messages.about",
        "robustness",
        json!("Nobody"),
        "no robustness instructions \"Nobody\"",
    );
    task(
        "pairs.plain",
        "instructed",
        json!(true),
        "has no instruction",
    );
    task(
        "pairs.instructed",
        "instructed",
        json!(false),
        "has an instruction",
    );
    task(
        "messages.about-feeling",
        "axes",
        json!(["about", "x"]),
        "\"feeling\" with the instruction",
    );
}

#[test]
fn a_label_with_one_value_cannot_be_clustered() {
    let dir = dir();
    dir.file(
        "data/one.jsonl",
        "{\"text\": \"a\", \"x\": 1}\n{\"text\": \"b\", \"x\": 1}\n",
    );
    let task = json!([{"name": "one", "kind": "clustering", "file": "one.jsonl", "label": "x", "instruction": "?"}]);
    dir.file("data/tasks.json", task.to_string());
    let ran = eval(&dir, &[]).fails(1, &["1 of 1"]);
    assert!(
        ran.stdout().contains("at least two are needed"),
        "{}",
        ran.stdout()
    );
}

#[test]
fn wrong_usage_is_refused_before_anything_is_read() {
    let dir = dir();
    dir.run(&["eval", "nowhere"])
        .fails(2, &["nowhere/tasks.json"]);
    eval(&dir, &["--tasks", "messages*,nothing*"]).fails(2, &["nothing*", "pairs.plain"]);
    eval(&dir, &["-q", "Why?"]).fails(2, &["tasks.json"]);
    eval(&dir, &["--max-texts", "0"]).fails(2, &["at least 1"]);
    eval(&dir, &["--protocol", "best"]).fails(2, &["full or mteb"]);
    eval(&dir, &["--baseline", "nobody"]).fails(2, &["nobody"]);
    eval(&dir, &["--baseline", "fst_gen@9"]).fails(2, &["0 to 2"]);
    eval(&dir, &["--published", "data/tasks.json"]).fails(2, &["tasks.json"]);
    change(&dir, "queries", |task| task["kind"] = json!("guessing"));
    eval(&dir, &[]).fails(2, &["task queries", "guessing", "reranking"]);
}

/// Vectors for exported prompts: `value` makes the number at a row and dimension.
fn vectors(dir: &Dir, value: impl Fn(usize, usize) -> f32) {
    let index: Value =
        serde_json::from_slice(&std::fs::read(dir.path("peer/vectors.json")).unwrap()).unwrap();
    for entry in index["files"].as_object().unwrap().values() {
        let (count, dim) = (entry["count"].as_u64().unwrap() as usize, 3);
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        let header =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {dim}), }}");
        let header = format!("{header:<117}\n");
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        let numbers = (0..count).flat_map(|row| (0..dim).map(move |d| (row, d)));
        bytes.extend(numbers.flat_map(|(row, d)| value(row, d).to_le_bytes()));
        let name = entry["vectors"].as_str().unwrap();
        dir.file(&format!("peer/{name}"), bytes);
    }
}

#[test]
fn vectors_made_elsewhere_are_scored_and_others_are_refused() {
    let dir = dir();
    eval(&dir, &["--export-prompts", "peer"]).ok();
    assert!(!dir.path("results.json").exists());
    let varied = |row: usize, d: usize| ((row * 7 + d * 5) % 11) as f32 - 5.0;
    vectors(&dir, varied);
    eval(&dir, &["--vectors", "peer"]).ok();
    let found = results(&dir);
    assert_eq!(found["systems"][1]["name"], "peer");
    assert!(found["tasks"][0]["scores"][1]["raw"][0]["value"].is_f64());

    // A smaller sample finds its vectors among the others.
    eval(&dir, &["--vectors", "peer", "--max-texts", "20"]).ok();

    let refused = |part: &str| {
        let ran = eval(&dir, &["--vectors", "peer", "--tasks", "queries"]).fails(1, &["1 of 1"]);
        assert!(ran.stdout().contains(part), "{part}: {}", ran.stdout());
    };
    vectors(&dir, |row, d| {
        if row == 1 && d == 2 {
            f32::NAN
        } else {
            varied(row, d)
        }
    });
    refused("vector 2 holds NaN");
    vectors(&dir, |_, _| 0.5);
    eval(&dir, &["--vectors", "peer", "--tasks", "pairs.plain"]).fails(1, &["1 of 1"]);
    vectors(&dir, varied);
    let path = dir.path("peer/queries.prompts.jsonl");
    let prompts = std::fs::read_to_string(&path).unwrap();
    let turned: Vec<&str> = prompts.lines().rev().collect();
    std::fs::write(&path, turned.join("\n")).unwrap();
    refused("was changed");
    std::fs::write(&path, &prompts).unwrap();
    std::fs::copy(dir.path("peer/pairs.npy"), dir.path("peer/queries.npy")).unwrap();
    refused("vectors for");
    std::fs::write(dir.path("peer/queries.npy"), "no array").unwrap();
    refused("queries.npy");
    change(&dir, "queries", |task| {
        task["instruction"] = json!("Something else?")
    });
    vectors(&dir, varied);
    refused("other prompts");
}

#[test]
fn a_question_is_checked_without_labels() {
    let dir = dir();
    let check = |more: &[&str]| {
        let question = ["check", "data/corpus.jsonl", "-q", "What is it about?"];
        dir.run(&[&question[..], more].concat())
    };
    let ran = check(&["--max-new-tokens", "3"]).ok();
    for part in [
        "variance by text",
        "paraphrases (ARI)",
        "answers' diversity",
        "score",
    ] {
        assert!(ran.stdout().contains(part), "{part}: {}", ran.stdout());
    }
    let ran = check(&["--no-answers", "--json", "-q", "Who?", "-k", "3"]).ok();
    let found: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 2);
    let measures = &found[0]["measures"];
    let share = |name: &str| measures[name].as_f64().unwrap();
    let sum = share("text_share") + share("wording_share") + share("mixed_share");
    assert!((sum - 1.0).abs() < 1e-6, "{found}");
    assert_eq!(found[0]["verdict"]["score"], measures["score"]);
    assert_eq!(found[0]["answers"], Value::Null);

    dir.file("others.txt", "What is this on?\nName the subject.\n");
    let ran = check(&["--paraphrases", "others.txt", "--no-answers"]).ok();
    assert!(ran.stdout().contains("2 paraphrases"), "{}", ran.stdout());
    dir.file("others.txt", "What is it about?\n");
    check(&["--paraphrases", "others.txt", "--no-answers"]).fails(2, &["twice"]);
    check(&["--paraphrase", "9"]).fails(2, &["8"]);
    check(&["--paraphrase", "0", "--no-answers"]).fails(2, &["at least one"]);
    check(&["--limit", "10", "--no-answers"]).fails(2, &["at least 20"]);
    dir.run(&["check", "data/corpus.jsonl"])
        .fails(2, &["no question"]);
}

#[test]
fn an_adapter_has_vectors_of_its_own_and_its_base_beside_it() {
    let dir = dir();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/adapter/plain");
    let golden = golden.display().to_string();
    let quick = [
        "--no-robustness",
        "--tasks",
        "messages.*",
        "--baseline",
        "base",
    ];
    eval(&dir, &quick).ok();
    let scores = |results: &Value| results["tasks"][0]["scores"].clone();
    let without = scores(&results(&dir));
    assert_eq!(
        without[0]["raw"], without[1]["raw"],
        "the model is its own base"
    );
    eval(&dir, &[&quick[..], &["--adapter", &golden]].concat()).ok();
    let adapted = results(&dir);
    let with = scores(&adapted);
    assert_eq!(with[1]["raw"], without[0]["raw"]);
    assert_ne!(with[0]["raw"], with[1]["raw"]);
    let text = adapted["systems"].to_string();
    assert!(text.contains(&golden) && text.contains("avg_ppt"), "{text}");
    let caches = std::fs::read_dir(dir.path("cache")).unwrap().count();
    assert_eq!(caches, 2);
}
