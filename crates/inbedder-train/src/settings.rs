//! What decides a run, and is written down with it: a run is resumed with the settings that it was
//! begun with, or not at all.

use crate::data::Answers;
use crate::network::Trained;
use crate::optimizer::AdamW;
use crate::schedule::Schedule;
use crate::{Error, Result};
use inbedder::MAX_TOKENS;
use serde::{Deserialize, Serialize};

/// What the loss is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Weight of `causal`: cross-entropy of every token of the answer and of the one that ends it.
    pub causal: f32,
    /// Weight of `whole-answer`: cross-entropy of all the answer's words at once, at the place where it
    /// begins.
    pub whole_answer: f32,
    /// Weight of `answer-contrast`: at the same place, cross-entropy over the answers of a worker's batch,
    /// which are those of the same text to other questions and of other texts.
    pub contrast: f32,
    /// Weight of `answer-cosine`: at the same place, squared differences between the cosines of states and
    /// those of their answers, over pairs of questions in a worker's batch.
    #[serde(default)]
    pub cosine: f32,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            causal: 1.0,
            whole_answer: 0.0,
            contrast: 0.0,
            cosine: 0.0,
        }
    }
}

/// All that decides what is learnt beside the data and the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Which numbers are trained.
    pub trained: Trained,
    /// What the loss is made of.
    pub objective: Objective,
    /// How answers are written.
    pub answers: Answers,
    /// The prompt pattern, or its name.
    pub template: String,
    /// Longest prompt with its longest answer, in tokens, at most [`MAX_TOKENS`]; questions over it are left
    /// out.
    pub max_tokens: usize,
    /// Distinct tokens of a step of the optimiser, at most.
    pub tokens_per_step: usize,
    /// Distinct tokens that a worker reads at a time: memory.
    pub tokens_per_batch: usize,
    /// Times that the data is gone through.
    pub epochs: u64,
    /// Steps after which training ends all the same; the schedule ends there too.
    pub max_steps: Option<u64>,
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// The optimiser.
    pub optimizer: AdamW,
    /// Longest gradient; a longer one is scaled down to it.
    pub clip: f64,
    /// Decides the order of the data, where LoRA begins, and dropout.
    pub seed: u64,
    /// Of frozen weights: f32 or bf16.
    pub precision: String,
    /// Workers. The order of sums depends on them, so they are a part of what is repeated to the bit.
    pub threads: usize,
}

impl Settings {
    /// Refuses numbers that make no sense.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &'static str, problem: &str| {
            Err(Error::Setting {
                what,
                problem: problem.to_string(),
            })
        };
        let Objective {
            causal,
            whole_answer,
            contrast,
            cosine,
        } = self.objective;
        let weights = [causal, whole_answer, contrast, cosine];
        if !weights
            .iter()
            .all(|weight| *weight >= 0.0 && weight.is_finite())
        {
            return wrong("objective", "weights are numbers from 0");
        }
        if weights.iter().sum::<f32>() == 0.0 {
            return wrong("objective", "at least one weight is above 0");
        }
        for (what, value) in [
            ("tokens per step", self.tokens_per_step),
            ("tokens per batch", self.tokens_per_batch),
            ("tokens per prompt", self.max_tokens),
            ("threads", self.threads),
        ] {
            if value == 0 {
                return wrong(what, "expected at least 1");
            }
        }
        if self.max_tokens > MAX_TOKENS {
            let problem = format!("is {}, expected at most {MAX_TOKENS}", self.max_tokens);
            return Err(Error::setting("tokens per prompt", problem));
        }
        if self.epochs == 0 || self.max_steps == Some(0) {
            return wrong("epochs", "expected at least one, and at least one step");
        }
        let rate = self.schedule.learning_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            return wrong("learning rate", "expected a number above 0");
        }
        if !(0.0..1.0).contains(&self.schedule.warmup) {
            return wrong(
                "warm-up",
                "expected a share of the steps, 0 up to but not 1",
            );
        }
        if self.clip.is_nan() || self.clip <= 0.0 {
            return wrong("clip", "expected a length above 0");
        }
        self.optimizer.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Trained;
    use crate::support::settings;

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        type Change = fn(&mut Settings);
        let wrong: [(&str, Change); 23] = [
            ("objective", |s| s.objective.causal = -1.0),
            ("objective", |s| s.objective.whole_answer = f32::NAN),
            ("objective", |s| s.objective.causal = 0.0),
            ("tokens per step", |s| s.tokens_per_step = 0),
            ("tokens per batch", |s| s.tokens_per_batch = 0),
            ("threads", |s| s.threads = 0),
            ("tokens per prompt", |s| s.max_tokens = 0),
            ("8192", |s| s.max_tokens = 8193),
            ("epochs", |s| s.epochs = 0),
            ("epochs", |s| s.max_steps = Some(0)),
            ("learning rate", |s| s.schedule.learning_rate = 0.0),
            ("learning rate", |s| s.schedule.learning_rate = f64::NAN),
            ("warm-up", |s| s.schedule.warmup = 1.0),
            ("clip", |s| s.clip = 0.0),
            ("beta1", |s| s.optimizer.beta1 = 1.0),
            ("beta1", |s| s.optimizer.beta1 = f32::NAN),
            ("beta2", |s| s.optimizer.beta2 = -0.1),
            ("eps", |s| s.optimizer.eps = 0.0),
            ("eps", |s| s.optimizer.eps = f32::INFINITY),
            ("eps", |s| s.optimizer.eps = f32::NAN),
            ("weight decay", |s| s.optimizer.weight_decay = -0.1),
            ("weight decay", |s| s.optimizer.weight_decay = f32::NAN),
            ("weight decay", |s| s.optimizer.weight_decay = f32::INFINITY),
        ];
        for (i, (part, change)) in wrong.into_iter().enumerate() {
            let mut settings = settings(Trained::Head);
            settings.check().unwrap();
            change(&mut settings);
            let message = settings.check().unwrap_err().to_string();
            assert!(message.contains(part), "case {i}: {message}");
        }
        let mut settings = settings(Trained::Head);
        settings.max_tokens = MAX_TOKENS;
        (settings.optimizer.beta1, settings.optimizer.beta2) = (0.0, 0.0);
        settings.check().unwrap();
    }
}
