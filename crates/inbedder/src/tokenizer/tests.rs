//! Tokenizers of a few tokens, built by hand, against ids worked out by hand.
//! Ids of real vocabularies are compared with transformers' in the golden files.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use super::*;
use crate::weights::Weights;
use crate::weights::tests::{gguf_bytes, list, text};

pub(super) type Entries<'a> = Vec<(&'a str, u32, Vec<u8>)>;

pub(super) fn gguf(entries: &[(&str, u32, Vec<u8>)]) -> (NamedTempFile, Result<Tokenizer>) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&gguf_bytes(entries, &[])).unwrap();
    let tokenizer =
        Weights::open_gguf(file.path()).and_then(|(_, metadata)| Tokenizer::from_gguf(&metadata));
    (file, tokenizer)
}

pub(super) fn strings(values: &[&str]) -> Vec<u8> {
    list(8, &values.iter().map(|s| text(s)).collect::<Vec<_>>())
}

pub(super) fn kinds(values: &[i32]) -> Vec<u8> {
    let values: Vec<_> = values.iter().map(|v| v.to_le_bytes().to_vec()).collect();
    list(5, &values)
}

pub(super) fn id(id: u32) -> Vec<u8> {
    id.to_le_bytes().to_vec()
}

/// Ids:        0      1       2    3    4    5    6    7     8     9      10   11   12         13
const BPE: [&str; 14] = [
    "<|s|>", "</s>", "a", "b", "1", "2", "Ġ", "ĠĠ", "ab", "Ġab", "Ã", "©", "<think>", "Ċ",
];

pub(super) fn byte_level<'a>(pre: &str) -> Entries<'a> {
    let mut types = [1; 14];
    (types[0], types[1], types[12]) = (3, 3, 4);
    vec![
        ("tokenizer.ggml.model", 8, text("gpt2")),
        ("tokenizer.ggml.pre", 8, text(pre)),
        ("tokenizer.ggml.tokens", 9, strings(&BPE)),
        ("tokenizer.ggml.token_type", 9, kinds(&types)),
        ("tokenizer.ggml.merges", 9, strings(&["a b", "Ġ Ġ", "Ġ ab"])),
        ("tokenizer.ggml.bos_token_id", 4, id(0)),
        ("tokenizer.ggml.eos_token_id", 4, id(1)),
    ]
}

#[test]
fn byte_level_texts_have_the_ids_of_their_rules() {
    let (_file, smollm) = gguf(&byte_level("smollm"));
    let (_file, gpt_2) = gguf(&byte_level("gpt-2"));
    let (smollm, gpt_2) = (smollm.unwrap(), gpt_2.unwrap());
    let ids = |tokenizer: &Tokenizer, text| tokenizer.encode(text).unwrap().ids;
    assert!(ids(&smollm, "").is_empty());
    assert_eq!(ids(&smollm, "ab ab\n"), [8, 9, 13]);
    // Digits are cut off first, so that both spaces before one stay together.
    assert_eq!(ids(&smollm, "ab  12"), [8, 7, 4, 5]);
    assert_eq!(ids(&gpt_2, "ab  12"), [8, 6, 6, 4, 5]);
    // User-defined tokens are matched whole, and decode as text.
    assert_eq!(ids(&smollm, "a<think>b"), [2, 12, 3]);
    assert_eq!(smollm.decode(&[0, 8, 12, 10, 11, 1]).unwrap(), "ab<think>é");
    // é is two tokens, which both end where it ends.
    let encoding = smollm.encode("aéb").unwrap();
    assert_eq!(encoding.ids, [2, 10, 11, 3]);
    assert_eq!(encoding.ends, [1, 3, 3, 4]);
    assert!(smollm.prefix().is_empty());
    assert_eq!(smollm.eos_ids(), [1]);
    assert_eq!(smollm.vocab_size(), 14);
    assert_eq!(smollm.token(9).as_deref(), Some("Ġab"));
    assert_eq!(smollm.special_token("</s>"), Some(1));
    assert_eq!(smollm.special_token("ab"), None);
    assert_eq!(smollm.special_tokens().count(), 2);
}

#[test]
fn defaults_of_begin_and_end_depend_on_the_model() {
    let (_file, llama) = gguf(&byte_level("llama-bpe"));
    assert_eq!(llama.unwrap().prefix(), [0]);
    let mut entries = byte_level("smollm");
    entries.push(("tokenizer.ggml.add_bos_token", 7, vec![1]));
    entries.push(("tokenizer.ggml.add_eos_token", 7, vec![1]));
    entries.push(("tokenizer.ggml.eot_token_id", 4, id(12)));
    let tokenizer = gguf(&entries).1.unwrap();
    assert_eq!(tokenizer.prefix(), [0]);
    assert_eq!(tokenizer.suffix(), [1]);
    assert_eq!(tokenizer.eos_ids(), [1, 12]);
}

/// Ids:              0        1      2       3    4     5    6     7     8     9      10
const PIECES: [&str; 11] = [
    "<unk>", "<s>", "</s>", "▁", "</", "s>", "<", "/", "s", ">", "▁s",
];

pub(super) fn pieces<'a>() -> Entries<'a> {
    let scores = [
        0.0, 0.0, 0.0, -9.0, -1.0, -2.0, -9.0, -9.0, -9.0, -9.0, -3.0f32,
    ];
    let scores: Vec<_> = scores.iter().map(|s| s.to_le_bytes().to_vec()).collect();
    vec![
        ("tokenizer.ggml.model", 8, text("llama")),
        ("tokenizer.ggml.tokens", 9, strings(&PIECES)),
        ("tokenizer.ggml.scores", 9, list(6, &scores)),
        (
            "tokenizer.ggml.token_type",
            9,
            kinds(&[2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1]),
        ),
        ("tokenizer.ggml.bos_token_id", 4, id(1)),
        ("tokenizer.ggml.eos_token_id", 4, id(2)),
        ("tokenizer.ggml.unknown_token_id", 4, id(0)),
    ]
}

#[test]
fn sentence_pieces_are_merged_by_score() {
    let tokenizer = gguf(&pieces()).1.unwrap();
    let ids = |text| tokenizer.encode(text).unwrap().ids;
    // A space is put in front; "s>" has the better score than "▁s".
    assert_eq!(ids("s s>"), [10, 3, 5]);
    // Pieces and scores would make the control token of its characters.
    assert_eq!(ids("</s>"), [3, 4, 5]);
    // Unknown characters in a row are one unknown token, since there are no byte tokens.
    assert_eq!(ids("xys"), [3, 0, 8]);
    assert_eq!(tokenizer.prefix(), [1]);
    assert_eq!(tokenizer.decode(&[1, 10, 3, 5, 2]).unwrap(), "s s>");
}

pub(super) fn tokenizer_json() -> Value {
    let vocab: serde_json::Map<String, Value> = BPE
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), id.into()))
        .collect();
    let added = |id: u32, special: bool| {
        json!({"id": id, "content": BPE[id as usize], "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": special})
    };
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<|s|>"},
        "added_tokens": [added(0, true), added(1, true), added(12, false)],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
            {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<|s|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<|s|>": {"id": "<|s|>", "ids": [0], "tokens": ["<|s|>"]}}}]},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": vocab, "merges": ["a b", "Ġ Ġ", "Ġ ab"]},
    })
}

/// A folder with these files; the tokenizer of its `tokenizer.json`.
pub(super) fn folder(files: &[(&str, &str)]) -> (TempDir, Result<Tokenizer>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let tokenizer = Tokenizer::from_file(&folder.path().join("tokenizer.json"));
    (folder, tokenizer)
}

#[test]
fn a_tokenizer_json_is_read_without_its_cutting_and_padding() {
    let json = tokenizer_json().to_string();
    let tokenizer = folder(&[("tokenizer.json", &json)]).1.unwrap();
    let encoding = tokenizer.encode("ab ab</s>a<think>").unwrap();
    assert!(!encoding.ids.contains(&1), "{encoding:?}");
    assert_eq!(encoding.ids[..2], [8, 9]);
    assert_eq!(encoding.ids.last(), Some(&12));
    assert_eq!(tokenizer.prefix(), [0]);
    assert!(tokenizer.suffix().is_empty());
    assert!(tokenizer.eos_ids().is_empty());
    assert_eq!(tokenizer.vocab_size(), 14);
    assert_eq!(tokenizer.decode(&[0, 8, 9]).unwrap(), "ab ab");
}

#[test]
fn the_files_beside_a_tokenizer_json_are_heard() {
    let json = tokenizer_json().to_string();
    let tokenizer = folder(&[
        ("tokenizer.json", &json),
        ("config.json", r#"{"eos_token_id": 1}"#),
        ("generation_config.json", r#"{"eos_token_id": [1, 13]}"#),
        (
            "tokenizer_config.json",
            r#"{"eos_token": {"content": "<think>"}, "add_bos_token": false, "add_eos_token": true}"#,
        ),
    ]);
    let tokenizer = tokenizer.1.unwrap();
    assert_eq!(tokenizer.eos_ids(), [1, 13, 12]);
    assert!(tokenizer.prefix().is_empty());
    assert_eq!(tokenizer.suffix(), [12]);
    // Named as the end of texts, it is special, though the tokenizer's file has it as plain.
    assert!(
        !tokenizer
            .encode("<think>")
            .is_ok_and(|e| e.ids.contains(&12))
    );
    assert_eq!(tokenizer.special_token("<think>"), Some(12));
}

/// A Unigram model prefers the piece with the best score, which control tokens have.
#[test]
fn special_tokens_in_a_text_are_spelled_out() {
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 1, "content": "</s>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab":
            [["<unk>", 0.0], ["</s>", 0.0], ["<", -5.0], ["/s>", -6.0], ["a", -2.0]]}
    });
    let tokenizer = folder(&[("tokenizer.json", &json.to_string())]).1.unwrap();
    let encoding = tokenizer.encode("a</s>a").unwrap();
    assert_eq!(encoding.ids, [4, 2, 3, 4]);
    assert_eq!(encoding.ends, [1, 5, 5, 6]);
}

/// Against transformers, on awkward texts: every folder of `golden/tokenizer` holds
/// `tokenizer.gguf`, `tokenizer.json` or both, and `ids.jsonl` with a `text` and its `ids` a line
/// (no special tokens added, those in the text not matched).
#[test]
fn ids_equal_transformers() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tokenizer");
    let mut compared = 0;
    for folder in std::fs::read_dir(&golden).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(lines) = std::fs::read_to_string(folder.join("ids.jsonl")) else {
            continue;
        };
        let mut tokenizers = Vec::new();
        if folder.join("tokenizer.json").exists() {
            tokenizers.push(Tokenizer::from_file(&folder.join("tokenizer.json")).unwrap());
        }
        if folder.join("tokenizer.gguf").exists() {
            let (_, metadata) = Weights::open_gguf(&folder.join("tokenizer.gguf")).unwrap();
            tokenizers.push(Tokenizer::from_gguf(&metadata).unwrap());
        }
        for (tokenizer, line) in tokenizers
            .iter()
            .flat_map(|t| lines.lines().map(move |l| (t, l)))
        {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = line["text"].as_str().unwrap();
            let encoding = tokenizer.encode(text).unwrap();
            let path = tokenizer.path.display();
            assert_eq!(json!(encoding.ids), line["ids"], "{path}: {text:?}");
            assert_eq!(
                encoding.ends.last().copied().unwrap_or(0),
                text.len(),
                "{path}: {text:?}"
            );
            assert!(encoding.ends.is_sorted(), "{path}: {text:?}");
            assert!(
                encoding.ends.iter().all(|&end| text.is_char_boundary(end)),
                "{path}: {text:?}"
            );
            compared += 1;
        }
    }
    assert!(compared > 0, "{} has nothing to compare", golden.display());
}
