//! All texts of an input with their vectors and answers: clustering wants them together.

use super::super::each_window;
use super::View;
use crate::embeddings::Embeddings;
use crate::error::{Error, Result};
use crate::input::{Input, Window};
use crate::output::{TableTarget, carried};
use arrow_array::{ArrayRef, Float32Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field};
use inbedder::{Embedder, Request};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Texts read at a time.
const STEP: usize = 1024;

pub(super) struct Corpus {
    windows: Vec<Window>,
    pub(super) questions: usize,
    pub(super) dim: usize,
    /// `[text][question][dim]`.
    pub(super) vectors: Vec<f32>,
    /// `[text][question]`, if there are answers.
    answers: Option<Vec<String>>,
}

impl Corpus {
    /// Embeds all texts.
    pub(super) fn embed(
        input: &Input,
        embedder: &Embedder,
        request: &Request,
        quiet: bool,
    ) -> Result<Self> {
        let mut corpus = Self {
            windows: Vec::new(),
            questions: request.questions.len(),
            dim: embedder.info().hidden_size,
            vectors: Vec::new(),
            answers: request.answer_tokens.map(|_| Vec::new()),
        };
        each_window(embedder, input, request, quiet, None, |window, output| {
            corpus.windows.push(Window {
                texts: window.texts.clone(),
                carried: window.carried.clone(),
            });
            corpus.vectors.extend_from_slice(&output.embeddings);
            if let Some(answers) = &mut corpus.answers {
                answers.extend_from_slice(&output.answers);
            }
            Ok(())
        })?;
        Ok(corpus)
    }

    /// Takes vectors that are there.
    pub(super) fn of_embeddings(input: &Input, path: &Path, read: Embeddings) -> Result<Self> {
        let windows: Vec<Window> = input.windows(STEP)?.collect::<Result<_>>()?;
        let texts = windows.iter().flat_map(|window| &window.texts);
        let texts: Vec<&str> = texts.map(String::as_str).collect();
        read.expect_texts(path, &texts)?;
        Ok(Self {
            windows,
            questions: read.questions,
            dim: read.dim,
            vectors: read.vectors,
            answers: read.answers,
        })
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let windows = self.windows.iter();
        windows.flat_map(|window| window.texts.iter().map(String::as_str))
    }

    /// The answers to one question.
    pub(super) fn answers(&self, question: usize) -> Option<Vec<String>> {
        let answers = self.answers.as_ref()?.iter();
        Some(
            answers
                .skip(question)
                .step_by(self.questions)
                .cloned()
                .collect(),
        )
    }

    /// A field of every row, as text.
    ///
    /// # Errors
    /// No such field, or a row without it, by its number.
    pub(super) fn labels(&self, input: &Path, field: &str) -> Result<Vec<String>> {
        let known = self.windows.first().is_some_and(|window| {
            let schema = window.carried.schema();
            schema.column_with_name(field).is_some()
        });
        if !known {
            let problem = format!("no field {field:?} for --labels");
            return Err(Error::input(input, 0, problem));
        }
        let mut labels = Vec::new();
        for window in &self.windows {
            for row in carried(window).map_err(|cause| Error::input(input, 0, cause))? {
                match row.get(field) {
                    Some(Value::String(label)) if !label.is_empty() => labels.push(label.clone()),
                    None | Some(Value::Null | Value::String(_)) => {
                        let problem = format!(
                            "text {} has no label: field {field:?} is empty or missing",
                            labels.len() + 1
                        );
                        return Err(Error::input(input, 0, problem));
                    }
                    Some(other) => labels.push(other.to_string()),
                }
            }
        }
        if labels.iter().all(|label| *label == labels[0]) {
            tracing::warn!(
                "all texts have the label {:?}: homogeneity is 1 and ARI says nothing",
                labels[0]
            );
        }
        Ok(labels)
    }

    /// Writes the input's columns with the clusters beside them.
    pub(super) fn write(&self, target: &TableTarget, input: &Input, views: &[View]) -> Result<()> {
        let mut fields = Vec::new();
        for question in 0..views.len() {
            let named = |name: &str| match views.len() {
                1 => name.to_string(),
                _ => format!("{name}_{}", question + 1),
            };
            fields.push(Field::new(named("cluster"), DataType::Int64, false));
            fields.push(Field::new(named("cluster_name"), DataType::Utf8, true));
            fields.push(Field::new(named("distance"), DataType::Float32, true));
            if self.answers.is_some() {
                fields.push(Field::new(named("answer"), DataType::Utf8, false));
            }
        }
        let mut table = target.begin(input.text_field(), &input.carried, &fields)?;
        let mut first = 0;
        for window in &self.windows {
            let rows = first..first + window.texts.len();
            first = rows.end;
            let mut columns: Vec<ArrayRef> = Vec::new();
            for (question, view) in views.iter().enumerate() {
                let labels = &view.found.partition.labels()[rows.clone()];
                let number = |label: &Option<usize>| label.map_or(-1, |label| label as i64);
                let numbers = Int64Array::from_iter_values(labels.iter().map(number));
                columns.push(Arc::new(numbers));
                let names = labels.iter().map(|label| Some(view.name((*label)?)));
                columns.push(Arc::new(names.collect::<StringArray>()));
                let distances = view.distances[rows.clone()].iter().copied();
                columns.push(Arc::new(distances.collect::<Float32Array>()));
                if let Some(answers) = &self.answers {
                    let own = rows
                        .clone()
                        .map(|row| &answers[row * self.questions + question]);
                    columns.push(Arc::new(StringArray::from_iter_values(own)));
                }
            }
            table.write(window, columns)?;
        }
        table.finish()
    }
}
