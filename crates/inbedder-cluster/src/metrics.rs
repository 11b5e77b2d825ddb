//! How two labellings of the same things agree, by scikit-learn's definitions (`sklearn.metrics`),
//! degenerate cases included. Entropies inside the measures are natural; only
//! [`Contingency::entropy_bits`] is in bits.

use crate::{Error, Result};
use std::collections::BTreeMap;

/// How often each pair of labels occurs: rows are the first labelling's (known labels), columns the
/// second's (clusters), both in rising order of the labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contingency {
    /// Pairs that occur, by row and column.
    cells: BTreeMap<(usize, usize), u64>,
    rows: Vec<u64>,
    columns: Vec<u64>,
    total: u64,
}

/// Rosenberg and Hirschberg 2007: homogeneity, completeness and their harmonic mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VMeasure {
    /// Each cluster holds one label only: 1.
    pub homogeneity: f64,
    /// Each label lies in one cluster only: 1.
    pub completeness: f64,
    /// The harmonic mean.
    pub v: f64,
}

impl Contingency {
    /// Counts two labellings of the same things.
    ///
    /// # Errors
    /// [`Error::Length`] if they are not of one length.
    pub fn new<A: Ord, B: Ord>(a: &[A], b: &[B]) -> Result<Self> {
        if a.len() != b.len() {
            return Err(Error::Length {
                what: "labels",
                found: b.len(),
                expected: a.len(),
            });
        }
        let (rows, columns) = (ranks(a), ranks(b));
        let mut table = Self {
            rows: vec![0; distinct(&rows)],
            columns: vec![0; distinct(&columns)],
            total: a.len() as u64,
            ..Self::default()
        };
        for (row, column) in rows.into_iter().zip(columns) {
            *table.cells.entry((row, column)).or_default() += 1;
            table.rows[row] += 1;
            table.columns[column] += 1;
        }
        Ok(table)
    }

    /// Things with each label of the first labelling.
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// Things with each label of the second.
    pub fn columns(&self) -> &[u64] {
        &self.columns
    }

    /// Things with this pair of labels.
    pub fn count(&self, row: usize, column: usize) -> u64 {
        self.cells.get(&(row, column)).copied().unwrap_or(0)
    }

    /// All things.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Mutual information in nats; 0 if either labelling has a single label.
    fn mutual_information(&self) -> f64 {
        if self.rows.len() < 2 || self.columns.len() < 2 {
            return 0.0;
        }
        let total = self.total as f64;
        let term = |((row, column), count): (&(usize, usize), &u64)| {
            let count = *count as f64;
            let outer = self.rows[*row] as f64 * self.columns[*column] as f64;
            count / total * (count.ln() + total.ln() - outer.ln())
        };
        let sum: f64 = self.cells.iter().map(term).sum();
        if sum < f64::EPSILON { 0.0 } else { sum }
    }

    /// Homogeneity, completeness and V-measure of the second labelling for the first. 1 of nothing;
    /// a measure whose labelling has one label only is 1.
    pub fn v_measure(&self) -> VMeasure {
        let information = self.mutual_information();
        let share = |counts: &[u64]| match entropy(counts) {
            0.0 => 1.0,
            // Rounding may leave a little more than everything.
            entropy => (information / entropy).min(1.0),
        };
        let (homogeneity, completeness) = (share(&self.rows), share(&self.columns));
        let sum = homogeneity + completeness;
        let v = if sum == 0.0 {
            0.0
        } else {
            2.0 * homogeneity * completeness / sum
        };
        VMeasure {
            homogeneity,
            completeness,
            v,
        }
    }

    /// Adjusted Rand index (Hubert and Arabie 1985): 1 for the same partition, about 0 for chance.
    pub fn adjusted_rand(&self) -> f64 {
        let squares = |counts: &[u64]| counts.iter().map(|c| (*c as f64).powi(2)).sum::<f64>();
        let total = self.total as f64;
        let both: f64 = self.cells.values().map(|c| (*c as f64).powi(2)).sum();
        let (rows, columns) = (squares(&self.rows), squares(&self.columns));
        // Ordered pairs: together in both, in one alone, in none.
        let (tp, fp, fn_) = (both - total, columns - both, rows - both);
        let tn = total * total - tp - fp - fn_ - total;
        if fp == 0.0 && fn_ == 0.0 {
            return 1.0;
        }
        2.0 * (tp * tn - fn_ * fp) / ((tp + fn_) * (fn_ + tn) + (tp + fp) * (fp + tn))
    }

    /// Mutual information over the arithmetic mean of the entropies. 1 if both labellings have one
    /// label or nothing, 0 without information.
    pub fn normalized_mutual_information(&self) -> f64 {
        if self.rows.len() == self.columns.len() && self.rows.len() < 2 {
            return 1.0;
        }
        let information = self.mutual_information();
        if information <= f64::EPSILON {
            return 0.0;
        }
        information / (0.5 * (entropy(&self.rows) + entropy(&self.columns)))
    }

    /// Share of things whose label is the most frequent one of their cluster; 1 of nothing.
    pub fn purity(&self) -> f64 {
        if self.total == 0 {
            return 1.0;
        }
        let mut most = vec![0; self.columns.len()];
        for ((_, column), count) in &self.cells {
            most[*column] = (*count).max(most[*column]);
        }
        most.iter().sum::<u64>() as f64 / self.total as f64
    }

    /// For every cluster (column) the entropy of the labels in it, in bits.
    pub fn entropy_bits(&self) -> Vec<f64> {
        let mut counts = vec![Vec::new(); self.columns.len()];
        for ((_, column), count) in &self.cells {
            counts[*column].push(*count);
        }
        let bits = |counts: &Vec<u64>| entropy(counts) / std::f64::consts::LN_2;
        counts.iter().map(bits).collect()
    }
}

/// Entropy in nats of a distribution given by counts; 0 of a single label.
fn entropy(counts: &[u64]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    if counts.iter().filter(|count| **count > 0).count() < 2 {
        return 0.0;
    }
    let share = |count: &u64| {
        let share = *count as f64 / total;
        -share * share.ln()
    };
    counts.iter().filter(|count| **count > 0).map(share).sum()
}

/// Each label's place among the distinct ones.
fn ranks<T: Ord>(labels: &[T]) -> Vec<usize> {
    let distinct: BTreeMap<&T, usize> = labels.iter().map(|label| (label, 0)).collect();
    let ranked: BTreeMap<&T, usize> = distinct.into_keys().zip(0..).collect();
    labels.iter().map(|label| ranked[label]).collect()
}

fn distinct(ranks: &[usize]) -> usize {
    ranks.iter().max().map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests;
