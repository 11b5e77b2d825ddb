//! The numbers that training changes, all in one list: the optimiser, checkpoints and sums over
//! workers need not know what they are.

use std::ops::Range;

/// A tensor among the trained numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Hugging Face's name, or PEFT's for the two matrices of LoRA.
    pub name: String,
    /// Rows and columns; a vector is one row. LoRA's B lies transposed, `[rank, outputs]`.
    pub shape: [usize; 2],
    /// Its numbers in the list.
    pub range: Range<usize>,
}

/// Which tensors are trained, and where they lie.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// In the order of the list.
    pub tensors: Vec<Parameter>,
    /// All their numbers.
    pub values: Vec<f32>,
}

impl Parameters {
    /// Appends a tensor.
    pub(super) fn push(&mut self, name: String, shape: [usize; 2], values: &[f32]) -> Range<usize> {
        debug_assert_eq!(values.len(), shape[0] * shape[1]);
        let range = self.values.len()..self.values.len() + values.len();
        self.values.extend_from_slice(values);
        self.tensors.push(Parameter {
            name,
            shape,
            range: range.clone(),
        });
        range
    }

    /// How many numbers are trained.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
