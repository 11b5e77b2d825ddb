//! What training made, as something that can be used: a PEFT folder.

use crate::network::{Lora, Parameters, Trained};
use crate::settings::Settings;
use crate::{Error, Result};
use inbedder::adapter::{AdapterBase, AdapterDefaults, LoraAdapter, LoraModule};
use std::collections::BTreeMap;

/// The adapter that the trained numbers are.
///
/// # Errors
/// A run that trains no adapter.
pub(crate) fn adapter(
    settings: &Settings,
    parameters: &Parameters,
    base: AdapterBase,
) -> Result<LoraAdapter> {
    let Trained::Lora(lora) = &settings.trained else {
        let problem = "only LoRA makes an adapter";
        return Err(Error::setting("what is trained", problem));
    };
    Ok(LoraAdapter {
        base: base.name.clone(),
        rslora: lora.rslora,
        modules: modules(lora, parameters),
        defaults: AdapterDefaults {
            base,
            template: Some(settings.template.parse()?),
            ..AdapterDefaults::default()
        },
    })
}

fn modules(lora: &Lora, parameters: &Parameters) -> BTreeMap<String, LoraModule> {
    let mut modules = BTreeMap::new();
    for pair in parameters.tensors.chunks_exact(2) {
        let [a, b] = pair else { continue };
        let [rank, inputs] = a.shape;
        let outputs = b.shape[1];
        let transposed = &parameters.values[b.range.clone()];
        let at = |i: usize| transposed[i % rank * outputs + i / rank];
        let module = LoraModule {
            rank,
            alpha: lora.alpha,
            inputs,
            outputs,
            a: parameters.values[a.range.clone()].to_vec(),
            b: (0..rank * outputs).map(at).collect(),
        };
        let name = a.name.trim_end_matches(".lora_A");
        modules.insert(name.to_string(), module);
    }
    modules
}
