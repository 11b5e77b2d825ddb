//! Losses and gradients against PyTorch's autograd (`golden/train/make.py`) and against differences,
//! for everything that a specification can switch, full and through LoRA.

mod slopes;

use super::*;
use crate::data::dump::Step;
use inbedder::source::ModelFiles;
use inbedder_kernels::Precision;
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::PathBuf;

const CAUSAL: Scale = Scale {
    causal: 1.0,
    whole_answer: 0.0,
    contrast: 0.0,
    cosine: 0.0,
};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../golden")
}

fn tensors(path: &std::path::Path) -> HashMap<String, Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |bytes: &[u8]| {
        let (words, _) = bytes.as_chunks::<4>();
        words.iter().map(|word| f32::from_le_bytes(*word)).collect()
    };
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, view)| (name, floats(view.data())))
        .collect()
}

fn network(variant: &str, trained: &Trained, isa: Isa) -> (Network, Parameters) {
    network_in(Precision::F32, variant, trained, isa)
}

fn network_in(
    precision: Precision,
    variant: &str,
    trained: &Trained,
    isa: Isa,
) -> (Network, Parameters) {
    let folder = golden().join("train").join(variant);
    let files = ModelFiles::Folder {
        config: folder.join("config.json"),
        // The rows are token ids; any tokenizer will do.
        tokenizer: golden().join("llama/gqa_tied/tokenizer.json"),
        weights: vec![folder.join("model.safetensors")],
    };
    let checkpoint = Checkpoint::open(&files).unwrap();
    Network::load(checkpoint, trained, isa, precision, 1).unwrap()
}

fn lora(variant: &str) -> Trained {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    let (rslora, targets, top_layers) = match variant {
        "untied_bias" => (true, names(&["q_proj", "v_proj"]), None),
        "rope_llama3" => (false, Vec::new(), Some(1)),
        _ => (false, Vec::new(), None),
    };
    Trained::Lora(Lora {
        rank: 2,
        alpha: 3.0,
        rslora,
        dropout: 0.0,
        targets,
        top_layers,
    })
}

/// As PyTorch has it: PEFT's names, and B the other way round.
fn peft_name(parameter: &Parameter) -> String {
    format!("base_model.model.{}.weight", parameter.name)
}

fn transposed(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let at = |i: usize| values[i % rows * columns + i / rows];
    (0..values.len()).map(at).collect()
}

fn fill_adapter(variant: &str, parameters: &mut Parameters) {
    let folder = golden().join("train").join(variant).join("adapter");
    let file = tensors(&folder.join("adapter_model.safetensors"));
    assert_eq!(file.len(), parameters.tensors.len());
    for parameter in &parameters.tensors {
        let [rows, columns] = parameter.shape;
        let stored = &file[&peft_name(parameter)];
        let values = match parameter.name.ends_with("lora_B") {
            true => transposed(stored, [columns, rows]),
            false => stored.clone(),
        };
        parameters.values[parameter.range.clone()].copy_from_slice(&values);
    }
}

fn rows() -> Vec<crate::data::dump::Row> {
    let line = std::fs::read_to_string(golden().join("train/batch.jsonl")).unwrap();
    serde_json::from_str::<Step>(line.trim()).unwrap().rows
}

/// A step's loss as its mean, all rows in one batch.
fn step(objective: &str) -> Batch {
    let rows = rows();
    let targets: usize = rows.iter().map(|row| row.answer_ids.len()).sum();
    let bags = rows.iter().filter(|row| !row.bag.is_empty()).count();
    let none = Scale {
        causal: 0.0,
        ..CAUSAL
    };
    let scale = match objective {
        "causal" => Scale {
            causal: 1.0 / targets as f32,
            ..none
        },
        "contrast" => Scale {
            contrast: 1.0 / bags as f32,
            ..none
        },
        "cosine" => Scale {
            cosine: 2.0 / (bags * (bags - 1)) as f32,
            ..none
        },
        _ => Scale {
            whole_answer: 1.0 / bags as f32,
            ..none
        },
    };
    Batch::new(&rows, scale)
}

fn gradients(network: &Network, parameters: &Parameters, batch: &Batch) -> (f64, Vec<f32>) {
    let mut sums = vec![0.0; parameters.len()];
    let mut work = Workspace::default();
    let values = &parameters.values;
    let loss = network
        .gradients(batch, values, 0, &mut sums, &mut work)
        .unwrap();
    (loss, sums)
}

/// Largest difference as a share of the largest value.
fn difference(got: &[f32], expected: &[f32]) -> f32 {
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
    let differences = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
    largest(&mut differences.into_iter()) / largest(&mut expected.iter().map(|v| v.abs()))
}

#[test]
fn full_gradients_are_those_of_autograd() {
    for isa in Isa::available() {
        for variant in ["tied", "untied_bias", "rope_llama3"] {
            let (network, parameters) = network(variant, &Trained::All, isa);
            let file = tensors(&golden().join(format!("train/{variant}/full.safetensors")));
            for objective in ["causal", "bag", "cosine"] {
                let Some(expected) = file.get(&format!("{objective}.loss")) else {
                    continue;
                };
                let (loss, sums) = gradients(&network, &parameters, &step(objective));
                let off = (loss / f64::from(expected[0]) - 1.0).abs();
                assert!(off < 1e-5, "{isa} {variant} {objective}: loss off by {off}");
                for parameter in &parameters.tensors {
                    let expected = &file[&format!("{objective}.gradient.{}", parameter.name)];
                    let off = difference(&sums[parameter.range.clone()], expected);
                    assert!(off < 1e-3, "{isa} {variant} {}: {off}", parameter.name);
                }
            }
        }
    }
}

#[test]
fn gradients_of_adapters_are_those_of_autograd() {
    for isa in Isa::available() {
        for variant in ["tied", "untied_bias", "rope_llama3"] {
            let (mut network, mut parameters) = network(variant, &lora(variant), isa);
            fill_adapter(variant, &mut parameters);
            network.refresh(&parameters.values);
            let file = tensors(&golden().join(format!("train/{variant}/lora.safetensors")));
            for objective in ["causal", "cosine"] {
                let (loss, sums) = gradients(&network, &parameters, &step(objective));
                let off = (loss / f64::from(file[&format!("{objective}.loss")][0]) - 1.0).abs();
                assert!(off < 1e-5, "{isa} {variant} {objective}: loss off by {off}");
                for parameter in &parameters.tensors {
                    let [rows, columns] = parameter.shape;
                    let name = peft_name(parameter);
                    let stored = &file[&format!("{objective}.gradient.{name}")];
                    let expected = match parameter.name.ends_with("lora_B") {
                        true => transposed(stored, [columns, rows]),
                        false => stored.clone(),
                    };
                    let off = difference(&sums[parameter.range.clone()], &expected);
                    assert!(off < 1e-3, "{isa} {variant} {objective} {name}: {off}");
                }
            }
        }
    }
}

#[test]
fn bf16_is_for_what_is_frozen_alone() {
    for isa in Isa::available() {
        for variant in ["tied", "untied_bias"] {
            for trained in [Trained::All, Trained::Head, lora(variant)] {
                let of = |precision| {
                    let (mut network, mut parameters) =
                        network_in(precision, variant, &trained, isa);
                    let before = gradients(&network, &parameters, &step("causal"));
                    let values = parameters.values.iter_mut().zip(&before.1);
                    values.for_each(|(value, gradient)| *value -= 0.1 * gradient);
                    network.refresh(&parameters.values);
                    [before, gradients(&network, &parameters, &step("causal"))]
                };
                let same = of(Precision::F32) == of(Precision::Bf16);
                assert_eq!(same, trained == Trained::All, "{isa} {variant} {trained:?}");
            }
        }
    }
}

#[test]
fn cutting_a_step_into_batches_changes_its_gradients_by_rounding_alone() {
    let isa = Isa::detect().unwrap();
    let (network, parameters) = network("tied", &Trained::All, isa);
    let (loss, whole) = gradients(&network, &parameters, &Batch::new(&rows(), CAUSAL));
    let (mut sum, mut sums) = (0.0, vec![0.0; parameters.len()]);
    let mut work = Workspace::default();
    for row in rows() {
        let batch = Batch::new(&[row], CAUSAL);
        let values = &parameters.values;
        let part = network
            .gradients(&batch, values, 0, &mut sums, &mut work)
            .unwrap();
        let alone = network
            .loss(&batch, values, &mut Workspace::default())
            .unwrap();
        assert_eq!(part, alone, "the loss is the same without gradients");
        sum += part;
    }
    assert!((sum / loss - 1.0).abs() < 1e-6);
    assert!(difference(&sums, &whole) < 1e-4);
}

#[test]
fn answers_that_begin_alike_share_rows_and_both_count() {
    let row = |answer: &[u32]| crate::data::dump::Row {
        prompt_ids: vec![5, 6, 7],
        answer_ids: answer.to_vec(),
        bag: vec![(8, 0.5), (9, 0.5)],
    };
    let rows = [row(&[8, 1]), row(&[8, 9, 1])];
    let scale = Scale {
        whole_answer: 2.0,
        ..CAUSAL
    };
    let batch = Batch::new(&rows, scale);
    assert_eq!(batch.plan.rows(), 5);
    let bag = [(8, 1.0), (9, 1.0)];
    let first = [&[(8, 1.0)], &bag[..], &[(8, 1.0)], &bag].concat();
    assert_eq!(batch.targets.rows, [2, 3, 4]);
    assert_eq!(
        batch.targets.tokens,
        [first, vec![(1, 1.0), (9, 1.0)], vec![(1, 1.0)]]
    );
    let alone = Scale {
        causal: 0.0,
        whole_answer: 1.0,
        contrast: 0.0,
        cosine: 0.0,
    };
    assert_eq!(Batch::new(&rows, alone).plan.rows(), 3, "no answer is read");
}

#[test]
fn an_answer_is_told_from_the_batchs_other_answers_and_not_from_itself() {
    let row = |prompt: u32, bag: &[(u32, f32)]| crate::data::dump::Row {
        prompt_ids: vec![5, prompt],
        answer_ids: vec![8, 1],
        bag: bag.to_vec(),
    };
    let rows = [
        row(6, &[(8, 1.0)]),
        row(7, &[(8, 1.0)]),
        row(9, &[(3, 0.5), (4, 0.5)]),
    ];
    let scale = Scale {
        causal: 0.0,
        whole_answer: 0.0,
        contrast: 1.0,
        cosine: 0.0,
    };
    let targets = Batch::new(&rows, scale).targets;
    assert_eq!(targets.answers, [vec![(8, 1.0)], vec![(3, 0.5), (4, 0.5)]]);
    assert_eq!(targets.own, [Some(0), Some(0), Some(1)]);
    let (network, parameters) = network("tied", &Trained::All, Isa::detect().unwrap());
    let loss = |rows: &[crate::data::dump::Row]| {
        let batch = Batch::new(rows, scale);
        let mut work = Workspace::default();
        network.loss(&batch, &parameters.values, &mut work).unwrap()
    };
    assert!(loss(&rows[..2]).abs() < 1e-12, "nothing to tell apart");
    assert!(loss(&rows) > 0.0);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let folder = golden().join("llama/gqa_tied");
    let load = |lora: Lora| {
        let files = crate::support::files(&folder);
        let checkpoint = Checkpoint::open(&files).unwrap();
        let isa = Isa::detect().unwrap();
        match Network::load(checkpoint, &Trained::Lora(lora), isa, Precision::F32, 1) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    };
    type Change = fn(&mut Lora);
    let wrong: [(&str, Change); 10] = [
        ("rank", |l| l.rank = 0),
        ("alpha", |l| l.alpha = 0.0),
        ("alpha", |l| l.alpha = -1.0),
        ("alpha", |l| l.alpha = f32::NAN),
        ("alpha", |l| l.alpha = f32::INFINITY),
        ("dropout", |l| l.dropout = 1.0),
        ("dropout", |l| l.dropout = f32::NAN),
        ("top layers", |l| l.top_layers = Some(0)),
        ("qkv_proj", |l| l.targets = vec!["qkv_proj".to_string()]),
        ("o_proj", |l| l.targets = vec!["qkv_proj".to_string()]),
    ];
    for (i, (part, change)) in wrong.into_iter().enumerate() {
        let mut lora = Lora::default();
        change(&mut lora);
        let message = load(lora);
        assert!(message.contains(part), "case {i}: {message}");
    }
}
