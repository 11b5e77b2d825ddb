//! What tells one decoder from another, as plain data: the forward pass reads these switches and
//! knows no family by name.

use inbedder_kernels::Heads;

/// The shape of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Name of the family, as its configuration calls it.
    pub family: &'static str,
    /// Number of layers, L: hidden states are numbered 0 (token embedding) to L (after the final
    /// norm).
    pub layers: usize,
    /// Width of the hidden state.
    pub hidden: usize,
    /// Attention heads.
    pub heads: Heads,
    /// Units of the gated MLP.
    pub intermediate: usize,
    /// Rows of the token embedding.
    pub vocabulary: usize,
    /// Added to the mean square in RMS norms.
    pub norm_eps: f32,
    /// Rotary position embedding.
    pub rotary: Rotary,
    /// The language-model head is the token embedding.
    pub tied_head: bool,
    /// Query, key, value and output projections have biases.
    pub attention_bias: bool,
    /// Gate, up and down projections have biases.
    pub mlp_bias: bool,
}

impl ModelSpec {
    /// Multiplications and additions in the linear layers for `rows` rows, of which `read` get the
    /// last layer's state.
    pub(crate) fn linear_operations(&self, rows: usize, read: usize) -> f64 {
        let (query, kv) = (
            self.heads.query * self.heads.dim,
            self.heads.kv * self.heads.dim,
        );
        let key_value = 2 * kv * self.hidden;
        let rest = 2 * query * self.hidden + 3 * self.hidden * self.intermediate;
        let all = self.layers * key_value + self.layers.saturating_sub(1) * rest;
        2.0 * (all as f64 * rows as f64 + rest as f64 * read as f64)
    }
}

/// Rotary position embedding: base, and how frequencies are stretched for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Base of the frequencies, `theta`.
    pub theta: f32,
    /// Stretching of the frequencies.
    pub scaling: RotaryScaling,
}

/// How rotary frequencies are changed.
#[derive(Debug, Clone, PartialEq)]
pub enum RotaryScaling {
    /// Not at all.
    None,
    /// All frequencies divided by a factor.
    Linear(f32),
    /// Llama 3: low frequencies divided by `factor`, high ones kept, smooth between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f32,
        /// Wavelengths above `original_context / low` are divided.
        low: f32,
        /// Wavelengths below `original_context / high` are kept.
        high: f32,
        /// Context length that the model was first trained with.
        original_context: f32,
    },
    /// A divisor for each frequency, as GGUF files carry them.
    Factors(Vec<f32>),
}

impl Rotary {
    /// `dim / 2` angular frequencies for heads of `dim` floats, computed in f32 as Hugging Face
    /// does (`modeling_rope_utils.py`).
    pub fn frequencies(&self, dim: usize) -> Vec<f32> {
        let plain = (0..dim / 2).map(|i| 1.0 / self.theta.powf(2.0 * i as f32 / dim as f32));
        match &self.scaling {
            RotaryScaling::None => plain.collect(),
            RotaryScaling::Linear(factor) => plain.map(|f| f / factor).collect(),
            RotaryScaling::Factors(factors) => plain.zip(factors).map(|(f, by)| f / by).collect(),
            RotaryScaling::Llama3 {
                factor,
                low,
                high,
                original_context,
            } => plain
                .map(|f| {
                    let wavelength = 2.0 * std::f32::consts::PI / f;
                    if wavelength < original_context / high {
                        f
                    } else if wavelength > original_context / low {
                        f / factor
                    } else {
                        let smooth = (original_context / wavelength - low) / (high - low);
                        (1.0 - smooth) * f / factor + smooth * f
                    }
                })
                .collect(),
        }
    }
}
