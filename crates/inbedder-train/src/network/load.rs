//! From a checkpoint to a network: what is trained, where its numbers begin, and the packing of
//! everything for both directions.

use super::linear::{self, Linear, LoraPlaces, Places};
use super::parameters::Parameters;
use super::{Layer, Network, Norm};
use crate::random::Random;
use crate::{Error, Result};
use inbedder::checkpoint::Checkpoint;
use inbedder::model::RotaryTable;
use inbedder::{LinearModule, MAX_TOKENS};
use inbedder_kernels::{Isa, Precision};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Which numbers are trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// Small differences to linear layers.
    Lora(Lora),
    /// Every weight of the model.
    All,
    /// The language-model head alone, which in many models is the token embedding too.
    Head,
}

/// Low-rank differences (Hu et al., arXiv 2106.09685), initialised as PEFT does: A uniform within
/// ±1/√inputs, B zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    /// Rows of A, columns of B.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f32,
    /// The scale is alpha / √rank instead of alpha / rank.
    pub rslora: bool,
    /// Share of a layer's inputs that A does not get to see in a step.
    pub dropout: f32,
    /// Last parts of the names of the layers that get one, such as `q_proj`; none for all of them.
    pub targets: Vec<String>,
    /// Only in so many of the last layers.
    pub top_layers: Option<usize>,
}

impl Default for Lora {
    fn default() -> Self {
        Self {
            rank: 16,
            alpha: 32.0,
            rslora: false,
            dropout: 0.0,
            targets: Vec::new(),
            top_layers: None,
        }
    }
}

impl Lora {
    /// The factor of B·A.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f32;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    fn takes(&self, module: &LinearModule, layers: usize) -> bool {
        let last = module.name.rsplit('.').next().unwrap_or_default();
        let named = self.targets.is_empty() || self.targets.iter().any(|target| target == last);
        named && module.layer + self.top_layers.unwrap_or(layers) >= layers
    }

    fn check(&self, modules: &[LinearModule]) -> Result<()> {
        let wrong = |what: &'static str, problem: String| Error::Setting { what, problem };
        if self.rank == 0 {
            return Err(wrong("rank", "is 0, expected at least 1".to_string()));
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            let problem = format!("is {}, expected a number above 0", self.alpha);
            return Err(wrong("alpha", problem));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let problem = format!("is {}, expected 0 up to but not 1", self.dropout);
            return Err(wrong("dropout", problem));
        }
        if self.top_layers == Some(0) {
            return Err(wrong("top layers", "is 0, expected at least 1".to_string()));
        }
        let names: Vec<&str> = modules
            .iter()
            .take_while(|module| module.layer == 0)
            .filter_map(|module| module.name.rsplit('.').next())
            .collect();
        match self.targets.iter().find(|t| !names.contains(&t.as_str())) {
            Some(target) => {
                let problem = format!("{target:?} is no layer of this model: {}", names.join(", "));
                Err(wrong("targets", problem))
            }
            None => Ok(()),
        }
    }
}

/// What the parts of loading share.
struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    trained: &'a Trained,
    isa: Isa,
    precision: Precision,
    random: Random,
    parameters: Parameters,
}

impl Network {
    /// Reads a checkpoint; `seed` decides where LoRA begins. `precision` is that of frozen weights.
    ///
    /// # Errors
    /// A tensor that cannot be read, settings that make no sense for this model.
    pub fn load(
        checkpoint: Checkpoint,
        trained: &Trained,
        isa: Isa,
        precision: Precision,
        seed: u64,
    ) -> Result<(Self, Parameters)> {
        let spec = checkpoint.spec().clone();
        let modules = spec.linear_modules();
        let mut loader = Loader {
            checkpoint: &checkpoint,
            trained,
            isa,
            precision,
            random: Random::new(seed, "lora"),
            parameters: Parameters::default(),
        };
        let (mut rank, mut dropout) = (0, 0.0);
        let mut first_trained = match trained {
            Trained::Head if !spec.tied_head => spec.layers,
            _ => 0,
        };
        if let Trained::Lora(lora) = trained {
            lora.check(&modules)?;
            (rank, dropout) = (lora.rank, lora.dropout);
            let taken = modules.iter().filter(|m| lora.takes(m, spec.layers));
            first_trained = taken.map(|m| m.layer).min().unwrap_or(spec.layers);
        }
        let embedding = loader.embedding()?;
        let layers = modules
            .chunks_exact(7)
            .map(|modules| loader.layer(modules, spec.layers))
            .collect::<Result<_>>()?;
        let final_norm = loader.norm(spec.final_norm_name())?;
        let (head, head_mean) = loader.head(embedding.as_ref())?;
        let parameters = loader.parameters;
        checkpoint.release();
        let network = Self {
            rotary: RotaryTable::new(&spec, MAX_TOKENS),
            spec,
            isa,
            layers,
            final_norm,
            head,
            head_mean,
            embedding,
            first_trained,
            rank,
            dropout,
            checkpoint,
        };
        Ok((network, parameters))
    }
}

impl Loader<'_> {
    fn all(&self) -> bool {
        *self.trained == Trained::All
    }

    /// The token embedding's place, if it is trained.
    fn embedding(&mut self) -> Result<Option<Range<usize>>> {
        let spec = self.checkpoint.spec();
        if !(self.all() || *self.trained == Trained::Head && spec.tied_head) {
            return Ok(None);
        }
        let (name, shape) = (spec.embedding_name(), [spec.vocabulary, spec.hidden]);
        let values = self.checkpoint.read(&name)?;
        Ok(Some(self.parameters.push(name, shape, &values)))
    }

    fn layer(&mut self, modules: &[LinearModule], layers: usize) -> Result<Layer> {
        let linear = modules
            .iter()
            .map(|module| self.linear(module, layers))
            .collect::<Result<Vec<_>>>()?;
        let Ok(linear) = linear.try_into() else {
            unreachable!("a chunk of seven modules gives seven layers");
        };
        let [attention, mlp] = self.checkpoint.spec().norm_names(modules[0].layer);
        Ok(Layer {
            attention_norm: self.norm(attention)?,
            mlp_norm: self.norm(mlp)?,
            linear,
        })
    }

    fn norm(&mut self, name: String) -> Result<Norm> {
        let weight = self.checkpoint.read(&name)?;
        let place = self
            .all()
            .then(|| self.parameters.push(name, [1, weight.len()], &weight));
        Ok(Norm { weight, place })
    }

    fn linear(&mut self, module: &LinearModule, layers: usize) -> Result<Linear> {
        let shape = [module.outputs, module.inputs];
        let matrix = self.checkpoint.read(&format!("{}.weight", module.name))?;
        let bias_name = format!("{}.bias", module.name);
        let mut tensors = self.checkpoint.tensors();
        let bias = tensors
            .any(|tensor| tensor.name == bias_name)
            .then(|| self.checkpoint.read(&bias_name))
            .transpose()?;
        let mut places = Places::default();
        if self.all() {
            let name = format!("{}.weight", module.name);
            places.weight = Some(self.parameters.push(name, shape, &matrix));
            places.bias = bias
                .as_ref()
                .map(|bias| self.parameters.push(bias_name, [1, bias.len()], bias));
        }
        if let Trained::Lora(lora) = self.trained
            && lora.takes(module, layers)
        {
            places.lora = Some(self.lora(lora, module));
        }
        let weights = linear::Weights { matrix, bias };
        Ok(self.pack(shape, &weights, places))
    }

    fn lora(&mut self, lora: &Lora, module: &LinearModule) -> LoraPlaces {
        let (rank, bound) = (lora.rank, 1.0 / (module.inputs as f64).sqrt());
        let a: Vec<f32> = (0..rank * module.inputs)
            .map(|_| (bound * (2.0 * self.random.unit() - 1.0)) as f32)
            .collect();
        let b = vec![0.0; rank * module.outputs];
        let name = |part: &str| format!("{}.{part}", module.name);
        LoraPlaces {
            rank,
            scale: lora.scale(),
            a: self
                .parameters
                .push(name("lora_A"), [rank, module.inputs], &a),
            b: self
                .parameters
                .push(name("lora_B"), [rank, module.outputs], &b),
        }
    }

    /// The head, and the mean of its rows.
    fn head(&mut self, embedding: Option<&Range<usize>>) -> Result<(Linear, Vec<f64>)> {
        let spec = self.checkpoint.spec();
        let shape = [spec.vocabulary, spec.hidden];
        let name = spec.head_name();
        let matrix = self.checkpoint.read(&name)?;
        let weight = match (self.trained, embedding) {
            (Trained::Lora(_), _) => None,
            (_, Some(place)) if spec.tied_head => Some(place.clone()),
            _ => Some(self.parameters.push(name, shape, &matrix)),
        };
        let places = Places {
            weight,
            ..Places::default()
        };
        let mean = mean_row(&matrix, spec.hidden);
        let weights = linear::Weights { matrix, bias: None };
        Ok((self.pack(shape, &weights, places), mean))
    }

    fn pack(&self, shape: [usize; 2], weights: &linear::Weights, places: Places) -> Linear {
        let shape = (shape[0], shape[1]);
        let values = &self.parameters.values;
        Linear::new(self.isa, self.precision, shape, weights, places, values)
    }
}

fn mean_row(matrix: &[f32], width: usize) -> Vec<f64> {
    let mut mean = vec![0.0; width];
    for row in matrix.chunks_exact(width) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(mean, value)| *mean += f64::from(*value));
    }
    let rows = (matrix.len() / width) as f64;
    mean.iter_mut().for_each(|mean| *mean /= rows);
    mean
}
