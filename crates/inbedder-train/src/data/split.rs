//! Texts held out for validation. By text, not by row: a text's other questions give its answers away.

use super::passages::Passage;
use super::text::normal;
use crate::random::lot;
use std::collections::{BTreeSet, HashSet};

/// How much is held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeldOut {
    /// This share of the texts, 0 to 1. A text's lot does not depend on the others, so it stays where it
    /// is when data are added.
    Share(f64),
    /// So many texts.
    Texts(usize),
}

/// Which texts are held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// How much.
    pub held_out: HeldOut,
    /// Draws the lots.
    pub seed: u64,
}

impl Split {
    /// Passages to learn from, and those held out, both in their order. Texts that differ in case and
    /// spaces alone are on one side.
    pub fn apply(&self, passages: Vec<Passage>) -> (Vec<Passage>, Vec<Passage>) {
        let is_held = self.chosen(&passages);
        let mut learnt = Vec::new();
        let mut held = Vec::new();
        for (passage, is_held) in passages.into_iter().zip(is_held) {
            if is_held {
                held.push(passage);
            } else {
                learnt.push(passage);
            }
        }
        (learnt, held)
    }

    fn chosen(&self, passages: &[Passage]) -> Vec<bool> {
        let texts: Vec<String> = passages
            .iter()
            .map(|passage| normal(&passage.text))
            .collect();
        let lot = |text: &str| lot(self.seed, text);
        match self.held_out {
            HeldOut::Share(share) => texts.iter().map(|text| lot(text) < share).collect(),
            HeldOut::Texts(count) => {
                let distinct: BTreeSet<&str> = texts.iter().map(String::as_str).collect();
                let mut lots: Vec<(f64, &str)> =
                    distinct.into_iter().map(|text| (lot(text), text)).collect();
                lots.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
                let held: HashSet<&str> = lots.iter().take(count).map(|(_, text)| *text).collect();
                texts
                    .iter()
                    .map(|text| held.contains(text.as_str()))
                    .collect()
            }
        }
    }
}
