//! For tests of whole runs: a tiny model, and passages that it learns a part of in a few steps.

use crate::data::{Answers, Measured, Passage, Question};
use crate::network::Trained;
use crate::optimizer::AdamW;
use crate::schedule::Schedule;
use crate::{Objective, Result, Settings, Trainer, measure};
use inbedder::checkpoint::Checkpoint;
use inbedder::source::ModelFiles;
use std::path::{Path, PathBuf};

/// A folder of `golden/llama`.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden/llama")
        .join(name)
}

/// The files of a model's folder.
pub(crate) fn files(folder: &Path) -> ModelFiles {
    ModelFiles::Folder {
        config: folder.join("config.json"),
        tokenizer: folder.join("tokenizer.json"),
        weights: vec![folder.join("model.safetensors")],
    }
}

/// Twelve texts with a question each, to which `yes` is right nine times.
pub(crate) fn passages() -> Vec<Passage> {
    let passages = (0..12).map(|i| Passage {
        text: format!("Number {i}: the cat is on the mat today."),
        source: None,
        weight: 1.0,
        questions: vec![Question {
            instruction: "Is it there?".to_string(),
            answers: vec![if i % 4 == 0 { " no" } else { " yes" }.to_string()],
        }],
    });
    passages.collect()
}

/// Two steps an epoch.
pub(crate) fn settings(trained: Trained) -> Settings {
    Settings {
        trained,
        objective: Objective::default(),
        answers: Answers::default(),
        template: "inbedder".to_string(),
        max_tokens: 512,
        tokens_per_step: 400,
        tokens_per_batch: 200,
        epochs: 1,
        max_steps: None,
        schedule: Schedule {
            learning_rate: 0.01,
            ..Schedule::default()
        },
        optimizer: AdamW::default(),
        clip: 1.0,
        seed: 42,
        precision: "f32".to_string(),
        threads: 2,
    }
}

/// What some passages cost that model.
pub(crate) fn measured(model: &ModelFiles, passages: Vec<Passage>) -> Measured {
    let checkpoint = Checkpoint::open(model).unwrap();
    let template = inbedder::Template::default();
    measure(&checkpoint, &template, passages, 512).unwrap().0
}

/// A trainer of a model on [`passages`].
pub(crate) fn trainer(model: &ModelFiles, settings: Settings) -> Result<Trainer> {
    let data = measured(model, passages());
    Trainer::new(Checkpoint::open(model)?, settings, data)
}
