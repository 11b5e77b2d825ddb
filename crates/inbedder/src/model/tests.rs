//! Every layer's states against transformers, and the promise that sharing changes nothing.
//!
//! The expected values are made by the scripts in `golden/`; its README has the layouts.

use super::*;
use crate::plan::Plan;
use crate::source::ModelFiles;
use inbedder_kernels::{Isa, Precision, Threads};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::OnceLock;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden")
        .join(path)
}

/// Tensors of a safetensors file as f32 (or i32 bits as numbers).
struct Tensors(Vec<u8>);

impl Tensors {
    fn open(path: &Path) -> Self {
        Self(std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    fn get(&self, name: &str) -> Vec<f32> {
        let file = safetensors::SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(name).unwrap();
        let words = tensor.data().as_chunks::<4>().0.iter();
        match tensor.dtype() {
            safetensors::Dtype::F32 => words.map(|b| f32::from_le_bytes(*b)).collect(),
            safetensors::Dtype::I32 => words.map(|b| i32::from_le_bytes(*b) as f32).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        self.get(name).into_iter().map(|id| id as u32).collect()
    }
}

/// Equal within `bound`; the message names the place.
#[track_caller]
fn assert_states(what: &str, got: &[f32], expected: &[f32], bound: f32) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let off = |(a, b): (&f32, &f32)| (a - b).abs();
    let worst = (0..got.len())
        .max_by(|a, b| off((&got[*a], &expected[*a])).total_cmp(&off((&got[*b], &expected[*b]))));
    if let Some(i) = worst {
        assert!(
            off((&got[i], &expected[i])) <= bound,
            "{what}: at {i} got {}, expected {}, bound {bound}",
            got[i],
            expected[i]
        );
    }
}

fn load(files: &ModelFiles, isa: Isa, precision: Precision) -> Model {
    let (model, ..) = crate::checkpoint::load(files, isa, precision, None).unwrap();
    model
}

fn tiny(variant: &str, isa: Isa) -> Model {
    load(&tiny_files(variant), isa, Precision::F32)
}

fn tiny_files(variant: &str) -> ModelFiles {
    let folder = golden("llama").join(variant);
    if variant.starts_with("gguf") {
        ModelFiles::Gguf(folder.join("model.gguf"))
    } else {
        let mut weights: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("model")
                    && path.extension().unwrap() == "safetensors"
            })
            .collect();
        weights.sort();
        ModelFiles::Folder {
            config: folder.join("config.json"),
            tokenizer: folder.join("tokenizer.json"),
            weights,
        }
    }
}

/// All states `[layer][row][hidden]` of all rows of a plan.
fn states(model: &Model, plan: &Plan, threads: Threads) -> Vec<Vec<f32>> {
    let rows: Vec<usize> = (0..plan.rows()).collect();
    (0..=model.spec.layers)
        .map(|layer| {
            let mut forward =
                Forward::new(model, model.kv_cache(plan.rows(), false), threads, &|| true);
            let tap = Tap {
                layer,
                rows: rows.clone(),
            };
            forward
                .run(plan, 0..plan.rows(), &[tap])
                .unwrap()
                .swap_remove(0)
        })
        .collect()
}

const VARIANTS: [&str; 11] = [
    "gqa_tied",
    "mha_untied",
    "rope_llama3",
    "rope_linear",
    "bias",
    "head_dim",
    "f16",
    "bf16",
    "sharded",
    "gguf_f32",
    "gguf_q8_0",
];

#[test]
fn tiny_checkpoints_equal_transformers_in_every_state_logit_and_token() {
    for isa in Isa::available() {
        for variant in VARIANTS {
            let model = tiny(variant, isa);
            let expected =
                Tensors::open(&golden("llama").join(variant).join("expected.safetensors"));
            for prompt in 0..3 {
                let ids = expected.ids(&format!("{prompt}.ids"));
                let plan = Plan::new(&[&ids]);
                let what = format!("{isa} {variant} prompt {prompt}");
                let expected_states = expected.get(&format!("{prompt}.states"));
                let per_layer = ids.len() * model.spec.hidden;
                let got = states(&model, &plan, Threads::Pool);
                for (layer, (got, expected)) in got
                    .iter()
                    .zip(expected_states.chunks(per_layer))
                    .enumerate()
                {
                    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                    assert_states(
                        &format!("{what} layer {layer}"),
                        got,
                        expected,
                        1e-4 * largest,
                    );
                }
                let continuation = expected.ids(&format!("{prompt}.continuation"));
                assert_eq!(
                    continue_greedily(&model, &ids, continuation.len()),
                    continuation,
                    "{what}"
                );
            }
        }
    }
}

/// Greedy tokens, by decoding on child segments.
fn continue_greedily(model: &Model, ids: &[u32], count: usize) -> Vec<u32> {
    let mut plan = Plan::new(&[ids]);
    let mut forward = Forward::new(
        model,
        model.kv_cache(ids.len() + count, true),
        Threads::One,
        &|| true,
    );
    let mut tokens = Vec::new();
    let mut new = 0..ids.len();
    for _ in 0..count {
        let tap = Tap {
            layer: model.spec.layers,
            rows: vec![plan.last_row(0)],
        };
        let state = forward.run(&plan, new, &[tap]).unwrap().swap_remove(0);
        let token = crate::generate::likeliest(model, &state, Threads::One).unwrap()[0];
        tokens.push(token);
        new = plan.rows()..plan.rows() + 1;
        plan.extend(&[(0, token)]);
    }
    tokens
}

fn shared_model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| tiny("gqa_tied", Isa::detect().unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_trie_of_prompts_equals_the_prompts_one_by_one(
        prompts in proptest::collection::vec(proptest::collection::vec(2u32..6, 1..40), 1..10),
    ) {
        let model = shared_model();
        let hidden = model.spec.hidden;
        let plan = Plan::new(&prompts);
        let together = states(model, &plan, Threads::Pool);
        for (i, prompt) in prompts.iter().enumerate() {
            let alone = states(model, &Plan::new(&[prompt]), Threads::One);
            for (together, alone) in together.iter().zip(&alone) {
                for (row, alone) in plan.prompt_rows(i).zip(alone.chunks(hidden)) {
                    prop_assert_eq!(&together[row * hidden..][..hidden], alone);
                }
            }
        }
    }
}

#[test]
fn the_last_layer_for_some_rows_equals_the_last_layer_for_all() {
    let model = shared_model();
    let prompts = [vec![5, 6, 7, 8], vec![5, 6, 9], vec![3; 50]];
    let plan = Plan::new(&prompts);
    let all = states(model, &plan, Threads::One).pop().unwrap();
    let rows = vec![1, 4, plan.rows() - 1];
    let mut forward = Forward::new(
        model,
        model.kv_cache(plan.rows(), false),
        Threads::One,
        &|| true,
    );
    let tap = Tap {
        layer: model.spec.layers,
        rows: rows.clone(),
    };
    let some = forward
        .run(&plan, 0..plan.rows(), &[tap])
        .unwrap()
        .swap_remove(0);
    for (row, state) in rows.iter().zip(some.chunks(model.spec.hidden)) {
        assert_eq!(
            &all[row * model.spec.hidden..][..model.spec.hidden],
            state,
            "row {row}"
        );
    }
}

#[test]
fn asked_to_stop_it_stops() {
    let model = shared_model();
    let plan = Plan::new(&[[4u32, 5]]);
    let mut forward = Forward::new(model, model.kv_cache(2, false), Threads::One, &|| false);
    let tap = Tap {
        layer: model.spec.layers,
        rows: vec![1],
    };
    assert!(matches!(
        forward.run(&plan, 0..2, &[tap]),
        Err(Error::Interrupted)
    ));
}

mod adapters;
mod default_adapter;
mod default_model;
