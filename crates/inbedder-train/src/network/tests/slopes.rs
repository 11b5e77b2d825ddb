//! Gradients as slopes: along each tensor's own gradient the loss must rise as steeply as the gradient says,
//! for every switch of a specification, every objective and all that can be trained.
//!
//! The network computes in f32, so a slope is only as good as its step. Each tensor's step is such that the
//! loss moves by about [`RISE`], whatever the slope: with larger ones the fourth-order formula's own error
//! grows with the step's fourth power and passes the bound for the steepest tensors, with smaller ones
//! rounding does for the flattest. No slope is too small for this (asserted), so none is left out.

use super::*;

/// By how much the longer of the two steps changes the loss, to first order.
const RISE: f64 = 0.01;

#[test]
fn gradients_are_slopes_of_the_loss() {
    for variant in ["tied", "untied_bias", "rope_llama3"] {
        let dropped = Trained::Lora(Lora {
            rank: 3,
            dropout: 0.3,
            ..Lora::default()
        });
        for (trained, objective) in [
            (Trained::All, "causal"),
            (Trained::All, "bag"),
            (Trained::All, "contrast"),
            (Trained::Head, "causal"),
            (dropped, "causal"),
            (lora(variant), "contrast"),
            (lora(variant), "cosine"),
        ] {
            check(variant, &trained, objective);
        }
    }
}

fn check(variant: &str, trained: &Trained, objective: &str) {
    let (mut network, mut parameters) = network(variant, trained, Isa::detect().unwrap());
    // Away from where things begin: LoRA's B is zero there, and so is A's gradient.
    for (i, value) in parameters.values.iter_mut().enumerate() {
        *value += 0.05 * (i as f32 * 0.7).sin();
    }
    network.refresh(&parameters.values);
    let mut batch = step(objective);
    // Differences of cosines squared are small, and so are their slopes.
    batch.targets.cosine *= 10.0;
    let (_, sums) = gradients(&network, &parameters, &batch);
    for parameter in &parameters.tensors {
        let gradient = &sums[parameter.range.clone()];
        let squares = gradient.iter().map(|v| f64::from(*v).powi(2));
        let slope = squares.sum::<f64>().sqrt();
        let name = format!("{variant} {trained:?} {objective} {}", parameter.name);
        assert!(slope > 1e-2, "{name}: a slope of {slope} cannot be seen");
        let mut values = parameters.values.clone();
        let mut at = |step: f64| {
            values.copy_from_slice(&parameters.values);
            let moved = values[parameter.range.clone()].iter_mut();
            for (value, along) in moved.zip(gradient) {
                *value += (step * f64::from(*along) / slope) as f32;
            }
            network.refresh(&values);
            let mut ignored = vec![0.0; values.len()];
            let mut work = Workspace::default();
            let loss = network.gradients(&batch, &values, 0, &mut ignored, &mut work);
            loss.unwrap()
        };
        let h = RISE / slope / 2.0;
        let near = at(h) - at(-h);
        let far = at(2.0 * h) - at(-2.0 * h);
        let found = (8.0 * near - far) / (12.0 * h);
        let off = (found / slope - 1.0).abs();
        assert!(off < 1e-3, "{name}: {found} for {slope}, off by {off}");
    }
}
