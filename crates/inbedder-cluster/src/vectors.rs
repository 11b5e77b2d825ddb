//! A view of vectors that lie one behind the other, checked once.

use crate::{Error, Result};

/// `rows × dim` finite numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vectors<'a> {
    data: &'a [f32],
    dim: usize,
}

impl<'a> Vectors<'a> {
    /// `data` holds vectors of length `dim`, one behind the other.
    ///
    /// # Errors
    /// [`Error::Shape`] for a `dim` of 0 or numbers that make no whole vectors; [`Error::NotFinite`]
    /// for the first vector with a NaN or an infinity.
    pub fn new(data: &'a [f32], dim: usize) -> Result<Self> {
        if dim == 0 || !data.len().is_multiple_of(dim) {
            let numbers = data.len();
            return Err(Error::Shape { numbers, dim });
        }
        match data.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Error::NotFinite {
                row: at / dim,
                dimension: at % dim,
                value: data[at],
            }),
            None => Ok(Self { data, dim }),
        }
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.data.len() / self.dim
    }

    /// Length of each.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Vector `i`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.dim..][..self.dim]
    }

    /// All numbers, vector after vector.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// Some of the vectors, copied.
    pub(crate) fn gather(&self, rows: &[usize]) -> Vec<f32> {
        rows.iter().flat_map(|i| self.row(*i)).copied().collect()
    }

    /// The mean vector; zero of no vectors. Summed in f64, in the order of the rows.
    pub fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0; self.dim];
        for row in self.data.chunks_exact(self.dim) {
            add(&mut sums, row);
        }
        let count = self.rows().max(1) as f64;
        sums.iter().map(|sum| (sum / count) as f32).collect()
    }

    /// The mean vector, and the vectors without it.
    pub(crate) fn shifted(&self) -> (Vec<f32>, Vec<f32>) {
        let mean = self.mean();
        let rows = self.data.chunks_exact(self.dim);
        let shifted = rows.flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m));
        let shifted = shifted.collect();
        (mean, shifted)
    }
}

/// The vectors of one question out of `[text][question][dim]`, as `[text][dim]`.
///
/// # Errors
/// [`Error::Shape`] if there are no questions, or not whole texts.
pub fn of_question(
    data: &[f32],
    dim: usize,
    questions: usize,
    question: usize,
) -> Result<Vec<f32>> {
    let text = dim * questions;
    if text == 0 || question >= questions || !data.len().is_multiple_of(text) {
        return Err(Error::Shape {
            numbers: data.len(),
            dim: text,
        });
    }
    let vectors = data.chunks_exact(dim).skip(question).step_by(questions);
    Ok(vectors.flatten().copied().collect())
}

/// Adds a vector to sums.
pub(crate) fn add(sums: &mut [f64], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += f64::from(*value);
    }
}

/// Takes a vector out of sums.
pub(crate) fn subtract(sums: &mut [f64], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum -= f64::from(*value);
    }
}

/// Squared Euclidean distance, summed in f64.
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum()
}

/// Squared length, summed in f64.
pub(crate) fn squared_length(a: &[f32]) -> f64 {
    a.iter().map(|a| f64::from(*a).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_vector_is_refused_by_its_row() {
        assert!(matches!(
            Vectors::new(&[1.0, 2.0, 3.0], 2),
            Err(Error::Shape { numbers: 3, dim: 2 })
        ));
        assert!(Vectors::new(&[], 0).is_err());
        let infinite = Vectors::new(&[1.0, 2.0, 3.0, f32::INFINITY], 2);
        assert!(matches!(
            infinite,
            Err(Error::NotFinite {
                row: 1,
                dimension: 1,
                ..
            })
        ));
        let message = Vectors::new(&[f32::NAN], 1).unwrap_err().to_string();
        assert!(message.contains("vector 1 holds NaN"), "{message}");
    }

    #[test]
    fn the_vectors_of_a_question() {
        let both = [1.0, 2.0, 10.0, 20.0, 3.0, 4.0, 30.0, 40.0];
        assert_eq!(
            of_question(&both, 2, 2, 1).unwrap(),
            [10.0, 20.0, 30.0, 40.0]
        );
        assert!(of_question(&both, 3, 2, 0).is_err() && of_question(&both, 2, 2, 2).is_err());
    }

    #[test]
    fn rows_and_mean() {
        let vectors = Vectors::new(&[1.0, 2.0, 3.0, 6.0], 2).unwrap();
        assert_eq!((vectors.rows(), vectors.row(1)), (2, &[3.0, 6.0][..]));
        assert_eq!(vectors.mean(), [2.0, 4.0]);
    }
}
