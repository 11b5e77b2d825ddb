//! Adapted models against PEFT: the tiny checkpoints in every state, the default one at some.

use super::*;
use crate::adapter::AdapterSource;
use crate::checkpoint;

fn adapted(files: &ModelFiles, adapter: &str, isa: Isa, precision: Precision) -> Model {
    let source = AdapterSource::Folder(golden("adapter").join(adapter));
    let (model, ..) = checkpoint::load(files, isa, precision, Some(&source)).unwrap();
    model
}

fn expected(adapter: &str) -> Tensors {
    Tensors::open(&golden("adapter").join(adapter).join("expected.safetensors"))
}

#[test]
fn tiny_adapters_equal_peft_in_every_state_and_token() {
    for isa in Isa::available() {
        for (adapter, base) in [
            ("plain", "gqa_tied"),
            ("patterns", "bias"),
            ("regex", "head_dim"),
            ("gguf", "gguf_f32"),
        ] {
            let model = adapted(&tiny_files(base), adapter, isa, Precision::F32);
            let expected = expected(adapter);
            for prompt in 0..2 {
                let ids = expected.ids(&format!("{prompt}.ids"));
                let got = states(&model, &Plan::new(&[&ids]), Threads::One);
                let wanted = expected.get(&format!("{prompt}.states"));
                let per_layer = ids.len() * model.spec.hidden;
                for (layer, (got, wanted)) in got.iter().zip(wanted.chunks(per_layer)).enumerate() {
                    let largest = wanted.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                    let what = format!("{isa} {adapter} prompt {prompt} layer {layer}");
                    assert_states(&what, got, wanted, 1e-4 * largest);
                }
                let continuation = expected.ids(&format!("{prompt}.continuation"));
                let got = continue_greedily(&model, &ids, continuation.len());
                assert_eq!(got, continuation, "{isa} {adapter} prompt {prompt}");
            }
        }
    }
}

#[test]
fn the_default_model_with_an_adapter_equals_peft() {
    #[derive(serde::Deserialize)]
    struct Row {
        ids: Vec<u32>,
    }
    let cache = crate::source::Cache::from_env().unwrap();
    let default: crate::source::ModelRef = "default".parse().unwrap();
    let files = default.resolve(&cache, &()).unwrap();
    let isa = Isa::detect().unwrap();
    let model = adapted(&files, "smollm2", isa, Precision::F32);
    let hidden = model.spec.hidden;
    let rows = std::fs::read_to_string(golden("smollm2/prompts.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_str(&rows).unwrap();
    let expected = expected("smollm2");
    for (i, row) in rows.iter().take(6).enumerate() {
        let plan = Plan::new(&[&row.ids]);
        let wanted = expected.get(&format!("{i}.states"));
        for (layer, wanted) in (0..=model.spec.layers)
            .step_by(10)
            .zip(wanted.chunks(hidden))
        {
            let mut forward = Forward::new(
                &model,
                model.kv_cache(plan.rows(), false),
                Threads::Pool,
                &|| true,
            );
            let rows = vec![plan.last_row(0)];
            let tap = Tap { layer, rows };
            let got = forward.run(&plan, 0..plan.rows(), &[tap]).unwrap();
            let largest = wanted.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let what = format!("prompt {i} layer {layer}");
            assert_states(&what, &got[0], wanted, 1e-3 * largest);
        }
        let continuation = expected.ids(&format!("{i}.continuation"));
        let got = continue_greedily(&model, &row.ids, continuation.len());
        assert_eq!(got, continuation, "prompt {i}");
    }
}
