//! AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv 1711.05101), with
//! PyTorch's order of operations.

use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Numbers per piece of work, and per partial sum of a norm: fixed, so that nothing depends on the
/// threads.
const PIECE: usize = 1 << 16;

/// What does not change in a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of their squares.
    pub beta2: f32,
    /// Added to the root of the second mean.
    pub eps: f32,
    /// Share of a number that is taken off it per step and unit of learning rate.
    pub weight_decay: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// The means, and how many steps are in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moments {
    /// Steps taken.
    pub step: u64,
    /// `[parameter]`: means of gradients.
    pub first: Vec<f32>,
    /// `[parameter]`: means of their squares.
    pub second: Vec<f32>,
}

impl Moments {
    /// For `len` numbers, none of which has moved yet.
    pub fn new(len: usize) -> Self {
        Self {
            step: 0,
            first: vec![0.0; len],
            second: vec![0.0; len],
        }
    }
}

impl AdamW {
    /// Refuses numbers that make no sense.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<()> {
        for (what, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                let problem = format!("is {beta}, expected 0 up to but not 1");
                return Err(Error::setting(what, problem));
            }
        }
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            let problem = format!("is {}, expected a number above 0", self.eps);
            return Err(Error::setting("eps", problem));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            let problem = format!("is {}, expected a number from 0", self.weight_decay);
            return Err(Error::setting("weight decay", problem));
        }
        Ok(())
    }

    /// Takes one step with gradients that are multiplied by `scale` first.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn step(
        &self,
        values: &mut [f32],
        gradients: &[f32],
        scale: f32,
        learning_rate: f64,
        moments: &mut Moments,
    ) {
        assert!(values.len() == gradients.len() && values.len() == moments.first.len());
        moments.step += 1;
        let corrected = |beta: f32| 1.0 - f64::from(beta).powf(moments.step as f64);
        let root = corrected(self.beta2).sqrt() as f32;
        let step = (learning_rate / corrected(self.beta1)) as f32;
        let keep = 1.0 - (learning_rate * f64::from(self.weight_decay)) as f32;
        let numbers = values
            .par_chunks_mut(PIECE)
            .zip(gradients.par_chunks(PIECE))
            .zip(moments.first.par_chunks_mut(PIECE))
            .zip(moments.second.par_chunks_mut(PIECE));
        numbers.for_each(|(((values, gradients), first), second)| {
            let numbers = values.iter_mut().zip(gradients).zip(first).zip(second);
            for (((value, gradient), first), second) in numbers {
                let gradient = gradient * scale;
                *first += (1.0 - self.beta1) * (gradient - *first);
                *second = self.beta2 * *second + (1.0 - self.beta2) * gradient * gradient;
                *value = *value * keep - step * *first / (second.sqrt() / root + self.eps);
            }
        });
    }
}

/// Euclidean length of all gradients together.
pub fn norm(gradients: &[f32]) -> f64 {
    let pieces: Vec<f64> = gradients
        .par_chunks(PIECE)
        .map(|piece| piece.iter().map(|g| f64::from(*g) * f64::from(*g)).sum())
        .collect();
    pieces.iter().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `torch.optim.AdamW([tensor([1.0, -2.0, 0.5])], lr=0.1, weight_decay=0.2)` over
    /// three steps with the gradients below (PyTorch 2.15).
    #[test]
    fn steps_are_those_of_pytorch() {
        let optimizer = AdamW {
            weight_decay: 0.2,
            ..AdamW::default()
        };
        let mut values = vec![1.0, -2.0, 0.5];
        let mut moments = Moments::new(3);
        let gradients = [[0.5, -0.1, 0.0], [0.2, 0.4, 1e-9], [-1.0, 0.3, -2.0]];
        for gradients in gradients {
            optimizer.step(&mut values, &gradients, 1.0, 0.1, &mut moments);
        }
        for (value, expected) in values.iter().zip(EXPECTED) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
        assert_eq!(moments.step, 3);
    }

    const EXPECTED: [f32; 3] = [0.780_438, -1.913_738_5, 0.529_660_17];

    #[test]
    fn the_length_is_that_of_all_numbers() {
        let gradients: Vec<f32> = (0..200_000)
            .map(|i| if i % 2 == 0 { 3.0 } else { 4.0 })
            .collect();
        assert!((norm(&gradients) - (200_000.0f64 * 12.5).sqrt()).abs() < 1e-6);
    }
}
