//! Is one system better than another, or lucky? Paired bootstrap (Efron and Tibshirani 1993, ch. 13 and
//! 16): rows of a task are drawn with replacement, the same for both, and both are scored on them; the
//! interval holds 95 % of the differences. Drawn are rows, triplets, queries or texts of a corpus.
//!
//! A corpus is not clustered again: resample r takes the texts' clusters of clustering r modulo the
//! number of clusterings, so that the interval holds the chance of seeds too.

use crate::metrics::{harmonic_mean, mean, quantile, spearman, success_rate};
use crate::random::Random;
use inbedder_cluster::Contingency;
use rayon::prelude::*;
use serde::Serialize;

/// What a score is made of, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Evidence {
    Triplets {
        first: Vec<bool>,
        second: Vec<bool>,
    },
    Pairs {
        cosines: Vec<f64>,
        scores: Vec<f64>,
    },
    Clusters {
        truth: Vec<usize>,
        clusterings: Vec<Vec<usize>>,
    },
    Queries {
        precisions: Vec<f64>,
    },
}

impl Evidence {
    fn rows(&self) -> usize {
        match self {
            Self::Triplets { first, .. } => first.len(),
            Self::Pairs { cosines, .. } => cosines.len(),
            Self::Clusters { truth, .. } => truth.len(),
            Self::Queries { precisions } => precisions.len(),
        }
    }

    /// The score on some rows; `None` where it has no value on them.
    fn score(&self, rows: &[usize], round: usize) -> Option<f64> {
        fn pick<T: Copy>(list: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|i| list[*i]).collect()
        }
        match self {
            Self::Triplets { first, second } => {
                let rates = [first, second].map(|list| success_rate(&pick(list, rows)));
                Some(harmonic_mean(&rates))
            }
            Self::Pairs { cosines, scores } => spearman(&pick(cosines, rows), &pick(scores, rows)),
            Self::Clusters { truth, clusterings } => {
                let labels = &clusterings[round % clusterings.len()];
                let table = Contingency::new(&pick(truth, rows), &pick(labels, rows)).ok()?;
                Some(table.v_measure().v)
            }
            Self::Queries { precisions } => Some(mean(&pick(precisions, rows))),
        }
    }
}

/// A difference of two systems' scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The first system's score minus the second's.
    pub value: f64,
    /// Below this lie 2.5 % of the resampled differences.
    pub low: f64,
    /// Above this lie 2.5 % of them.
    pub high: f64,
}

/// The interval around the difference `value` of two systems on the same rows; `None` if a resample
/// has no score (all its pairs are equal) or the rows are not the same.
pub(crate) fn difference(
    value: f64,
    (a, b): (&Evidence, &Evidence),
    resamples: usize,
    seed: u64,
) -> Option<Difference> {
    let count = a.rows();
    if count == 0 || b.rows() != count {
        return None;
    }
    let one = |round: usize| {
        let mut random = Random::new(seed, &format!("resample {round}"));
        let rows: Vec<usize> = (0..count).map(|_| random.below(count)).collect();
        Some(a.score(&rows, round)? - b.score(&rows, round)?)
    };
    let drawn: Option<Vec<f64>> = (0..resamples).into_par_iter().map(one).collect();
    let mut drawn = drawn?;
    Some(Difference {
        value,
        low: quantile(&mut drawn, 0.025),
        high: quantile(&mut drawn, 0.975),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries(precisions: Vec<f64>) -> Evidence {
        Evidence::Queries { precisions }
    }

    #[test]
    fn the_interval_of_a_mean_is_as_wide_as_theory_says_and_one_seed_gives_one_interval() {
        let at = |i: usize| if i.is_multiple_of(2) { 1.0 } else { 0.0 };
        let (a, b) = (
            queries((0..400).map(at).collect()),
            queries(vec![0.25; 400]),
        );
        let found = difference(0.25, (&a, &b), 1000, 1).unwrap();
        // 1.96 standard errors of a mean of 400 coins: 0.049.
        assert!((found.low - 0.201).abs() < 0.012, "{found:?}");
        assert!((found.high - 0.299).abs() < 0.012, "{found:?}");
        assert_eq!(Some(found), difference(0.25, (&a, &b), 1000, 1));
        assert_ne!(Some(found), difference(0.25, (&a, &b), 1000, 2));
    }

    #[test]
    fn pairing_takes_away_what_both_have_in_common() {
        let a: Vec<f64> = (0..200).map(|i| f64::from(i % 7) / 7.0).collect();
        let b = a.iter().map(|value| value - 0.125).collect();
        let found = difference(0.125, (&queries(a), &queries(b)), 200, 3).unwrap();
        assert!((found.low - 0.125).abs() < 1e-9 && (found.high - 0.125).abs() < 1e-9);
    }

    #[test]
    fn a_system_against_itself_differs_by_nothing_whatever_the_kind() {
        let kinds = [
            Evidence::Triplets {
                first: vec![true, false, true],
                second: vec![false, true, true],
            },
            Evidence::Clusters {
                truth: vec![0, 0, 1, 1],
                clusterings: vec![vec![0, 1, 1, 1], vec![0, 0, 1, 1]],
            },
            queries(vec![0.5, 1.0]),
        ];
        for evidence in kinds {
            let found = difference(0.0, (&evidence, &evidence), 100, 5).unwrap();
            assert_eq!((found.low, found.high), (0.0, 0.0), "{evidence:?}");
        }
        let constant = Evidence::Pairs {
            cosines: vec![1.0; 5],
            scores: vec![0.0; 5],
        };
        assert_eq!(difference(0.0, (&constant, &constant), 10, 5), None);
        assert_eq!(
            difference(0.0, (&queries(vec![1.0]), &queries(vec![])), 10, 5),
            None
        );
    }
}
