//! What becomes of files of rows on their way to passages and a validation set, with the time of each step.
//!
//! ```sh
//! cargo run --release -p inbedder-train --example data -- qa.jsonl.zst eval babi,privacy_yesno validation
//! ```
//! Arguments: files with weights (`a.jsonl=2,b.jsonl`), a folder of texts to leave out, sources to leave out,
//! and the folder that the validation set is written to.

use inbedder_train::data::{
    Answers, Exclusion, HeldOut, Mix, OnExcluded, Sources, Split, Validation, ValidationSize,
    passages,
};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [files, exclude, without, out] = &args[..] else {
        return Err("expected FILES EXCLUDE SOURCES OUT".into());
    };
    let list = |names: &str| names.split(',').map(str::to_string).collect();
    let start = Instant::now();
    let done = |what: &str| println!("{:6.2} s  {what}", start.elapsed().as_secs_f64());
    let exclusion = Exclusion::read(Path::new(exclude))?;
    done(&format!("{} strings to leave out", exclusion.len()));
    let mix = Mix {
        files: files.split(',').map(str::parse).collect::<Result<_, _>>()?,
        sources: Sources {
            only: None,
            without: list(without),
        },
        exclusion: Some(exclusion),
        on_excluded: OnExcluded::Drop,
    };
    let (rows, counts) = mix.read()?;
    done(&format!("{counts:?}"));
    let passages = passages(&mix, rows, Answers::default());
    let questions = || passages.iter().flat_map(|passage| &passage.questions);
    let words = questions().flat_map(|question| &question.answers);
    let words: Vec<usize> = words
        .map(|answer| answer.split_whitespace().count())
        .collect();
    let mean = words.iter().sum::<usize>() as f64 / words.len() as f64;
    done(&format!(
        "{} passages, {} questions, {} answers of {mean:.2} words",
        passages.len(),
        questions().count(),
        words.len()
    ));
    let split = Split {
        held_out: HeldOut::Share(0.05),
        seed: 1,
    };
    let (learnt, held) = split.apply(passages);
    done(&format!(
        "{} to learn from, {} held out",
        learnt.len(),
        held.len()
    ));
    let validation = Validation::new(&held, ValidationSize::default(), 1);
    done(&format!(
        "triplets: {} of one question, {} of two, {} of joined texts",
        validation.answers.len(),
        validation.questions.len(),
        validation.joined.len()
    ));
    validation.write(Path::new(out))?;
    Ok(())
}
