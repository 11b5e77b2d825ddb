//! Vectors of prompts, and what is done to them before they are compared.

use crate::Result;
use inbedder::Normalize;
use inbedder_cluster::{Centering, Vectors};

/// `[prompt][dim]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// All numbers, vector after vector.
    pub data: Vec<f32>,
    /// Length of a vector.
    pub dim: usize,
}

impl Matrix {
    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.data.len() / self.dim.max(1)
    }

    /// Vector `i`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.dim..][..self.dim]
    }

    /// A checked view.
    ///
    /// # Errors
    /// A NaN or an infinity, by its row.
    pub fn view(&self) -> Result<Vectors<'_>> {
        Ok(Vectors::new(&self.data, self.dim)?)
    }

    /// Cosine of two rows, in f64.
    pub(crate) fn cosine(&self, a: usize, b: usize) -> f64 {
        let dot = |a: &[f32], b: &[f32]| {
            let pairs = a.iter().zip(b);
            pairs
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
        };
        let (a, b) = (self.row(a), self.row(b));
        let lengths = (dot(a, a) * dot(b, b)).sqrt();
        if lengths > 0.0 {
            dot(a, b) / lengths
        } else {
            0.0
        }
    }

    /// Some of the rows.
    pub(crate) fn gather(&self, rows: &[usize]) -> Self {
        let data = rows.iter().flat_map(|i| self.row(*i)).copied().collect();
        Self {
            data,
            dim: self.dim,
        }
    }

    /// Takes the mean off, as `--center` does: of each group of rows (the texts of one question) its
    /// own; then every vector is of length one again (a zero vector stays zero).
    ///
    /// # Errors
    /// As for [`Self::view`].
    pub(crate) fn center(&mut self, groups: &[Vec<usize>]) -> Result<()> {
        for rows in groups {
            let mut part = self.gather(rows);
            Centering::fit(&[part.view()?])?.apply(&mut part.data, Normalize::L2)?;
            for (row, vector) in rows.iter().zip(part.data.chunks_exact(self.dim)) {
                self.data[row * self.dim..][..self.dim].copy_from_slice(vector);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_centred_alone_and_have_unit_length() {
        let data = vec![1.0, 1.0, 3.0, 1.0, 5.0, 5.0, 5.0, 7.0];
        let mut matrix = Matrix { data, dim: 2 };
        assert!((matrix.cosine(0, 2) - 1.0).abs() < 1e-12);
        matrix.center(&[vec![0, 1], vec![2, 3]]).unwrap();
        assert_eq!(matrix.data, [-1.0, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0, 1.0]);
        let same = Matrix {
            data: vec![2.0; 4],
            dim: 2,
        };
        let mut centred = same.clone();
        centred.center(&[vec![0, 1]]).unwrap();
        assert_eq!(centred.data, [0.0; 4]);
        assert_eq!(centred.cosine(0, 1), 0.0);
    }

    #[test]
    fn a_number_that_is_none_is_named() {
        let data = vec![0.0, 1.0, f32::NAN, 1.0];
        let message = Matrix { data, dim: 2 }.view().unwrap_err().to_string();
        assert!(message.contains("NaN"), "{message}");
    }
}
