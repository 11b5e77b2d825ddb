//! Taking off what all vectors of a question have in common. States of one question crowd together
//! around the direction in which "the answer begins here"; without their mean, what is left is the
//! texts' own.

use crate::vectors::add;
use crate::{Error, Result, Vectors};
use inbedder::Normalize;

/// The mean vector of each question.
#[derive(Debug, Clone, PartialEq)]
pub struct Centering {
    means: Vec<Vec<f32>>,
}

impl Centering {
    /// The means of each question's vectors.
    ///
    /// # Errors
    /// [`Error::Length`] if the questions' vectors are not of one length.
    pub fn fit(questions: &[Vectors<'_>]) -> Result<Self> {
        Self::from_means(questions.iter().map(Vectors::mean).collect())
    }

    /// Means that were kept, `[question][dim]`.
    ///
    /// # Errors
    /// [`Error::Length`] if they are not of one length; [`Error::NotFinite`].
    pub fn from_means(means: Vec<Vec<f32>>) -> Result<Self> {
        let dim = means.first().map_or(0, Vec::len);
        for mean in &means {
            expect("numbers of a mean", mean.len(), dim)?;
            Vectors::new(mean, dim)?;
        }
        Ok(Self { means })
    }

    /// `[question][dim]`.
    pub fn means(&self) -> &[Vec<f32>] {
        &self.means
    }

    /// Takes the means off, then scales again. `vectors` is `[text][question][dim]`, as
    /// [`inbedder::Output::embeddings`] is.
    ///
    /// # Errors
    /// [`Error::Length`] if it does not hold whole texts.
    pub fn apply(&self, vectors: &mut [f32], normalize: Normalize) -> Result<()> {
        let dim = self.means.first().map_or(0, Vec::len);
        let text = dim * self.means.len();
        if text == 0 || !vectors.len().is_multiple_of(text) {
            return Err(Error::Shape {
                numbers: vectors.len(),
                dim: text,
            });
        }
        for (vector, mean) in vectors.chunks_exact_mut(dim).zip(self.means.iter().cycle()) {
            for (value, mean) in vector.iter_mut().zip(mean) {
                *value -= mean;
            }
            normalize.apply(vector);
        }
        Ok(())
    }
}

/// Means of vectors that come a few at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Means {
    dim: usize,
    /// `[question][dim]`.
    sums: Vec<Vec<f64>>,
    texts: usize,
}

impl Means {
    /// Nothing yet of vectors of this length.
    pub fn new(questions: usize, dim: usize) -> Self {
        Self {
            dim,
            sums: vec![vec![0.0; dim]; questions],
            texts: 0,
        }
    }

    /// Adds vectors, `[text][question][dim]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not of whole texts.
    pub fn add(&mut self, vectors: &[f32]) -> Result<()> {
        let text = self.dim * self.sums.len();
        if text == 0 || !vectors.len().is_multiple_of(text) {
            return Err(Error::Shape {
                numbers: vectors.len(),
                dim: text,
            });
        }
        for text in vectors.chunks_exact(text) {
            for (sums, vector) in self.sums.iter_mut().zip(text.chunks_exact(self.dim)) {
                add(sums, vector);
            }
            self.texts += 1;
        }
        Ok(())
    }

    /// The means; zero of no texts.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the vectors were not.
    pub fn finish(self) -> Result<Centering> {
        let count = self.texts.max(1) as f64;
        let mean = |sums: Vec<f64>| sums.iter().map(|sum| (sum / count) as f32).collect();
        Centering::from_means(self.sums.into_iter().map(mean).collect())
    }
}

fn expect(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::Length {
            what,
            found,
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two texts, two questions, two dimensions.
    const TEXTS: [f32; 8] = [1.0, 2.0, 10.0, 0.0, 3.0, 6.0, 20.0, 4.0];

    #[test]
    fn each_question_has_its_own_mean_however_the_texts_come() {
        let mut means = Means::new(2, 2);
        means.add(&TEXTS[..4]).unwrap();
        means.add(&TEXTS[4..]).unwrap();
        let centering = means.finish().unwrap();
        assert_eq!(centering.means(), [vec![2.0, 4.0], vec![15.0, 2.0]]);
        let (first, second) = ([1.0, 2.0, 3.0, 6.0], [10.0, 0.0, 20.0, 4.0]);
        let questions = [&first, &second].map(|q| Vectors::new(q, 2).unwrap());
        assert_eq!(Centering::fit(&questions).unwrap(), centering);
        let mut raw = TEXTS;
        centering.apply(&mut raw, Normalize::None).unwrap();
        assert_eq!(raw, [-1.0, -2.0, -5.0, -2.0, 1.0, 2.0, 5.0, 2.0]);
        let mut unit = TEXTS;
        centering.apply(&mut unit, Normalize::L2).unwrap();
        assert!((unit[4].hypot(unit[5]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn vectors_of_another_shape_are_refused() {
        let centering = Centering::from_means(vec![vec![1.0, 2.0]; 2]).unwrap();
        assert!(centering.apply(&mut [0.0; 6], Normalize::L2).is_err());
        assert!(Means::new(2, 2).add(&[0.0; 3]).is_err());
        assert!(Centering::from_means(vec![vec![1.0], vec![1.0, 2.0]]).is_err());
        assert!(Centering::from_means(vec![vec![f32::NAN]]).is_err());
    }
}
