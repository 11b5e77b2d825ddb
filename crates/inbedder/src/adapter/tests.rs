//! Reading and writing of adapters, what is refused, and by which words.

use super::*;
use crate::source::ModelFiles;
use crate::{Embedder, LoadOptions, Request};
use crate::{Error, ModelSpec, Precision, Readout};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden")
        .join(path)
}

fn files(checkpoint: &str) -> ModelFiles {
    let folder = golden("llama").join(checkpoint);
    ModelFiles::Folder {
        config: folder.join("config.json"),
        tokenizer: folder.join("tokenizer.json"),
        weights: vec![folder.join("model.safetensors")],
    }
}

fn spec(checkpoint: &str) -> ModelSpec {
    files(checkpoint).spec().unwrap()
}

fn open(folder: &Path) -> crate::Result<LoraAdapter> {
    LoraAdapter::open(
        &AdapterSource::Folder(folder.to_path_buf()),
        &spec("gqa_tied"),
    )
}

/// The golden adapter with its configuration changed; `None` removes a field.
fn with_config(changes: &[(&str, Option<Value>)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let from = golden("adapter/plain");
    std::fs::copy(from.join(WEIGHTS), folder.path().join(WEIGHTS)).unwrap();
    let config = std::fs::read(from.join(CONFIG)).unwrap();
    let mut config: serde_json::Map<String, Value> = serde_json::from_slice(&config).unwrap();
    for (field, value) in changes {
        match value {
            Some(value) => config.insert(field.to_string(), value.clone()),
            None => config.remove(*field),
        };
    }
    let config = serde_json::to_vec(&config).unwrap();
    std::fs::write(folder.path().join(CONFIG), config).unwrap();
    folder
}

#[track_caller]
fn assert_refused(folder: &Path, parts: &[&str]) {
    let message = open(folder).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing:\n{message}");
    }
    assert!(message.contains(&*folder.to_string_lossy()), "{message}");
}

#[test]
fn what_plain_lora_does_not_do_is_refused_by_name() {
    for (field, value) in [
        ("use_dora", json!(true)),
        ("modules_to_save", json!(["lm_head"])),
        ("lora_bias", json!(true)),
        ("bias", json!("lora_only")),
        ("fan_in_fan_out", json!(true)),
        ("layer_replication", json!([[0, 1], [0, 1]])),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("init_lora_weights", json!("olora")),
        ("layers_pattern", json!("blocks")),
        ("peft_type", json!("IA3")),
        ("something_new", json!(3)),
        ("target_modules", json!("(")),
        ("target_modules", json!([1])),
        ("r", json!(0)),
        ("r", json!("four")),
        ("lora_alpha", json!("x")),
        ("rank_pattern", json!({"q_proj": 0})),
        ("alpha_pattern", json!({"(": 3})),
    ] {
        assert_refused(
            with_config(&[(field, Some(value))]).path(),
            &[CONFIG, field],
        );
    }
    for field in ["peft_type", "target_modules"] {
        assert_refused(with_config(&[(field, None)]).path(), &[field, "missing"]);
    }
    // What an older or a newer PEFT leaves out or adds without a meaning for the numbers.
    let mild = with_config(&[
        ("use_dora", None),
        ("megatron_core", Some(json!("other"))),
        ("something_new", Some(json!([]))),
        ("init_lora_weights", Some(json!("gaussian"))),
    ]);
    assert_eq!(open(mild.path()).unwrap().modules.len(), 14);
}

#[test]
fn layers_that_differ_are_named() {
    let q0 = "model.layers.0.self_attn.q_proj";
    let fewer = with_config(&[("target_modules", Some(json!(["q_proj"])))]);
    assert_refused(fewer.path(), &["model.layers.1.mlp.up_proj: is no target"]);
    let other_rank = with_config(&[("r", Some(json!(3)))]);
    assert_refused(
        other_rank.path(),
        &[
            &format!(
                "base_model.model.{q0}.lora_A.weight: has the shape [4, 64], [3, 64] is needed"
            ),
            "and 16 more",
        ],
    );
    let first_only = with_config(&[("layers_to_transform", Some(json!(0)))]);
    assert_refused(
        first_only.path(),
        &["model.layers.1.self_attn.o_proj: is no target"],
    );
    // An adapter of another model.
    let message = open(&golden("adapter/regex")).unwrap_err();
    assert!(
        matches!(&message, Error::AdapterMismatch { differences, .. } if differences.len() == 12),
        "{message}"
    );
    assert!(message.to_string().contains("72"), "{message}");
    // An adapter that lacks layers, and one with other things in it.
    let folder = with_config(&[]);
    let adapter = open(folder.path()).unwrap();
    let mut part = adapter.clone();
    part.modules.remove(q0);
    save(folder.path(), &part, AdapterDtype::F32).unwrap();
    std::fs::copy(
        golden("adapter/plain").join(CONFIG),
        folder.path().join(CONFIG),
    )
    .unwrap();
    assert_refused(folder.path(), &[&format!("{q0}: the adapter lacks it")]);
    let mut more = adapter;
    let extra = more.modules[q0].clone();
    more.modules
        .insert("model.layers.2.self_attn.q_proj".to_string(), extra);
    save(folder.path(), &more, AdapterDtype::F32).unwrap();
    assert_refused(
        folder.path(),
        &["model.layers.2.self_attn.q_proj: the model has no such layer"],
    );
    std::fs::copy(
        golden("llama/gqa_tied/model.safetensors"),
        folder.path().join(WEIGHTS),
    )
    .unwrap();
    assert_refused(
        folder.path(),
        &["model.embed_tokens.weight: no matrix A or B"],
    );
}

#[test]
fn files_that_are_not_there_or_broken_are_named() {
    let folder = with_config(&[]);
    std::fs::write(folder.path().join(WEIGHTS), b"no weights").unwrap();
    assert_refused(folder.path(), &[WEIGHTS, "damaged"]);
    std::fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
    assert_refused(folder.path(), &[WEIGHTS, "no such file"]);
    std::fs::write(folder.path().join(CONFIG), b"{").unwrap();
    assert_refused(folder.path(), &[CONFIG]);
    std::fs::remove_file(folder.path().join(CONFIG)).unwrap();
    assert_refused(folder.path(), &[CONFIG, "no such file"]);
    let message = "nowhere".parse::<AdapterRef>().unwrap_err().to_string();
    assert!(
        message.contains("nowhere") && message.contains("none"),
        "{message}"
    );
    assert!("hf:one".parse::<AdapterRef>().is_err());
}

#[test]
fn settings_of_its_own_that_make_no_sense_are_named() {
    for (content, parts) in [
        (json!({"version": 2}), &["version", "2"][..]),
        (json!({"version": 1, "temperature": 3}), &["temperature"]),
        (
            json!({"version": 1, "readout": "best"}),
            &["readout", "best", "fst_gen"],
        ),
        (
            json!({"version": 1, "template": "{input}"}),
            &["template", "{instruction}"],
        ),
        (json!({"version": 1, "layer": 3}), &["layer", "3", "2"]),
        (json!({"version": 1, "layer": "last"}), &["last"]),
        (
            json!({"version": 1, "base": {"sha256": ["12"]}}),
            &["base.sha256", "12"],
        ),
    ] {
        let folder = with_config(&[]);
        std::fs::write(folder.path().join(DEFAULTS), content.to_string()).unwrap();
        assert_refused(folder.path(), &[&[DEFAULTS], parts].concat());
    }
}

fn module() -> impl Strategy<Value = LoraModule> {
    (1usize..5, 1u32..9, any::<bool>()).prop_flat_map(|(rank, alpha, whole)| {
        let numbers = |n| proptest::collection::vec(-2.0f32..2.0, n);
        (numbers(rank * 64), numbers(64 * rank)).prop_map(move |(a, b)| LoraModule {
            rank,
            alpha: alpha as f32 + if whole { 0.0 } else { 0.5 },
            inputs: 64,
            outputs: 64,
            a,
            b,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Layers, ranks and alphas of any pattern come back as they were.
    #[test]
    fn what_is_saved_is_read_again(
        modules in proptest::collection::btree_map(
            proptest::sample::select(vec![
                "model.layers.0.self_attn.q_proj",
                "model.layers.1.self_attn.q_proj",
                "model.layers.0.self_attn.o_proj",
                "model.layers.1.self_attn.o_proj",
            ]),
            module(),
            1..5,
        ),
        rslora in any::<bool>(),
        layer in proptest::option::of(0usize..3),
        center in proptest::option::of(any::<bool>()),
    ) {
        let folder = TempDir::new().unwrap();
        let mut adapter = LoraAdapter {
            base: Some("tiny".to_string()),
            rslora,
            modules: modules.into_iter().map(|(name, module)| (name.to_string(), module)).collect(),
            defaults: AdapterDefaults { layer, center, ..AdapterDefaults::default() },
        };
        save(folder.path(), &adapter, AdapterDtype::F32).unwrap();
        prop_assert_eq!(&open(folder.path()).unwrap(), &adapter);
        save(folder.path(), &adapter, AdapterDtype::F16).unwrap();
        for module in adapter.modules.values_mut() {
            for value in module.a.iter_mut().chain(&mut module.b) {
                *value = half::f16::from_f32(*value).to_f32();
            }
        }
        prop_assert_eq!(&open(folder.path()).unwrap(), &adapter);
    }
}

#[test]
fn numbers_that_cannot_be_stored_are_refused_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let mut adapter = open(&golden("adapter/plain")).unwrap();
    let q0 = "model.layers.0.self_attn.q_proj";
    adapter.modules.get_mut(q0).unwrap().b[3] = 70_000.0;
    let message = save(folder.path(), &adapter, AdapterDtype::F16)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(q0) && message.contains("70000"),
        "{message}"
    );
    adapter.modules.get_mut(q0).unwrap().b.pop();
    let message = save(folder.path(), &adapter, AdapterDtype::F32)
        .unwrap_err()
        .to_string();
    assert!(message.contains("[64, 4]"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn loaded(checkpoint: &str, adapter: AdapterChoice) -> crate::Result<Embedder> {
    let options = LoadOptions {
        precision: Some(Precision::F32),
        threads: 1,
        adapter,
    };
    Embedder::from_files(checkpoint, &files(checkpoint), &options)
}

fn golden_adapter(name: &str) -> AdapterChoice {
    AdapterChoice::Reference(golden("adapter").join(name).display().to_string())
}

#[test]
fn an_adapter_brings_its_defaults_and_says_what_it_is() {
    let embedder = loaded("gqa_tied", golden_adapter("plain")).unwrap();
    let request = embedder.request(vec!["What?".to_string()]);
    assert_eq!(request.template.to_string(), "alpaca");
    assert_eq!(
        (request.readout, request.layer),
        (Some(Readout::AvgPpt), Some(1))
    );
    assert_eq!(embedder.defaults().center, Some(true));
    let info = embedder.info().adapter.clone().unwrap();
    assert!(
        info.name.ends_with("plain") && info.sha256.len() == 64,
        "{info:?}"
    );

    let plain = loaded("gqa_tied", AdapterChoice::from("none")).unwrap();
    assert_eq!(plain.request(vec![]), Request::new(vec![]));
    assert_eq!(plain.info().adapter, None);
    let run = |embedder: &Embedder| embedder.run(&["a text"], &request, &()).unwrap().embeddings;
    assert!(crate::cosine(&run(&plain), &run(&embedder)) < 0.99);
    assert_eq!(embedder.sha256().unwrap(), plain.sha256().unwrap());
}

#[test]
fn a_base_of_another_hash_is_refused() {
    let folder = with_config(&[]);
    let content = json!({"version": 1, "base": {"name": "other", "sha256": ["0".repeat(64)]}});
    std::fs::write(folder.path().join(DEFAULTS), content.to_string()).unwrap();
    let choice = AdapterChoice::Reference(folder.path().display().to_string());
    let Err(error) = loaded("gqa_tied", choice) else {
        panic!("it was taken")
    };
    let message = error.to_string();
    assert!(
        message.contains("other") && message.contains(&"0".repeat(64)),
        "{message}"
    );
}

#[test]
fn an_adapter_that_is_compiled_in_equals_its_folder() {
    static TINY: BuiltinAdapter =
        source::builtin_adapter!("tiny", "../../../../golden/adapter/plain");
    let built_in = AdapterSource::BuiltIn(&TINY);
    let folder = AdapterSource::Folder(golden("adapter/plain"));
    let spec = spec("gqa_tied");
    let open = |source| LoraAdapter::open(source, &spec).unwrap();
    assert_eq!(open(&built_in), open(&folder));
    assert_eq!(built_in.sha256().unwrap(), folder.sha256().unwrap());
    let other = BuiltinAdapter {
        weights: b"none",
        name: "broken",
        ..TINY
    };
    let broken = AdapterSource::BuiltIn(Box::leak(Box::new(other)));
    let message = LoraAdapter::open(&broken, &spec).unwrap_err().to_string();
    assert!(message.contains("built-in broken"), "{message}");
}
