//! What passages cost in tokens, as measured by whoever has the tokenizer.

use super::passages::Passage;

/// A passage's tokens when it is read once with all its questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Length {
    /// What all questions share: the template's head and the text.
    pub text: usize,
    /// `[question]`: what each adds.
    pub questions: Vec<QuestionLength>,
}

/// What a question adds to its passage in tokens: itself, the response marker, the answers and what
/// ends them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuestionLength {
    /// With all its answers.
    pub all: usize,
    /// With its longest answer alone: the text and this are a single prompt.
    pub longest: usize,
}

/// What was too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overlong {
    /// Questions left out.
    pub questions: usize,
    /// Passages left out, all their questions being too long.
    pub passages: usize,
}

impl Length {
    /// Tokens of the text with some of its questions.
    pub(crate) fn of(&self, questions: std::ops::Range<usize>) -> usize {
        self.text
            + self.questions[questions]
                .iter()
                .map(|q| q.all)
                .sum::<usize>()
    }
}

/// Passages with what they cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// The passages.
    pub passages: Vec<Passage>,
    /// `[passage]`: their lengths.
    pub lengths: Vec<Length>,
}

impl Measured {
    /// Counts passages' tokens with `count`.
    ///
    /// # Errors
    /// What `count` fails with.
    pub fn new<E>(
        passages: Vec<Passage>,
        count: impl FnMut(&Passage) -> Result<Length, E>,
    ) -> Result<Self, E> {
        let lengths = passages.iter().map(count).collect::<Result<_, E>>()?;
        Ok(Self { passages, lengths })
    }

    /// Leaves out the questions whose prompt and longest answer have more than `most` tokens. An answer
    /// to a text that was cut may lie in what is gone, so nothing is cut.
    #[must_use]
    pub fn within(self, most: usize) -> (Self, Overlong) {
        let mut kept = Self::default();
        let mut overlong = Overlong::default();
        for (mut passage, mut length) in self.passages.into_iter().zip(self.lengths) {
            let fits: Vec<bool> = length
                .questions
                .iter()
                .map(|question| length.text + question.longest <= most)
                .collect();
            overlong.questions += fits.iter().filter(|fits| !**fits).count();
            retain(&mut passage.questions, &fits);
            retain(&mut length.questions, &fits);
            if passage.questions.is_empty() {
                overlong.passages += 1;
            } else {
                kept.passages.push(passage);
                kept.lengths.push(length);
            }
        }
        (kept, overlong)
    }
}

fn retain<T>(things: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    things.retain(|_| keep.next().is_some_and(|keep| *keep));
}
