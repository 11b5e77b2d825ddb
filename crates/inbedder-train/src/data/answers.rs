//! Answers as they are learnt: short, and told apart by their first token.

use super::text::normal_answer;
use inbedder::stop_words::{is_negation, is_stop_word};

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Answers {
    /// Stop-words are taken out, as the method's authors do; negations stay, and so does an answer that
    /// would lose all its words.
    pub without_stop_words: bool,
    /// A space in front, so that the first word is the token that it is within a sentence. The authors
    /// have none.
    pub leading_space: bool,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            without_stop_words: true,
            leading_space: true,
        }
    }
}

impl Answers {
    /// An answer as it is learnt, without what ends it: a token of the model's own, which no text can say.
    ///
    /// ```
    /// use inbedder_train::data::Answers;
    /// assert_eq!(Answers::default().write("They did not like the food."), " not like food.");
    /// assert_eq!(Answers::default().write("he is"), " he is");
    /// ```
    pub fn write(&self, answer: &str) -> String {
        let mut words: Vec<&str> = answer.split_whitespace().collect();
        if self.without_stop_words {
            let kept: Vec<&str> = words.iter().copied().filter(|word| carries(word)).collect();
            if !kept.is_empty() {
                words = kept;
            }
        }
        let space = if self.leading_space { " " } else { "" };
        format!("{space}{}", words.join(" "))
    }

    /// Answers as they are learnt, each once, whatever its case and signs; the first of equals stays.
    pub(super) fn write_all<'a>(&self, answers: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let written = answers.into_iter().map(|answer| self.write(answer));
        written
            .filter(|answer| seen.insert(normal_answer(answer)))
            .collect()
    }
}

/// Whether a word of an answer says something. Signs alone (a dash between words) do not.
fn carries(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    is_negation(bare) || !(bare.is_empty() || is_stop_word(bare))
}
