//! The formats that `embed` writes, read back.

use super::{Embeddings, instructions};
use crate::error::{Error, Result};
use crate::output::{Pairs, jsonl, parquet};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use serde_json::Value;
use std::io::BufRead;
use std::path::Path;

/// Rows that come one by one, a row per text and question.
struct Gathered<'a> {
    path: &'a Path,
    instructions: Vec<String>,
    dim: usize,
    row: usize,
    vectors: Vec<f32>,
    texts: Vec<String>,
    answers: Vec<String>,
}

/// One row.
struct Row<'a> {
    text: &'a str,
    instruction: &'a str,
    answer: Option<&'a str>,
}

impl<'a> Gathered<'a> {
    fn new(path: &'a Path, metadata: &Pairs) -> Result<Self> {
        let dim = metadata.get("dim").and_then(|dim| dim.parse().ok());
        let Some(dim) = dim.filter(|dim| *dim > 0) else {
            let problem = "does not say how long its vectors are";
            return Err(Error::input(path, 0, problem));
        };
        let instructions = instructions(path, metadata)?;
        if instructions.is_empty() {
            return Err(Error::input(path, 0, "is of no question"));
        }
        Ok(Self {
            path,
            instructions,
            dim,
            row: 0,
            vectors: Vec::new(),
            texts: Vec::new(),
            answers: Vec::new(),
        })
    }

    fn wrong(&self, problem: impl ToString) -> Error {
        Error::input(self.path, self.row as u64, problem)
    }

    /// Takes a row; `vector` has been added to the vectors.
    fn push(&mut self, row: Row<'_>) -> Result<()> {
        let question = self.row % self.instructions.len();
        self.row += 1;
        if self.vectors.len() != self.row * self.dim {
            let found = self.vectors.len() + self.dim - self.row * self.dim;
            return Err(self.wrong(format!("has a vector of {found}, expected {}", self.dim)));
        }
        let vector = &self.vectors[(self.row - 1) * self.dim..];
        if let Some(value) = vector.iter().find(|value| !value.is_finite()) {
            return Err(self.wrong(format!("its vector holds {value}")));
        }
        if row.instruction != self.instructions[question] {
            let problem = format!(
                "is of the question {:?}, expected {:?}",
                row.instruction, self.instructions[question]
            );
            return Err(self.wrong(problem));
        }
        if question == 0 {
            self.texts.push(row.text.to_string());
        } else if self.texts.last().is_none_or(|text| text != row.text) {
            return Err(self.wrong("is of another text than the row before it"));
        }
        self.answers.extend(row.answer.map(str::to_string));
        Ok(())
    }

    fn finish(self, metadata: Pairs) -> Result<Embeddings> {
        let questions = self.instructions.len();
        if !self.row.is_multiple_of(questions) {
            return Err(self.wrong("is the last row, and a question's row is missing"));
        }
        if !self.answers.is_empty() && self.answers.len() != self.row {
            return Err(self.wrong("some rows have an answer and others none"));
        }
        Ok(Embeddings {
            metadata: Some(metadata),
            questions,
            instructions: Some(self.instructions),
            dim: self.dim,
            vectors: self.vectors,
            texts: Some(self.texts),
            answers: (!self.answers.is_empty()).then_some(self.answers),
        })
    }
}

pub(super) fn jsonl(path: &Path, text_field: &str) -> Result<Embeddings> {
    let metadata = jsonl::metadata(path)?;
    let mut gathered = Gathered::new(path, &metadata)?;
    for (number, line) in jsonl::open(path)?.lines().enumerate() {
        let at = number as u64 + 1;
        let line = line.map_err(|cause| Error::input(path, at, cause))?;
        let row: Value =
            serde_json::from_str(&line).map_err(|cause| Error::input(path, at, cause))?;
        let text = |name: &str| row[name].as_str();
        let missing = |name: &str| {
            let problem = format!("has no field {name:?} with a string");
            Error::input(path, at, problem)
        };
        let Some(vector) = row["embedding"].as_array() else {
            let problem = "has no embedding: it is no output of inbedder embed";
            return Err(Error::input(path, at, problem));
        };
        // What is no number (embed writes null for it) is refused as NaN.
        let numbers = vector
            .iter()
            .map(|v| v.as_f64().map_or(f32::NAN, |v| v as f32));
        gathered.vectors.extend(numbers);
        gathered.push(Row {
            text: text(text_field).ok_or_else(|| missing(text_field))?,
            instruction: text("instruction").ok_or_else(|| missing("instruction"))?,
            answer: text("answer"),
        })?;
    }
    gathered.finish(metadata)
}

pub(super) fn parquet(path: &Path, text_field: &str) -> Result<Embeddings> {
    let metadata = parquet::metadata(path)?;
    let mut gathered = Gathered::new(path, &metadata)?;
    let reader = parquet::open(path)?.build();
    let reader = reader.map_err(|cause| Error::input(path, 0, cause))?;
    for batch in reader {
        let batch = batch.map_err(|cause| Error::input(path, 0, cause))?;
        let texts = strings(path, &batch, text_field)?;
        let asked = strings(path, &batch, "instruction")?;
        let answers = match batch.column_by_name("answer") {
            Some(_) => Some(strings(path, &batch, "answer")?),
            None => None,
        };
        let list = batch.column_by_name("embedding");
        let list = list.and_then(|column| column.as_fixed_size_list_opt());
        let Some(list) = list else {
            let problem = "has no column embedding of vectors: it is no output of inbedder embed";
            return Err(Error::input(path, 0, problem));
        };
        for i in 0..batch.num_rows() {
            let vector = list.value(i);
            let numbers = vector.as_primitive_opt::<Float32Type>();
            let numbers = numbers.map_or(&[][..], |numbers| numbers.values());
            gathered.vectors.extend_from_slice(numbers);
            gathered.push(Row {
                text: texts.value(i),
                instruction: asked.value(i),
                answer: answers.map(|answers| answers.value(i)),
            })?;
        }
    }
    gathered.finish(metadata)
}

fn strings<'a>(
    path: &Path,
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow_array::StringArray> {
    let column = batch.column_by_name(name);
    let column = column.and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| Error::input(path, 0, format!("has no column {name:?} of strings")))
}

/// Numbers with the shape `[text, dim]` or `[question, text, dim]`, as `[text][question][dim]`.
fn matrix(path: &Path, shape: &[usize], numbers: &[f32]) -> Result<Embeddings> {
    let (questions, texts, dim) = match *shape {
        [texts, dim] => (1, texts, dim),
        [questions, texts, dim] => (questions, texts, dim),
        _ => (0, 0, 0),
    };
    if questions * texts * dim == 0 {
        let problem =
            format!("has the shape {shape:?}, expected texts × dimensions, or questions in front");
        return Err(Error::input(path, 0, problem));
    }
    if let Some(at) = numbers.iter().position(|value| !value.is_finite()) {
        let problem = format!("vector {} holds {}", at / dim + 1, numbers[at]);
        return Err(Error::input(path, 0, problem));
    }
    let mut vectors = Vec::with_capacity(numbers.len());
    for text in 0..texts {
        for question in 0..questions {
            vectors.extend_from_slice(&numbers[(question * texts + text) * dim..][..dim]);
        }
    }
    Ok(Embeddings {
        metadata: None,
        instructions: None,
        questions,
        dim,
        vectors,
        texts: None,
        answers: None,
    })
}

pub(super) fn npy(path: &Path) -> Result<Embeddings> {
    let failed = |cause: candle_core::Error| Error::input(path, 0, cause);
    // The reader wants a file that is there.
    std::fs::metadata(path).map_err(|cause| Error::input(path, 0, cause))?;
    let tensor = candle_core::Tensor::read_npy(path).map_err(failed)?;
    if tensor.dtype() != candle_core::DType::F32 {
        let problem = format!("holds {:?}, expected 32-bit floats", tensor.dtype());
        return Err(Error::input(path, 0, problem));
    }
    let numbers = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
    matrix(path, tensor.dims(), &numbers.map_err(failed)?)
}

pub(super) fn safetensors(path: &Path) -> Result<Embeddings> {
    let metadata = safetensors_metadata(path)?;
    let bytes = std::fs::read(path).map_err(|cause| Error::input(path, 0, cause))?;
    let failed = |cause| Error::input(path, 0, cause);
    let file = safetensors::SafeTensors::deserialize(&bytes).map_err(failed)?;
    let tensor = file.tensor("embeddings").map_err(failed)?;
    if tensor.dtype() != safetensors::Dtype::F32 {
        let problem = format!("holds {:?}, expected F32", tensor.dtype());
        return Err(Error::input(path, 0, problem));
    }
    let (chunks, _) = tensor.data().as_chunks::<4>();
    let numbers: Vec<f32> = chunks
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let mut found = matrix(path, tensor.shape(), &numbers)?;
    let instructions = instructions(path, &metadata)?;
    if instructions.len() != found.questions {
        let problem = "has more or fewer matrices than questions";
        return Err(Error::input(path, 0, problem));
    }
    found.instructions = Some(instructions);
    found.metadata = Some(metadata);
    Ok(found)
}

pub(super) fn safetensors_metadata(path: &Path) -> Result<Pairs> {
    let bytes = std::fs::read(path).map_err(|cause| Error::input(path, 0, cause))?;
    let header = safetensors::SafeTensors::read_metadata(&bytes);
    let (_, header) = header.map_err(|cause| Error::input(path, 0, cause))?;
    let pairs = header.metadata().clone().unwrap_or_default();
    Ok(pairs.into_iter().collect())
}
