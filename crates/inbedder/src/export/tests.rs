//! What is exported gives the same as base and adapter do together, whatever either was read from.

use super::*;
use crate::adapter::AdapterChoice;
use crate::source::ModelRef;
use crate::{Embedder, LoadOptions, Request};
use crate::{Precision, cosine};
use std::path::PathBuf;
use tempfile::TempDir;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden")
        .join(path)
}

fn resolve(path: &Path) -> ModelFiles {
    let reference: ModelRef = path.to_str().unwrap().parse().unwrap();
    match reference {
        ModelRef::Gguf(path) => ModelFiles::Gguf(path),
        ModelRef::Folder(folder) => ModelFiles::Folder {
            config: folder.join("config.json"),
            tokenizer: folder.join("tokenizer.json"),
            weights: vec![folder.join("model.safetensors")],
        },
        other => panic!("{other:?}"),
    }
}

/// Two vectors and two answers, by way of a tokenizer with special tokens in texts.
fn results(files: &ModelFiles, adapter: Option<&Path>) -> crate::Output {
    let options = LoadOptions {
        precision: Some(Precision::F32),
        threads: 1,
        adapter: match adapter {
            Some(path) => AdapterChoice::Reference(path.display().to_string()),
            None => AdapterChoice::None,
        },
    };
    let embedder = Embedder::from_files("tiny", files, &options).unwrap();
    let mut request = Request::new(vec!["What is the thing?".to_string()]);
    request.answer_tokens = Some(4);
    embedder
        .run(&["the other </s> thing", "déjà vu"], &request, &())
        .unwrap()
}

/// Base, adapter, output and number format; `exact` where no number may change.
#[track_caller]
fn check(base: &str, adapter: Option<&str>, output: &str, dtype: ExportDtype, exact: bool) {
    let adapter = adapter.map(|name| golden("adapter").join(name));
    let base = resolve(&golden("llama").join(base));
    let expected = results(&base, adapter.as_deref());
    let folder = TempDir::new().unwrap();
    let output = folder.path().join(output);
    let source = adapter.clone().map(AdapterSource::Folder);
    export(&base, source.as_ref(), &output, Some(dtype)).unwrap();
    let got = results(&resolve(&output), None);
    if exact {
        assert_eq!(got, expected);
    }
    let least = match dtype {
        ExportDtype::F32 | ExportDtype::F16 => 0.999_9,
        // Random weights of this size make much of every rounding.
        ExportDtype::BF16 | ExportDtype::Q8_0 => 0.99,
    };
    let dim = got.dim;
    for (got, expected) in got
        .embeddings
        .chunks(dim)
        .zip(expected.embeddings.chunks(dim))
    {
        let close = cosine(got, expected);
        assert!(
            close > least,
            "{} as {dtype}: cosine {close}",
            output.display()
        );
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn folders_and_gguf_files_hold_the_adapted_weights() {
    use ExportDtype::{BF16, F16, F32, Q8_0};
    for (base, adapter) in [
        ("gqa_tied", "plain"),
        ("bias", "patterns"),
        ("head_dim", "regex"),
    ] {
        check(base, Some(adapter), "out", F32, true);
        check(base, Some(adapter), "out", BF16, false);
        check(base, Some(adapter), "out", F16, false);
        check(base, Some(adapter), "out.gguf", F32, true);
        check(base, Some(adapter), "out.gguf", Q8_0, false);
    }
    check("gguf_f32/model.gguf", Some("gguf"), "out", F32, true);
    check("gguf_f32/model.gguf", Some("gguf"), "out.gguf", F32, true);
    check(
        "gguf_f32/model.gguf",
        Some("gguf"),
        "sub/folder/out.gguf",
        F16,
        false,
    );
}

#[test]
fn rotary_scaling_and_layouts_survive_without_an_adapter() {
    for base in [
        "rope_linear",
        "mha_untied",
        "f16",
        "bf16",
        "gguf_q8_0/model.gguf",
    ] {
        check(base, None, "out", ExportDtype::F32, true);
        check(base, None, "out.gguf", ExportDtype::F32, true);
    }
    // As divisors per frequency, which are rounded once more.
    check("rope_llama3", None, "out.gguf", ExportDtype::F32, false);
    let folder = TempDir::new().unwrap();
    let (gguf, out) = (folder.path().join("llama3.gguf"), folder.path().join("out"));
    export(&resolve(&golden("llama/rope_llama3")), None, &gguf, None).unwrap();
    let message = export(&resolve(&gguf), None, &out, None)
        .unwrap_err()
        .to_string();
    assert!(message.contains("rope_freqs"), "{message}");
    assert_eq!(
        check_folder(&resolve(&gguf)).unwrap_err().to_string(),
        message
    );
    for base in ["rope_llama3", "gguf_q8_0/model.gguf"] {
        check_folder(&resolve(&golden("llama").join(base))).unwrap();
    }
}

#[test]
fn outputs_that_cannot_be_are_refused_and_leave_nothing() {
    let base = resolve(&golden("llama/gqa_tied"));
    let folder = TempDir::new().unwrap();
    for (output, dtype, part) in [
        ("out", ExportDtype::Q8_0, "q8_0"),
        ("out.gguf", ExportDtype::BF16, "bf16"),
        (".", ExportDtype::F32, "there already"),
    ] {
        let output = folder.path().join(output);
        let message = export(&base, None, &output, Some(dtype))
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
    }
    let other = AdapterSource::Folder(golden("adapter/regex"));
    assert!(export(&base, Some(&other), &folder.path().join("out"), None).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Every kind of tokenizer, through GGUF metadata and back through `tokenizer.json`.
#[test]
fn tokenizers_make_the_same_ids_after_a_change_of_format() {
    use crate::tokenizer::Tokenizer;
    for kind in ["smollm", "gpt-2", "llama-bpe", "qwen2"] {
        let folder = golden("tokenizer").join(kind);
        let (_, metadata) =
            crate::weights::Weights::open_gguf(&folder.join("tokenizer.gguf")).unwrap();
        let from_gguf = Tokenizer::from_gguf(&metadata).unwrap();
        let out = TempDir::new().unwrap();
        let json = out.path().join("tokenizer.json");
        std::fs::write(&json, from_gguf.to_json().unwrap()).unwrap();
        let beside = config::beside_tokenizer(&from_gguf).to_string();
        std::fs::write(out.path().join("tokenizer_config.json"), beside).unwrap();
        let again = Tokenizer::from_file(&json).unwrap();
        assert_eq!(again.prefix(), from_gguf.prefix(), "{kind}");
        assert_eq!(
            again.eos_ids().first(),
            from_gguf.eos_ids().first(),
            "{kind}"
        );
        let from_json = Tokenizer::from_file(&folder.join("tokenizer.json")).unwrap();
        let entries = from_json.to_gguf(from_json.vocab_size() + 3).unwrap();
        let pre = entries["tokenizer.ggml.pre"].to_string().unwrap();
        assert_eq!(pre, kind);
        let lines = std::fs::read_to_string(folder.join("ids.jsonl")).unwrap();
        for line in lines.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = line["text"].as_str().unwrap();
            let ids: Vec<u32> = serde_json::from_value(line["ids"].clone()).unwrap();
            assert_eq!(again.encode(text).unwrap().ids, ids, "{kind}: {text:?}");
        }
    }
    let folder = golden("tokenizer/spm");
    let pieces = Tokenizer::from_file(&folder.join("tokenizer.json")).unwrap();
    let message = pieces.to_gguf(10).unwrap_err().to_string();
    assert!(message.contains("qwen2"), "{message}");
}
