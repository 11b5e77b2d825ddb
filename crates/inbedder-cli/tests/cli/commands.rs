//! Questions, compare, ask, models, completions, help.

use crate::support::{Dir, QUESTION, model};
use serde_json::Value;

#[test]
fn compare_prints_answers_and_a_symmetric_matrix() {
    let dir = Dir::new();
    let texts = [
        "compare", "one text", "another", "one text", "-q", QUESTION, "-q", "Who?", "--json",
    ];
    let ran = dir.run(&texts).ok();
    let out: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(out["texts"].as_array().unwrap().len(), 3);
    assert_eq!(out["questions"].as_array().unwrap().len(), 2);
    let view = &out["questions"][0];
    assert_eq!(view["answers"][0], view["answers"][2]);
    let at = |i: usize, j: usize| view["similarities"][i][j].as_f64().unwrap();
    for i in 0..3 {
        assert!((at(i, i) - 1.0).abs() < 1e-5);
        assert!((0..3).all(|j| (at(i, j) - at(j, i)).abs() < 1e-6));
    }
    assert!((at(0, 2) - 1.0).abs() < 1e-5 && at(0, 1) < 0.99999);
    // For a person: the question, a row per text, no colours in a pipe.
    let table = dir.run(&texts[..8]).ok().stdout();
    assert!(
        table.contains(QUESTION) && table.contains("another") && !table.contains('\x1b'),
        "{table}"
    );
}

#[test]
fn compare_without_texts_is_a_demonstration() {
    let out = Dir::new()
        .run(&["compare", "--max-new-tokens", "2"])
        .ok()
        .stdout();
    assert!(
        out.contains("Which animal is mentioned?") && out.contains("parrot"),
        "{out}"
    );
}

#[test]
fn ask_as_a_table_has_a_block_per_text() {
    let dir = Dir::new();
    dir.file("in.txt", "one\ntwo\n");
    let out = dir
        .run(&["ask", "in.txt", "-q", QUESTION, "--format", "table"])
        .ok()
        .stdout();
    assert_eq!(out.lines().count(), 4);
    assert!(out.starts_with("one\n  What is it about?"), "{out}");
}

#[test]
fn nothing_but_results_on_standard_output() {
    let dir = Dir::new();
    dir.file("in.txt", "one\n");
    let ran = dir.embed("in.txt", "out.npy", &["--verbose"]).ok();
    assert_eq!(ran.stdout(), "");
    assert!(
        ran.stderr().contains("tokens/s") && ran.stderr().contains("loaded"),
        "{}",
        ran.stderr()
    );
    let ran = dir.embed("in.txt", "quiet.npy", &["--quiet"]).ok();
    assert_eq!(ran.stderr(), "");
}

#[test]
fn questions_come_from_flags_and_files_and_there_must_be_one() {
    let dir = Dir::new();
    dir.file("in.txt", "one\n")
        .file("questions.txt", "Who?\n\n  Where?\n");
    let ran = dir
        .run(&[
            "ask",
            "in.txt",
            "-q",
            "What?",
            "--questions-file",
            "questions.txt",
        ])
        .ok();
    let answers = ran.lines()[0]["answers"].as_object().unwrap().clone();
    assert_eq!(
        answers.keys().collect::<Vec<_>>(),
        ["What?", "Who?", "Where?"]
    );
    dir.run(&["ask", "in.txt"]).fails(2, &["no question", "-q"]);
    dir.run(&["compare", "text"])
        .fails(2, &["no question", "-q"]);
    dir.run(&["ask", "in.txt", "-q", " "])
        .fails(2, &["question 1 is empty"]);
    dir.run(&[
        "ask",
        "in.txt",
        "-q",
        "Who?",
        "--questions-file",
        "questions.txt",
    ])
    .fails(2, &["\"Who?\"", "twice"]);
    dir.run(&["ask", "in.txt", "--questions-file", "nowhere"])
        .fails(2, &["nowhere"]);
}

#[test]
fn numbers_and_names_out_of_range_are_refused() {
    let dir = Dir::new();
    dir.file("in.txt", "one\n");
    for (more, parts) in [
        (&["--layer", "3"][..], &["layer", "3", "0 to 2"][..]),
        (&["--max-tokens", "0"], &["tokens per prompt", "0"]),
        (&["--max-tokens", "20"], &["question", "20", "budget"]),
        (&["--readout", "best"], &["best", "fst_gen, avg_ppt"]),
        (&["--normalize", "l1"], &["l1", "l2, none"]),
        (&["--precision", "f8"], &["f8", "bf16"]),
        (&["--truncate", "right"], &["right", "text, left"]),
        (&["--template", "{input}"], &["{instruction}"]),
        (&["--adapter", "x"], &["no adapter", "x", "none"]),
    ] {
        dir.embed("in.txt", "out.npy", more).fails(2, parts);
    }
    assert_eq!(dir.names(), ["in.txt"]);
}

#[test]
fn long_texts_are_cut_and_counted() {
    let dir = Dir::new();
    dir.file("in.txt", format!("{}\nshort\n", "long ".repeat(500)));
    let ran = dir
        .embed("in.txt", "out.npy", &["--max-tokens", "100"])
        .ok();
    assert!(
        ran.stderr().contains("1 of 2 prompts were longer"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn models_that_are_not_there() {
    let dir = Dir::new();
    dir.file("in.txt", "one\n")
        .file("broken.gguf", "GGUF, they said");
    std::fs::create_dir(dir.path("empty")).unwrap();
    for (name, parts) in [
        ("nothing", &["nothing", "default"][..]),
        ("no.gguf", &["no.gguf"]),
        ("broken.gguf", &["broken.gguf"]),
        ("empty", &["empty", "model.safetensors"]),
        ("hf:nobody", &["hf:nobody", "owner/name"]),
    ] {
        dir.run(&["ask", "in.txt", "-q", QUESTION, "--model", name])
            .fails(2, parts);
    }
}

#[test]
fn a_model_of_an_unknown_family_or_with_another_tokenizer_is_refused() {
    let dir = Dir::new();
    dir.file("in.txt", "one\n");
    std::fs::create_dir(dir.path("copy")).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(model().join(name), dir.path("copy").join(name)).unwrap();
    }
    let change = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(model().join(file)).unwrap();
        assert!(text.contains(from), "{file} holds {from}");
        dir.file(&format!("copy/{file}"), text.replace(from, to));
    };
    let refused = |parts: &[&str]| {
        dir.run(&["ask", "in.txt", "-q", QUESTION, "--model", "copy"])
            .fails(2, parts);
    };
    change(
        "config.json",
        "\"model_type\": \"llama\"",
        "\"model_type\": \"mamba\"",
    );
    refused(&["config.json", "mamba", "llama"]);
    change("config.json", "\"hidden_size\": 64", "\"hidden_size\": 32");
    refused(&["model.safetensors", "[288, 64]", "[288, 32]"]);
    change(
        "config.json",
        "\"num_hidden_layers\": 2",
        "\"num_hidden_layers\": 1000000000",
    );
    refused(&["config.json", "layers"]);
    change(
        "config.json",
        "\"num_hidden_layers\": 2",
        "\"num_hidden_layers\": \"two\"",
    );
    refused(&["config.json", "num_hidden_layers"]);
    std::fs::copy(model().join("config.json"), dir.path("copy/config.json")).unwrap();
    let other = model().join("../../tokenizer/smollm/tokenizer.json");
    std::fs::copy(other, dir.path("copy/tokenizer.json")).unwrap();
    refused(&["tokenizer", "1500", "288"]);
}

#[test]
fn models_are_listed_and_a_pull_without_pip_says_what_to_do() {
    let dir = Dir::new();
    let out = dir.run(&["models"]).ok().stdout();
    assert!(
        out.contains("default")
            && out.contains("models pull default")
            && out.contains("Apache-2.0"),
        "{out}"
    );
    dir.run(&["models", "pull", "nothing"])
        .fails(2, &["nothing", "default"]);
    let mut command = dir.command(&["models", "pull", "default"]);
    let output = command
        .env("INBEDDER_PYTHON", "/nonexistent/python")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("/nonexistent/python") && said.contains("--model PATH"),
        "{said}"
    );
}

#[test]
fn help_has_examples_and_completions_name_the_commands() {
    let dir = Dir::new();
    for command in ["compare", "ask", "embed", "completions"] {
        let help = dir.run(&[command, "--help"]).ok().stdout();
        assert!(
            help.contains("Examples:") && help.contains("inbedder "),
            "{help}"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = dir.run(&["completions", shell]).ok().stdout();
        assert!(
            script.contains("embed") && script.contains("token-budget"),
            "{shell}"
        );
    }
    dir.run(&["embed"]).fails(2, &["Usage"]);
    dir.run(&["embbed"]).fails(2, &["embed"]);
}
