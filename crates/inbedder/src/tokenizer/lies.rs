//! Vocabularies and tokenizer files that lie, and many with faults put in at random.

use std::panic::catch_unwind;
use std::path::Path;

use serde_json::{Value, json};

use super::tests::{Entries, byte_level, folder, gguf, id, kinds, pieces, strings, tokenizer_json};
use super::*;
use crate::weights::Weights;
use crate::weights::lies::{Random, damage};
use crate::weights::tests::{gguf_bytes, list, text};

#[test]
fn vocabularies_that_lie_are_refused() {
    let with = |key: &str, kind: u32, value: Vec<u8>| {
        let mut entries = byte_level("smollm");
        entries.retain(|entry| entry.0 != key);
        entries.push((Box::leak(key.to_owned().into_boxed_str()), kind, value));
        entries
    };
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let long = "x".repeat(5000);
    let mut unscored = pieces();
    unscored[2].2 = list(6, &[vec![0; 4]]);
    let cases: Vec<(Entries<'_>, &[&str])> = vec![
        (
            with(&key("model"), 8, text("rwkv")),
            &["model", "rwkv", "gpt2", "llama"],
        ),
        (
            with(&key("pre"), 8, text("tekken")),
            &["pre", "tekken", "smollm", "qwen2"],
        ),
        (
            with(&key("merges"), 9, strings(&["a q"])),
            &["merges", "`q`"],
        ),
        (
            with(&key("merges"), 9, strings(&["b a"])),
            &["merges", "`ba`"],
        ),
        (
            with(&key("merges"), 9, strings(&["<think> <think>"])),
            &["merges", "merge 0"],
        ),
        (
            with(&key("merges"), 9, strings(&["ab"])),
            &["merges", "no pair"],
        ),
        (
            with(&key("merges"), 4, id(1)),
            &["merges", "list of strings"],
        ),
        (
            with(&key("eos_token_id"), 4, id(14)),
            &["eos_token_id", "14"],
        ),
        (
            with(&key("token_type"), 9, kinds(&[1])),
            &["token_type", "1 types for 14"],
        ),
        (with(&key("tokens"), 9, strings(&[])), &["tokens", "empty"]),
        (
            with(&key("tokens"), 9, strings(&[&long])),
            &["tokens", "5000"],
        ),
        (unscored, &["scores", "1 scores for 11"]),
        (vec![], &["tokens", "missing"]),
    ];
    for (mut entries, words) in cases {
        if words[0] == "tokens" {
            entries.retain(|entry| entry.0 != "tokenizer.ggml.token_type");
        }
        let (file, tokenizer) = gguf(&entries);
        let message = tokenizer.unwrap_err().to_string();
        for word in words.iter().chain([&file.path().to_str().unwrap()]) {
            assert!(message.contains(word), "{message} should name {word}");
        }
    }
}

#[test]
fn tokenizer_files_that_lie_are_refused() {
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut json = tokenizer_json();
        edit(&mut json);
        json.to_string()
    };
    let bert = json!({"type": "BertProcessing", "sep": ["</s>", 1], "cls": ["<|s|>", 99]});
    let cases: [(String, &[&str]); 10] = [
        (String::new(), &["JSON", "EOF"]),
        (
            "{\"version\": \"1.0\",\n \"model\":".into(),
            &["JSON", "line 2"],
        ),
        ("{}".into(), &["JSON", "model"]),
        (
            edited(&|j| j["model"]["merges"] = json!([["<think>", "<think>"]])),
            &["model.merges", "merge 0"],
        ),
        (
            edited(&|j| j["model"]["merges"] = json!(["a q"])),
            &["tokenizer", "`q`"],
        ),
        (
            edited(&|j| j["model"]["vocab"]["a"] = json!(-1)),
            &["JSON", "-1"],
        ),
        (
            edited(&|j| j["model"]["continuing_subword_prefix"] = json!("##")),
            &["continuing_subword_prefix"],
        ),
        (
            edited(&|j| j["added_tokens"][1]["id"] = json!(7)),
            &["added_tokens", "</s>", "7"],
        ),
        (
            edited(&|j| j["post_processor"]["processors"][1]["special_tokens"] = json!({})),
            &["post_processor", "special_tokens"],
        ),
        (
            edited(&|j| j["post_processor"] = bert.clone()),
            &["special tokens", "99"],
        ),
    ];
    for (json, words) in cases {
        let (folder, tokenizer) = folder(&[("tokenizer.json", &json)]);
        let message = tokenizer.unwrap_err().to_string();
        for word in words.iter().chain([&folder.path().to_str().unwrap()]) {
            assert!(message.contains(word), "{message} should name {word}");
        }
    }
    let json = tokenizer_json().to_string();
    for (name, content, word) in [
        ("config.json", "{", "JSON"),
        ("config.json", r#"{"eos_token_id": -1}"#, "eos_token_id"),
        (
            "generation_config.json",
            r#"{"eos_token_id": ["x"]}"#,
            "eos_token_id",
        ),
        (
            "tokenizer_config.json",
            r#"{"eos_token": "<eos>"}"#,
            "<eos>",
        ),
    ] {
        let (_folder, tokenizer) = folder(&[("tokenizer.json", &json), (name, content)]);
        let message = tokenizer.unwrap_err().to_string();
        assert!(
            message.contains(name) && message.contains(word),
            "{message}"
        );
    }
    let missing = Tokenizer::from_file(Path::new("/no/such/tokenizer.json")).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
    assert!(Tokenizer::from_file(&std::env::temp_dir()).is_err());
}

#[test]
fn damaged_tokenizers_never_panic() {
    let json = tokenizer_json().to_string();
    let gguf = gguf_bytes(&pieces(), &[]);
    let mut random = Random(7);
    let folder = tempfile::tempdir().unwrap();
    let (json_path, gguf_path) = (
        folder.path().join("tokenizer.json"),
        folder.path().join("t.gguf"),
    );
    let mut built = 0;
    for round in 0..1500 {
        let whole = if round % 2 == 0 {
            json.as_bytes()
        } else {
            &gguf
        };
        let bytes = damage(whole, &mut random);
        let path = if round % 2 == 0 {
            &json_path
        } else {
            &gguf_path
        };
        std::fs::write(path, &bytes).unwrap();
        let outcome = catch_unwind(|| {
            let tokenizer = if round % 2 == 0 {
                Tokenizer::from_file(path)
            } else {
                Weights::open_gguf(path).and_then(|(_, metadata)| Tokenizer::from_gguf(&metadata))
            };
            match tokenizer {
                Ok(tokenizer) => {
                    // Either may fail, as long as it says so.
                    let _ = tokenizer.encode("ab  12 <think></s>é\n");
                    let _ = tokenizer.decode(&[0, 1, 2, 9, 10, u32::MAX]);
                    1
                }
                Err(error) => {
                    assert!(
                        error.to_string().contains(path.to_str().unwrap()),
                        "{error}"
                    );
                    0
                }
            }
        });
        match outcome {
            Ok(n) => built += n,
            Err(_) => panic!(
                "round {round} panicked on {:?}",
                String::from_utf8_lossy(&bytes)
            ),
        }
    }
    assert!((15..1485).contains(&built), "{built} of 1500 were built");
}
