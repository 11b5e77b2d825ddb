//! Whole runs of a tiny model: what is written down of them, and what they leave.

use super::*;
use crate::data::{Length, Passage};
use crate::network::Lora;
use crate::support::{files, golden, measured, passages, settings, trainer};
use inbedder::{Embedder, LoadOptions, Request};
use std::cell::RefCell;
use tempfile::TempDir;

/// Keeps what it is told.
#[derive(Default)]
struct Kept(RefCell<Vec<ValidationRecord>>);

impl Watch for Kept {
    fn begin(&self, _step: u64, _steps: u64) {}
    fn step(&self, _record: &StepRecord) {}
    fn validated(&self, record: &ValidationRecord) {
        self.0.borrow_mut().push(record.clone());
    }
    fn stop(&self) -> bool {
        false
    }
}

fn care(out: &Path) -> Care {
    Care {
        out: out.to_path_buf(),
        resume: false,
        checkpoint_every: Duration::MAX,
        keep: 1,
        validate_every: 1000,
    }
}

fn base(files: ModelFiles) -> Base {
    Base {
        name: "tiny".to_string(),
        files,
    }
}

fn lora() -> Trained {
    Trained::Lora(Lora {
        rank: 4,
        ..Lora::default()
    })
}

/// Share of right answers, asked one at a time.
fn share_of_right(model: &ModelFiles, adapter: AdapterChoice, passages: &[Passage]) -> f64 {
    let options = LoadOptions {
        adapter,
        ..LoadOptions::default()
    };
    let embedder = Embedder::from_files("tiny", model, &options).unwrap();
    let right = passages.iter().filter(|passage| {
        let question = &passage.questions[0];
        let mut request = Request::new(vec![question.instruction.clone()]);
        request.readout = None;
        request.answer_tokens = Some(8);
        let answers = embedder.run(&[&passage.text], &request, &()).unwrap();
        answers.answers[0].trim() == question.answers[0].trim()
    });
    right.count() as f64 / passages.len() as f64
}

#[test]
fn answers_are_those_of_the_model_as_it_is_whatever_is_trained() {
    let model = files(&golden("gqa_tied"));
    for trained in [lora(), Trained::Head, Trained::All] {
        let dir = TempDir::new().unwrap();
        let out = dir.path().join("out");
        let is_adapter = matches!(trained, Trained::Lora(_));
        if !is_adapter {
            // As a run leaves it that is killed while it looks.
            std::fs::create_dir_all(out.join(".validation/model")).unwrap();
        }
        let mut settings = settings(trained.clone());
        settings.epochs = 20;
        let mut trainer = trainer(&model, settings).unwrap();
        let (held_out, kept) = (measured(&model, passages()), Kept::default());
        let base = base(model.clone());
        let end = run(&mut trainer, &base, &held_out, &care(&out), &kept).unwrap();
        assert_eq!(end, End::Done);
        let (made, adapter) = match is_adapter {
            true => (
                model.clone(),
                AdapterChoice::Reference(out.display().to_string()),
            ),
            false => (files(&out.join("model")), AdapterChoice::None),
        };
        let expected = share_of_right(&made, adapter, &held_out.passages);
        assert!(expected >= 0.5, "{trained:?} learnt {expected}");
        let untrained = share_of_right(&model, AdapterChoice::None, &held_out.passages);
        assert_eq!(untrained, 0.0, "what is asked is not the base");
        let kept = kept.0.into_inner();
        let [record] = &kept[..] else {
            panic!("one look, found {kept:?}");
        };
        assert_eq!(record.exact_match, Some(expected), "{trained:?}");
        assert!(!out.join(".validation").exists());
    }
}

#[test]
fn a_look_that_fails_leaves_no_model() {
    let model = files(&golden("gqa_tied"));
    let dir = TempDir::new().unwrap();
    let mut settings = settings(Trained::Head);
    settings.max_steps = Some(1);
    let mut trainer = trainer(&model, settings).unwrap();
    let mut passage = passages().remove(0);
    passage.questions.clear();
    let held_out = Measured {
        passages: vec![passage],
        lengths: vec![Length::default()],
    };
    let (base, care) = (base(model), care(dir.path()));
    let failed = run(&mut trainer, &base, &held_out, &care, &Kept::default()).unwrap_err();
    assert!(matches!(
        failed,
        Error::Embedder(inbedder::Error::NoQuestion)
    ));
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["metrics.jsonl"]);
}

#[test]
fn a_base_that_could_not_be_written_is_refused_before_the_first_step() {
    let dir = TempDir::new().unwrap();
    let gguf = dir.path().join("llama3.gguf");
    let folder = files(&golden("rope_llama3"));
    inbedder::export::export(&folder, None, &gguf, None).unwrap();
    let model = ModelFiles::Gguf(gguf);
    for trained in [Trained::All, Trained::Head] {
        let mut trainer = trainer(&model, settings(trained)).unwrap();
        let (held_out, care) = (Measured::default(), care(&dir.path().join("out")));
        let base = base(model.clone());
        let refused = run(&mut trainer, &base, &held_out, &care, &Kept::default()).unwrap_err();
        assert!(matches!(refused, Error::Unwritable { .. }), "{refused}");
        assert!(refused.to_string().contains("rope_freqs"), "{refused}");
        assert_eq!(trainer.step(), 0);
        assert!(!care.out.exists());
    }
}

#[test]
fn a_run_without_a_step_is_refused() {
    let model = files(&golden("gqa_tied"));
    let mut data = measured(&model, passages());
    for passage in &mut data.passages {
        passage.weight = 1e-9;
    }
    let checkpoint = inbedder::checkpoint::Checkpoint::open(&model).unwrap();
    let Err(refused) = Trainer::new(checkpoint, settings(lora()), data) else {
        panic!("accepted");
    };
    assert!(refused.to_string().contains("mix: weights"), "{refused}");
}
