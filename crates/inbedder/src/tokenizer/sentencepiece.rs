//! Merges for a SentencePiece vocabulary that only has scores.
//!
//! A SentencePiece BPE joins, at every step, the neighbours whose union has the best score. The
//! same result comes from a list of merges in order of that score: every way to cut a piece into
//! two known pieces is a merge. Ties keep the order of transformers' own conversion, which sorts
//! by score, then by the lengths of both halves, all descending, and otherwise keeps the order of
//! the vocabulary and of the halves' ids. (Lengths count characters.)

use std::collections::HashMap;

struct Merge<'a> {
    left: &'a str,
    right: &'a str,
    score: f32,
    lengths: (usize, usize),
}

/// Merges of `tokens` by `scores`, of equal length. Those in `never` (ascending ids) are neither
/// made nor part of anything: control tokens must not come out of a text's characters.
pub(super) fn merges(
    tokens: &[&str],
    scores: &[f32],
    never: impl Fn(usize) -> bool,
) -> Vec<(String, String)> {
    let ids: HashMap<&str, usize> = tokens
        .iter()
        .enumerate()
        .filter(|&(id, _)| !never(id))
        .map(|(id, &token)| (token, id))
        .collect();
    let mut merges = Vec::new();
    let mut cuts = Vec::new();
    for (id, (&token, &score)) in tokens.iter().zip(scores).enumerate() {
        if ids.get(token) != Some(&id) {
            continue;
        }
        let length = token.chars().count();
        for (n, (at, _)) in token.char_indices().enumerate().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                let lengths = (n, length - n);
                cuts.push((
                    (l, r),
                    Merge {
                        left,
                        right,
                        score,
                        lengths,
                    },
                ));
            }
        }
        cuts.sort_by_key(|(halves, _)| *halves);
        merges.extend(cuts.drain(..).map(|(_, merge)| merge));
    }
    merges.sort_by(|a: &Merge<'_>, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| b.lengths.cmp(&a.lengths))
    });
    merges
        .iter()
        .map(|merge| (merge.left.to_owned(), merge.right.to_owned()))
        .collect()
}
