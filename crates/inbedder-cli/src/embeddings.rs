//! Vectors of an earlier `embed`, read back for the texts that they are of.
//!
//! All that the file says of itself is held against what is asked now: a vector of another model,
//! question, readout or text must never pass for one of these. A .npy file says nothing but its shape.

mod read;

use crate::error::{Error, Result};
use crate::output::{Format, Metadata, Pairs, jsonl, parquet};
use inbedder_cluster::Centering;
use std::path::Path;

/// What a file of embeddings holds.
pub(crate) struct Embeddings {
    /// How they came about; none of a .npy file.
    pub(crate) metadata: Option<Pairs>,
    /// `[question]`, if they are known.
    pub(crate) instructions: Option<Vec<String>>,
    pub(crate) questions: usize,
    pub(crate) dim: usize,
    /// `[text][question][dim]`.
    pub(crate) vectors: Vec<f32>,
    /// `[text]`, where the file has the texts.
    texts: Option<Vec<String>>,
    /// `[text][question]`, where the file has answers.
    pub(crate) answers: Option<Vec<String>>,
}

impl Embeddings {
    /// Reads a file by its extension; `text_field` is the name of the text's column.
    ///
    /// # Errors
    /// A file that is no output of embed, or damaged, by name and row.
    pub(crate) fn read(path: &Path, text_field: &str) -> Result<Self> {
        match Format::of(path).ok_or_else(|| unknown(path))? {
            Format::Parquet => read::parquet(path, text_field),
            Format::Jsonl => read::jsonl(path, text_field),
            Format::Npy => read::npy(path),
            Format::Safetensors => read::safetensors(path),
        }
    }

    /// Checks that these are the vectors of these texts.
    ///
    /// # Errors
    /// Another number of texts, or other texts, by row.
    pub(crate) fn expect_texts(&self, path: &Path, texts: &[&str]) -> Result<()> {
        let found = self.vectors.len() / (self.dim * self.questions).max(1);
        if found != texts.len() {
            let problem = format!(
                "holds vectors of {found} texts, the input has {}: it is not of this input",
                texts.len()
            );
            return Err(Error::input(path, 0, problem));
        }
        let own = self.texts.iter().flatten();
        match own.zip(texts).position(|(own, text)| own != text) {
            Some(at) => {
                let problem = format!(
                    "text {} is another than in the input: the texts have changed, or their order",
                    at + 1
                );
                Err(Error::input(path, 0, problem))
            }
            None => Ok(()),
        }
    }

    /// Leaves the questions that are asked, in their order.
    ///
    /// # Errors
    /// A question that is not in the file; for a file that does not tell its questions, another
    /// number of them.
    pub(crate) fn choose(&mut self, path: &Path, questions: &[String]) -> Result<()> {
        let Some(instructions) = &self.instructions else {
            if self.questions == questions.len() {
                return Ok(());
            }
            let problem = format!(
                "holds vectors of {} questions, and {} are asked",
                self.questions,
                questions.len()
            );
            return Err(Error::input(path, 0, problem));
        };
        let places = places(path, instructions, questions)?;
        let (dim, all) = (self.dim, self.questions);
        if places.iter().copied().eq(0..all) {
            return Ok(());
        }
        let texts = self.vectors.chunks_exact(dim * all);
        let chosen = texts.flat_map(|text| places.iter().flat_map(|q| &text[q * dim..][..dim]));
        self.vectors = chosen.copied().collect();
        if let Some(answers) = &mut self.answers {
            let texts = answers.chunks_exact(all);
            let chosen = texts.flat_map(|text| places.iter().map(|q| text[*q].clone()));
            *answers = chosen.collect();
        }
        self.questions = questions.len();
        self.instructions = Some(questions.to_vec());
        Ok(())
    }
}

/// Where each question stands among the instructions of a file.
fn places(path: &Path, instructions: &[String], questions: &[String]) -> Result<Vec<usize>> {
    let place = |question: &String| {
        let place = instructions.iter().position(|own| own == question);
        place.ok_or_else(|| {
            let problem = format!(
                "was not made with the question {question:?}; it has: {}",
                instructions.join(", ")
            );
            Error::input(path, 0, problem)
        })
    };
    questions.iter().map(place).collect()
}

/// Checks that vectors with this metadata can stand beside vectors with that.
///
/// # Errors
/// The first of model, adapter, template, truncation, prompt length, readout, layer, scaling and
/// dimension in which they differ.
pub(crate) fn expect_same(path: &Path, found: &Pairs, expected: &Metadata) -> Result<()> {
    let expected: Pairs = expected.pairs().into_iter().collect();
    for (field, flag) in [
        ("sha256", "--model"),
        ("adapter_sha256", "--adapter"),
        ("template", "--template"),
        ("truncate", "--truncate"),
        ("max_tokens", "--max-tokens"),
        ("readout", "--readout"),
        ("layer", "--layer"),
        ("normalize", "--normalize"),
        ("dim", "--model"),
    ] {
        let shown = |pairs: &Pairs| {
            let value = pairs.get(field).map_or("nothing", String::as_str);
            let model = pairs.get("model").filter(|_| field == "sha256");
            model.map_or(format!("{field} {value}"), |name| {
                format!("model {name} ({field} {value})")
            })
        };
        if found.get(field) != expected.get(field) {
            let problem = format!(
                "was made otherwise than is asked: {} there, {} here; see {flag}",
                shown(found),
                shown(&expected)
            );
            return Err(Error::input(path, 0, problem));
        }
    }
    Ok(())
}

/// The means that an output was centred with, for these questions.
///
/// # Errors
/// A file without means, of another model, or without one of the questions.
pub(crate) fn centering(path: &Path, expected: &Metadata) -> Result<Centering> {
    let pairs = metadata(path)?.unwrap_or_default();
    let Some(means) = pairs.get("center_means") else {
        let problem = "holds no means: it was not made with --center";
        return Err(Error::input(path, 0, problem));
    };
    expect_same(path, &pairs, expected)?;
    let means: Vec<Vec<f32>> =
        serde_json::from_str(means).map_err(|cause| Error::input(path, 0, cause))?;
    let instructions = instructions(path, &pairs)?;
    let places = places(path, &instructions, &expected.instructions)?;
    let chosen = places
        .into_iter()
        .filter_map(|place| means.get(place).cloned());
    let chosen: Vec<Vec<f32>> = chosen.collect();
    let whole = chosen.len() == expected.instructions.len();
    if !whole || chosen.iter().any(|mean| mean.len() != expected.dim) {
        let problem = "its means are not one for each question: it is damaged";
        return Err(Error::input(path, 0, problem));
    }
    Ok(Centering::from_means(chosen)?)
}

/// The metadata of an output, if its format has any.
fn metadata(path: &Path) -> Result<Option<Pairs>> {
    match Format::of(path).ok_or_else(|| unknown(path))? {
        Format::Parquet => parquet::metadata(path).map(Some),
        Format::Jsonl => jsonl::metadata(path).map(Some),
        Format::Safetensors => read::safetensors_metadata(path).map(Some),
        Format::Npy => Ok(None),
    }
}

fn instructions(path: &Path, metadata: &Pairs) -> Result<Vec<String>> {
    let list = metadata
        .get("instructions")
        .map(|text| serde_json::from_str(text));
    match list {
        Some(Ok(list)) => Ok(list),
        _ => {
            let problem =
                "does not say which questions it is of: it is no output of inbedder embed";
            Err(Error::input(path, 0, problem))
        }
    }
}

fn unknown(path: &Path) -> Error {
    let problem =
        "unknown extension: expected an output of embed (.parquet, .jsonl, .npy, .safetensors)";
    Error::input(path, 0, problem)
}
