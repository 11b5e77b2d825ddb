//! The default model, fetched on first use like any user's: its states and answers against
//! transformers, and what lower precisions change.

use super::*;
use crate::{Embedder, LoadOptions, Request};
use rayon::prelude::*;

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
    let options = LoadOptions {
        precision: Some(Precision::F32),
        ..LoadOptions::default()
    };
    let embedder = Embedder::from_files("default", &files(), &options).unwrap();
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
    let (_, tokenizer, _) =
        crate::checkpoint::load(&files(), Isa::detect().unwrap(), Precision::Int8, None).unwrap();
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

/// Prompts of the reviews in `examples` under four questions.
fn review_prompts(tokenizer: &crate::tokenizer::Tokenizer) -> Vec<Vec<u32>> {
    #[derive(serde::Deserialize)]
    struct Review {
        text: String,
    }
    let renderer = crate::prompt::Renderer {
        tokenizer,
        template: &crate::Template::default(),
        truncate: crate::Truncate::default(),
        max_tokens: 512,
    };
    let reviews = std::fs::read_to_string(golden("../examples/reviews.jsonl")).unwrap();
    // Questions share their text's tokens: four of them are cheaper than four texts.
    let texts = reviews.lines().take(50).map(|line| {
        let review: Review = serde_json::from_str(line).unwrap();
        review.text
    });
    let questions = [
        "What is the review about?",
        "How does the writer feel?",
        "What should be improved?",
        "Which product is it?",
    ];
    texts
        .flat_map(|text| questions.map(|question| renderer.render(&text, question).unwrap().ids))
        .collect()
}

/// Last-layer states of all prompts: a few texts to a plan, a plan to a core.
fn embeddings(model: &Model, prompts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let parts = prompts.par_chunks(20);
    parts.flat_map(|part| read_together(model, part)).collect()
}

fn read_together(model: &Model, prompts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let plan = Plan::new(prompts);
    let mut rows: Vec<usize> = (0..prompts.len()).map(|p| plan.last_row(p)).collect();
    let (last, layer) = (rows.clone(), model.spec.layers);
    rows.sort_unstable();
    let cache = model.kv_cache(plan.rows(), false);
    let mut forward = Forward::new(model, cache, Threads::One, &|| true);
    let taps = [Tap {
        layer,
        rows: rows.clone(),
    }];
    let states = forward.run(&plan, 0..plan.rows(), &taps).unwrap();
    let state = |row: &usize| {
        let at = rows.binary_search(row).unwrap() * model.spec.hidden;
        states[0][at..at + model.spec.hidden].to_vec()
    };
    last.iter().map(state).collect()
}

/// The bounds are those that the documentation promises; f32 is held to transformers above.
#[test]
fn every_precision_at_every_level_keeps_two_hundred_embeddings() {
    let load = |isa, precision| crate::checkpoint::load(&files(), isa, precision, None).unwrap();
    let (exact, tokenizer, _) = load(Isa::detect().unwrap(), Precision::F32);
    let prompts = review_prompts(&tokenizer);
    assert_eq!(prompts.len(), 200);
    let exact = embeddings(&exact, &prompts);
    for isa in Isa::available() {
        for (precision, least, mean) in [
            (Precision::F32, 0.999_99, 0.999_99),
            (Precision::Bf16, 0.999_8, 0.999_8),
            (Precision::Int8, 0.99, 0.995),
        ] {
            let got = embeddings(&load(isa, precision).0, &prompts);
            let cosines: Vec<f64> = got.iter().zip(&exact).map(|(a, b)| cosine(a, b)).collect();
            let lowest = cosines.iter().copied().fold(f64::INFINITY, f64::min);
            let average = cosines.iter().sum::<f64>() / cosines.len() as f64;
            println!("{precision} on {isa}: cosine min {lowest:.6}, mean {average:.6}");
            assert!(
                lowest >= least && average >= mean,
                "{precision} on {isa}: cosine min {lowest}, mean {average}"
            );
        }
    }
}
