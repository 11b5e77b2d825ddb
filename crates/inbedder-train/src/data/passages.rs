//! All questions about a text, together: a passage is read, and back-propagated through, once.

use super::answers::Answers;
use super::mix::{Mix, Row};
use std::collections::HashMap;

/// A text with its questions.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// The text.
    pub text: String,
    /// The source of its first row.
    pub source: Option<String>,
    /// Expected copies in an epoch.
    pub weight: f64,
    /// At least one, in the order of their first rows.
    pub questions: Vec<Question>,
}

impl Passage {
    /// Answers to all questions, each of which is learnt as a row of its own.
    pub fn rows(&self) -> usize {
        self.questions.iter().map(|q| q.answers.len()).sum()
    }
}

/// A question about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The question.
    pub instruction: String,
    /// At least one, as they are learnt: distinct, in the order of the rows.
    pub answers: Vec<String>,
}

/// Puts rows together by text, in the order in which texts first occur. A text of two files is two
/// passages, each with the weight of its file.
///
/// # Panics
/// If a row's file is not of the mix, which `Mix::read` does not give.
pub fn passages(mix: &Mix, rows: Vec<(usize, Row)>, answers: Answers) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut of_text: HashMap<(usize, String), usize> = HashMap::new();
    // [passage] question → place
    let mut of_question: Vec<HashMap<String, usize>> = Vec::new();
    for (file, row) in rows {
        let place = match of_text.get(&(file, row.input.clone())) {
            Some(place) => *place,
            None => {
                of_text.insert((file, row.input.clone()), passages.len());
                of_question.push(HashMap::new());
                passages.push(Passage {
                    text: row.input,
                    source: row.source,
                    weight: mix.files[file].weight,
                    questions: Vec::new(),
                });
                passages.len() - 1
            }
        };
        let questions = &mut passages[place].questions;
        let at = *of_question[place]
            .entry(row.instruction.clone())
            .or_insert(questions.len());
        if at == questions.len() {
            questions.push(Question {
                instruction: row.instruction,
                answers: Vec::new(),
            });
        }
        questions[at].answers.push(row.output);
    }
    for question in passages
        .iter_mut()
        .flat_map(|passage| &mut passage.questions)
    {
        question.answers = answers.write_all(question.answers.iter().map(String::as_str));
    }
    passages
}
