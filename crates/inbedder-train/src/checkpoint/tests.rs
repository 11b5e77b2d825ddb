//! Saving and reading back: nothing that can be used is ever removed for what is not there yet.

use super::*;
use crate::network::Trained;
use crate::support::{files, golden, settings, trainer};
use tempfile::TempDir;

fn made() -> (TempDir, Checkpoints, Trainer) {
    let mut settings = settings(Trained::Head);
    settings.max_steps = Some(2);
    let mut trainer = trainer(&files(&golden("gqa_tied")), settings).unwrap();
    trainer.advance().unwrap();
    let identity = Identity {
        base: "base".to_string(),
        data: fingerprint(trainer.data()),
        settings: trainer.settings().clone(),
    };
    let dir = TempDir::new().unwrap();
    let checkpoints = Checkpoints::new(dir.path(), identity);
    checkpoints.save(&trainer, Totals::default(), 1).unwrap();
    (dir, checkpoints, trainer)
}

#[test]
fn a_step_that_is_saved_again_is_left_alone() {
    let (dir, checkpoints, mut trainer) = made();
    let step = dir.path().join("checkpoints/00000001");
    fs::write(step.join("mark"), "").unwrap();
    let later = Totals {
        seconds: 1.0,
        ..Totals::default()
    };
    checkpoints.save(&trainer, later, 1).unwrap();
    assert!(step.join("mark").exists());
    trainer.advance().unwrap();
    checkpoints.save(&trainer, later, 1).unwrap();
    assert_eq!(checkpoints.steps().unwrap(), [2]);
}

#[test]
fn a_checkpoint_that_is_not_whole_or_not_the_same_is_written_again() {
    let (dir, checkpoints, mut trainer) = made();
    let step = dir.path().join("checkpoints/00000001");
    let whole = fs::read(step.join(NUMBERS)).unwrap();
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    for broken in [&whole[..whole.len() / 2], &other[..]] {
        fs::write(step.join(NUMBERS), broken).unwrap();
        checkpoints.save(&trainer, Totals::default(), 1).unwrap();
        assert!(fs::read(step.join(NUMBERS)).unwrap() == whole);
    }
    fs::remove_file(step.join(STATE)).unwrap();
    checkpoints.save(&trainer, Totals::default(), 1).unwrap();
    let before = trainer.parameters().values.clone();
    let totals = checkpoints.resume(&mut trainer).unwrap();
    assert_eq!(totals, Some(Totals::default()));
    assert_eq!(trainer.parameters().values, before);
}

#[test]
fn what_killed_saves_left_is_removed() {
    let (dir, checkpoints, trainer) = made();
    let folder = dir.path().join("checkpoints");
    for name in [".1.partial", ".7.partial"] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join(STATE), "{").unwrap();
    }
    assert_eq!(checkpoints.steps().unwrap(), [1]);
    checkpoints.save(&trainer, Totals::default(), 1).unwrap();
    assert_eq!(checkpoints.names().unwrap(), ["00000001"]);
}

#[test]
fn numbers_of_another_format_are_refused_by_name() {
    let (dir, checkpoints, mut trainer) = made();
    let path = dir.path().join("checkpoints/00000001").join(NUMBERS);
    let bytes = vec![0; 4 * trainer.parameters().len()];
    let views = ["values", "first", "second"].map(|name| {
        let (dtype, width) = match name {
            "second" => (Dtype::BF16, 2),
            _ => (Dtype::F32, 4),
        };
        let view = TensorView::new(dtype, vec![bytes.len() / width], &bytes);
        (name, view.unwrap())
    });
    safetensors::serialize_to_file(views, None, &path).unwrap();
    let message = checkpoints.resume(&mut trainer).unwrap_err().to_string();
    let named = message.contains(NUMBERS) && message.contains("second is BF16");
    assert!(named, "{message}");
}
