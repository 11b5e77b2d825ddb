//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Half a cosine, to zero.
    #[default]
    Cosine,
    /// A straight line, to zero.
    Linear,
    /// Not at all.
    Constant,
}

/// Learning rate by step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest.
    pub learning_rate: f64,
    /// How it falls.
    pub decay: Decay,
    /// Share of the steps over which it rises from zero.
    pub warmup: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            learning_rate: 4e-4,
            decay: Decay::default(),
            warmup: 0.03,
        }
    }
}

impl Schedule {
    /// The learning rate of step `step` (from 1) of `steps`.
    pub fn at(&self, step: u64, steps: u64) -> f64 {
        let warm = (self.warmup * steps as f64).ceil();
        let done = (step - 1) as f64;
        if done < warm {
            return self.learning_rate * (done + 1.0) / warm;
        }
        let part = ((done - warm) / (steps as f64 - warm).max(1.0)).min(1.0);
        self.learning_rate
            * match self.decay {
                Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * part).cos()),
                Decay::Linear => 1.0 - part,
                Decay::Constant => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_falls_and_never_leaves_its_bounds() {
        for decay in [Decay::Cosine, Decay::Linear, Decay::Constant] {
            let schedule = Schedule {
                learning_rate: 2.0,
                decay,
                warmup: 0.1,
            };
            let rates: Vec<f64> = (1..=100).map(|step| schedule.at(step, 100)).collect();
            assert!((rates[0] - 0.2).abs() < 1e-12 && (rates[9] - 2.0).abs() < 1e-12);
            assert!(rates[..10].windows(2).all(|pair| pair[0] < pair[1]));
            assert!(rates[10..].windows(2).all(|pair| pair[0] >= pair[1]));
            assert!(rates.iter().all(|rate| *rate > 0.0 && *rate <= 2.0));
        }
        let cosine = Schedule {
            learning_rate: 2.0,
            decay: Decay::Cosine,
            warmup: 0.0,
        };
        assert!((cosine.at(51, 100) - 1.0).abs() < 1e-12);
        assert!(cosine.at(1, 1) > 0.0);
    }
}
