//! The target of the objective `whole-answer`: all words of the answers at once, at the place where the
//! answer begins.

use super::text::normal_answer;
use std::collections::{BTreeMap, HashSet};

/// The tokens of all words of a question's answers, rising, with their weights, which add up to 1.
///
/// Every distinct word (whatever its case), with a space in front and without signs at its ends, is
/// encoded by itself, and all its tokens count: a word of several pieces is not known by its first. Each
/// token has the same share, a token of two words two shares. No word, no token.
///
/// # Errors
/// What `encode` fails with.
pub fn bag<E>(
    answers: &[String],
    mut encode: impl FnMut(&str) -> Result<Vec<u32>, E>,
) -> Result<Vec<(u32, f32)>, E> {
    let mut seen = HashSet::new();
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for word in answers.iter().flat_map(|answer| answer.split_whitespace()) {
        if seen.insert(normal_answer(word)) {
            for id in encode(&format!(" {}", bare(word)))? {
                *counts.entry(id).or_default() += 1;
            }
        }
    }
    let total: usize = counts.values().sum();
    let share = |count: usize| (count as f64 / total as f64) as f32;
    Ok(counts
        .into_iter()
        .map(|(id, count)| (id, share(count)))
        .collect())
}

fn bare(word: &str) -> &str {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    if bare.is_empty() { word } else { bare }
}
