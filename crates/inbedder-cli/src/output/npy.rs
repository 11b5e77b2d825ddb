//! Vectors alone: NumPy's `.npy` and safetensors. Both are a header and then all numbers of one
//! matrix, texts × dimensions, or questions × texts × dimensions for several questions.

use super::{Plan, Unfinished, Writer};
use crate::error::{Error, Result};
use crate::input::Window;
use std::io::{Seek, SeekFrom, Write};

pub(super) struct MatrixWriter {
    target: Unfinished,
    /// Bytes in front of the numbers.
    header: u64,
    questions: usize,
    texts: usize,
    dim: usize,
    written: usize,
}

impl MatrixWriter {
    pub(super) fn npy(target: Unfinished, plan: &Plan<'_>) -> Result<Self> {
        let shape = shape(plan)
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let mut header =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
        // NumPy's format 1.0: magic, version, header length, header; the numbers start at a multiple
        // of 64.
        let padding = 64 - (10 + header.len() + 1) % 64;
        header.extend(std::iter::repeat_n(' ', padding % 64));
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        Self::begin(target, plan, &bytes)
    }

    pub(super) fn safetensors(target: Unfinished, plan: &Plan<'_>) -> Result<Self> {
        let numbers: usize = shape(plan).iter().product();
        let metadata: serde_json::Map<_, _> = plan
            .metadata
            .pairs()
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        let tensor = serde_json::json!({"dtype": "F32", "shape": shape(plan), "data_offsets": [0, 4 * numbers]});
        let mut header =
            serde_json::json!({"__metadata__": metadata, "embeddings": tensor}).to_string();
        // The numbers start at a multiple of 8.
        header.extend(std::iter::repeat_n(
            ' ',
            header.len().next_multiple_of(8) - header.len(),
        ));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        Self::begin(target, plan, &bytes)
    }

    fn begin(mut target: Unfinished, plan: &Plan<'_>, header: &[u8]) -> Result<Self> {
        target
            .file
            .write_all(header)
            .map_err(|cause| Error::write(&target.path, cause))?;
        Ok(Self {
            target,
            header: header.len() as u64,
            questions: plan.metadata.instructions.len(),
            texts: plan.texts,
            dim: plan.metadata.dim,
            written: 0,
        })
    }
}

fn shape(plan: &Plan<'_>) -> Vec<usize> {
    let questions = plan.metadata.instructions.len();
    let several = (questions > 1).then_some(questions);
    several
        .into_iter()
        .chain([plan.texts, plan.metadata.dim])
        .collect()
}

impl Writer for MatrixWriter {
    fn write(&mut self, window: &Window, output: &inbedder::Output) -> Result<()> {
        let failed = |cause| Error::write(&self.target.path, cause);
        for question in 0..self.questions {
            let vectors = output
                .embeddings
                .chunks_exact(self.dim)
                .skip(question)
                .step_by(self.questions);
            let bytes: Vec<u8> = vectors
                .flatten()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            let at = (question * self.texts + self.written) * self.dim * 4;
            let file = &mut self.target.file;
            file.seek(SeekFrom::Start(self.header + at as u64))
                .map_err(failed)?;
            file.write_all(&bytes).map_err(failed)?;
        }
        self.written += window.texts.len();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if self.written != self.texts {
            let problem = format!(
                "expected {} texts, got {}: the input changed meanwhile",
                self.texts, self.written
            );
            return Err(Error::output(&self.target.path, problem));
        }
        self.target.persist()
    }
}
