//! Rewordings of a question that leave its meaning alone, by rule: a fixed list of frames, so that the
//! same question is always reworded the same way and no model has a say in how a model is judged.
//! Better ones can be given by hand.

use crate::{Error, Result};

/// Frames, the question at `{}`.
const FRAMES: [&str; 8] = [
    "Read the text and answer: {}",
    "{} Answer in a few words.",
    "According to the text: {}",
    "Question about the text above: {}",
    "{} Give a short answer.",
    "Please tell me: {}",
    "{} Base the answer on the text.",
    "I would like to know the following. {}",
];

/// How many rewordings there are.
pub const REWORDINGS: usize = FRAMES.len();

/// The first `count` rewordings of a question.
///
/// # Errors
/// [`Error::Setting`] for more than [`REWORDINGS`].
pub fn rewordings(question: &str, count: usize) -> Result<Vec<String>> {
    if count > REWORDINGS {
        return Err(Error::Setting {
            what: "the number of paraphrases",
            problem: format!("{count} is more than the {REWORDINGS} that there are rules for"),
        });
    }
    let frames = FRAMES[..count].iter();
    Ok(frames.map(|frame| frame.replace("{}", question)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewordings_hold_the_question_and_differ() {
        let all = rewordings("What is it {}?", REWORDINGS).unwrap();
        assert!(all.iter().all(|w| w.contains("What is it {}?")), "{all:?}");
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), REWORDINGS);
        assert!(rewordings("a", REWORDINGS + 1).is_err());
    }
}
