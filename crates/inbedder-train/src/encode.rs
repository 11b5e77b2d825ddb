//! From passages to token ids: the prompts that inference asks, and the answers behind them.

use crate::Result;
use crate::data::dump::Row;
use crate::data::{Length, Passage, Question, QuestionLength, bag};
use inbedder::tokenizer::Tokenizer;
use inbedder::{Renderer, Template, Truncate};
use std::ops::Range;

/// Encodes passages for one model and template.
#[derive(Clone, Copy)]
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    template: &'a Template,
    /// The token that ends an answer.
    end: u32,
}

impl<'a> Encoder<'a> {
    /// # Errors
    /// A model whose tokenizer names no token that ends an answer.
    pub fn new(tokenizer: &'a Tokenizer, template: &'a Template) -> Result<Self> {
        let Some(end) = tokenizer.eos_ids().first().copied() else {
            let problem = "its tokenizer names no token that ends an answer".to_string();
            return Err(crate::Error::Setting {
                what: "model",
                problem,
            });
        };
        Ok(Self {
            tokenizer,
            template,
            end,
        })
    }

    /// Some questions of a passage, a row per answer. A question's bag is with its first answer.
    ///
    /// # Errors
    /// What cannot be encoded.
    pub fn rows(&self, passage: &Passage, questions: Range<usize>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for question in &passage.questions[questions] {
            let prompt_ids = self.prompt(&passage.text, question)?;
            for (i, answer) in question.answers.iter().enumerate() {
                let mut answer_ids = self.tokenizer.encode(answer)?.ids;
                answer_ids.push(self.end);
                let bag = match i {
                    0 => bag(&question.answers, |word| {
                        Ok::<_, inbedder::Error>(self.tokenizer.encode(word)?.ids)
                    })?,
                    _ => Vec::new(),
                };
                rows.push(Row {
                    prompt_ids: prompt_ids.clone(),
                    answer_ids,
                    bag,
                });
            }
        }
        Ok(rows)
    }

    /// What a passage costs.
    ///
    /// # Errors
    /// What cannot be encoded.
    pub fn length(&self, passage: &Passage) -> Result<Length> {
        let prompts = passage.questions.iter();
        let prompts: Vec<Vec<u32>> = prompts
            .map(|question| self.prompt(&passage.text, question))
            .collect::<Result<_>>()?;
        let shared = match &prompts[..] {
            [only] => only.len(),
            _ => prompts
                .windows(2)
                .map(|pair| common(&pair[0], &pair[1]))
                .min()
                .unwrap_or(0),
        };
        let questions = passage.questions.iter().zip(&prompts);
        let questions = questions
            .map(|(question, prompt)| {
                let answers = question.answers.iter();
                let lengths: Vec<usize> = answers
                    .map(|answer| Ok(self.tokenizer.encode(answer)?.ids.len()))
                    .collect::<Result<_>>()?;
                let own = prompt.len() - shared;
                Ok(QuestionLength {
                    all: own + lengths.iter().sum::<usize>(),
                    longest: own + lengths.iter().max().unwrap_or(&0),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Length {
            text: shared,
            questions,
        })
    }

    fn prompt(&self, text: &str, question: &Question) -> Result<Vec<u32>> {
        let renderer = Renderer {
            tokenizer: self.tokenizer,
            template: self.template,
            truncate: Truncate::Text,
            // Passages that are too long are left out, not cut; see `data::Measured::within`.
            max_tokens: inbedder::MAX_TOKENS,
        };
        Ok(renderer.render(text, &question.instruction)?.ids)
    }
}

/// Length of the longest common beginning.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Batch, Scale};
    use inbedder::checkpoint::Checkpoint;
    use inbedder::source::ModelFiles;
    use std::path::Path;

    fn checkpoint() -> Checkpoint {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/llama/gqa_tied");
        let files = ModelFiles::Folder {
            config: folder.join("config.json"),
            tokenizer: folder.join("tokenizer.json"),
            weights: vec![folder.join("model.safetensors")],
        };
        Checkpoint::open(&files).unwrap()
    }

    fn passage(questions: &[(&str, &[&str])]) -> Passage {
        let questions = questions.iter().map(|(instruction, answers)| Question {
            instruction: instruction.to_string(),
            answers: answers.iter().map(|answer| answer.to_string()).collect(),
        });
        Passage {
            text: "The cat sat on the mat and was glad.".to_string(),
            source: None,
            weight: 1.0,
            questions: questions.collect(),
        }
    }

    #[test]
    fn a_passage_costs_the_tokens_that_its_plan_reads() {
        let checkpoint = checkpoint();
        let template = Template::default();
        let encoder = Encoder::new(checkpoint.tokenizer(), &template).unwrap();
        let asked: [&[(&str, &[&str])]; 3] = [
            &[("Who?", &[" cat"])],
            &[
                ("Who?", &[" cat", " a mat"]),
                ("How does it feel?", &[" glad"]),
            ],
            &[
                ("Where is it?", &[" mat"]),
                ("Who?", &[" cat"]),
                ("Was it glad?", &[" no"]),
            ],
        ];
        for questions in asked {
            let passage = passage(questions);
            let rows = encoder.rows(&passage, 0..questions.len()).unwrap();
            let scale = Scale {
                causal: 1.0,
                whole_answer: 0.0,
                contrast: 0.0,
                cosine: 0.0,
            };
            let length = encoder.length(&passage).unwrap();
            let read = Batch::new(&rows, scale).plan.rows();
            // Questions and answers may begin alike beyond what all have in common.
            let cost = length.of(0..questions.len());
            assert!(cost >= read && cost - read <= 4, "{cost} for {read}");
            let end = checkpoint.tokenizer().eos_ids()[0];
            assert!(rows.iter().all(|row| row.answer_ids.last() == Some(&end)));
            let bags = rows.iter().filter(|row| !row.bag.is_empty()).count();
            assert_eq!(bags, questions.len(), "one bag per question");
        }
    }
}
