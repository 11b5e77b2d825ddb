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
    let (model, _) = crate::embedder::load(files, isa, precision).unwrap();
    model
}

fn tiny(variant: &str, isa: Isa) -> Model {
    let folder = golden("llama").join(variant);
    let files = if variant.starts_with("gguf") {
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
    };
    load(&files, isa, Precision::F32)
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

/// The default model, fetched on first use like any user's.
mod default_model {
    use super::*;
    use crate::embedder::{Embedder, LoadOptions, Request};

    #[derive(serde::Deserialize)]
    struct Row {
        text: Option<String>,
        instruction: Option<String>,
        ids: Vec<u32>,
        answer: String,
    }

    fn rows() -> Vec<Row> {
        let text = std::fs::read_to_string(golden("smollm2/prompts.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn files() -> ModelFiles {
        let cache = crate::source::Cache::from_env().unwrap();
        "default"
            .parse::<crate::source::ModelRef>()
            .unwrap()
            .resolve(&cache, &())
            .unwrap()
    }

    /// Positions to compare and their states: the sampled ones, or all with `INBEDDER_GOLDEN_FULL`.
    fn expected(i: usize, len: usize, sampled: &Tensors) -> (Vec<usize>, Vec<f32>) {
        match std::env::var_os("INBEDDER_GOLDEN_FULL") {
            Some(folder) => {
                let file = Tensors::open(&Path::new(&folder).join(format!("{i}.safetensors")));
                ((0..len).collect(), file.get("states"))
            }
            None => {
                let positions = sampled.ids(&format!("{i}.positions"));
                (
                    positions.into_iter().map(|p| p as usize).collect(),
                    sampled.get(&format!("{i}.states")),
                )
            }
        }
    }

    #[test]
    fn every_layer_equals_transformers() {
        let sampled = Tensors::open(&golden("smollm2/states.safetensors"));
        let rows = rows();
        assert!(rows.len() >= 24);
        let model = load(&files(), Isa::detect().unwrap(), Precision::F32);
        let hidden = model.spec.hidden;
        // One plan for all prompts: sharing is part of what is compared.
        let ids: Vec<&[u32]> = rows.iter().map(|row| row.ids.as_slice()).collect();
        let plan = Plan::new(&ids);
        let wanted: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(i, row)| expected(i, row.ids.len(), &sampled))
            .collect();
        let mut taps = Vec::new();
        for layer in 0..=model.spec.layers {
            let of_prompt = |i: usize| {
                let all: Vec<usize> = plan.prompt_rows(i).collect();
                wanted[i].0.iter().map(move |p| all[*p]).collect::<Vec<_>>()
            };
            let mut rows: Vec<usize> = (0..ids.len()).flat_map(of_prompt).collect();
            rows.sort_unstable();
            rows.dedup();
            taps.push(Tap { layer, rows });
        }
        let mut forward = Forward::new(
            &model,
            model.kv_cache(plan.rows(), false),
            Threads::Pool,
            &|| true,
        );
        let states = forward.run(&plan, 0..plan.rows(), &taps).unwrap();
        for (i, (positions, expected)) in wanted.iter().enumerate() {
            let largest = sampled.get(&format!("{i}.maxabs"));
            let all: Vec<usize> = plan.prompt_rows(i).collect();
            for (layer, expected) in expected.chunks(positions.len() * hidden).enumerate() {
                for (position, expected) in positions.iter().zip(expected.chunks(hidden)) {
                    let at = taps[layer].rows.binary_search(&all[*position]).unwrap();
                    let got = &states[layer][at * hidden..][..hidden];
                    let what = format!("prompt {i} layer {layer} position {position}");
                    assert_states(&what, got, expected, 1e-3 * largest[layer]);
                    if layer == model.spec.layers {
                        assert!(cosine(got, expected) >= 0.99999, "{what}");
                    }
                }
            }
        }
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn prompts_answers_and_means_equal_transformers() {
        let sampled = Tensors::open(&golden("smollm2/states.safetensors"));
        let embedder = Embedder::from_files("default", &files(), &LoadOptions::default()).unwrap();
        for (i, row) in rows().into_iter().enumerate() {
            let (Some(text), Some(question)) = (row.text, row.instruction) else {
                continue;
            };
            let mut request = Request::new(vec![question]);
            request.readout = Some(crate::Readout::AvgPpt);
            for (k, layer) in [0, 15, 30].into_iter().enumerate() {
                request.layer = Some(layer);
                // The answer does not depend on the layer that is read.
                request.answer_tokens = (k == 0).then_some(8);
                let output = embedder.run(&[&text], &request, &()).unwrap();
                assert_eq!(
                    output.stats.prompt_tokens,
                    row.ids.len(),
                    "prompt {i}: {text:?}"
                );
                if k == 0 {
                    assert_eq!(output.answers, [row.answer.as_str()], "prompt {i}");
                }
                let mean = &sampled.get(&format!("{i}.mean"))[k * output.dim..][..output.dim];
                let close = cosine(&output.embeddings, mean);
                assert!(close >= 0.99999, "prompt {i} layer {layer}: cosine {close}");
            }
        }
    }

    #[test]
    fn token_ids_of_awkward_texts_equal_transformers() {
        #[derive(serde::Deserialize)]
        struct Line {
            text: String,
            ids: Vec<u32>,
        }
        let (_, tokenizer) =
            crate::embedder::load(&files(), Isa::detect().unwrap(), Precision::Int8).unwrap();
        let lines = std::fs::read_to_string(golden("tokenizer/default.jsonl")).unwrap();
        for line in lines.lines() {
            let line: Line = serde_json::from_str(line).unwrap();
            assert_eq!(
                tokenizer.encode(&line.text).unwrap().ids,
                line.ids,
                "{:?}",
                line.text
            );
        }
        for row in rows().into_iter().filter(|row| row.text.is_some()) {
            assert!(!row.ids.is_empty());
        }
    }
}
