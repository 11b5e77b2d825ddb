//! The token trie: all prompts of a batch, each distinct token once.
//!
//! Prompts that begin alike (one text under several questions, the template's head, duplicate texts)
//! share the rows of their common beginning. A [`Segment`] is a run of rows without a branch; a
//! row attends to the rows of its ancestors and to the earlier rows of its own segment, which is
//! what [`Plan::tiles`] spells out. There is no padding and no mask. Decoding appends child
//! segments; rows that exist never move.

use inbedder_kernels::{QueryTile, Span};
use std::ops::Range;

/// A run of rows without a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Rows of the plan's packed token list.
    pub rows: Range<usize>,
    /// The segment that this one continues; always an earlier one.
    pub parent: Option<usize>,
    /// Position in the prompt of the first row.
    pub start_position: usize,
}

/// All prompts of a batch as one trie of rows, in depth-first order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// `[row]`: token ids.
    tokens: Vec<u32>,
    segments: Vec<Segment>,
    /// `[row]`: the segment that a row belongs to.
    segment_of: Vec<usize>,
    /// `[prompt]`: the segment that a prompt ends with; its last row is the prompt's.
    leaves: Vec<usize>,
}

impl Plan {
    /// The trie of `prompts`, each a list of token ids.
    ///
    /// # Panics
    /// If a prompt is empty.
    pub fn new<P: AsRef<[u32]>>(prompts: &[P]) -> Self {
        let prompt = |i: usize| prompts[i].as_ref();
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        assert!(
            order.iter().all(|i| !prompt(*i).is_empty()),
            "a prompt has at least one token"
        );
        order.sort_by(|a, b| prompt(*a).cmp(prompt(*b)));
        let mut plan = Self {
            leaves: vec![0; prompts.len()],
            ..Self::default()
        };
        // Groups of sorted prompts that agree on their first `depth` tokens, last group on top.
        let mut groups = vec![(0..order.len(), 0, None)];
        while let Some((group, depth, parent)) = groups.pop() {
            let members = &order[group.clone()];
            let (Some(first), Some(last)) = (members.first(), members.last()) else {
                continue;
            };
            // Sorted, so what the outer two share all share.
            let shared = common_prefix(prompt(*first), prompt(*last));
            let mut segment = parent;
            if shared > depth {
                segment = Some(plan.push(&prompt(*first)[depth..shared], parent));
            }
            let ended = members
                .iter()
                .take_while(|i| prompt(**i).len() == shared)
                .count();
            for i in &members[..ended] {
                plan.leaves[*i] = segment.expect("a prompt that ends here has at least one token");
            }
            let mut children = Vec::new();
            let mut begin = group.start + ended;
            while begin < group.end {
                let token = prompt(order[begin])[shared];
                let same = order[begin..group.end]
                    .iter()
                    .take_while(|i| prompt(**i)[shared] == token)
                    .count();
                children.push((begin..begin + same, shared, segment));
                begin += same;
            }
            groups.extend(children.into_iter().rev());
        }
        plan
    }

    /// Continues prompts by one token each, as child segments of one row behind all rows.
    ///
    /// `next` names prompts, in an order of rising last rows for the best attention tiles, with the
    /// token that follows; a named prompt ends with its new row from then on. Other prompts that
    /// ended with the same segment keep their end.
    pub fn extend(&mut self, next: &[(usize, u32)]) {
        for &(prompt, token) in next {
            self.leaves[prompt] = self.push(&[token], Some(self.leaves[prompt]));
        }
    }

    fn push(&mut self, tokens: &[u32], parent: Option<usize>) -> usize {
        let start_position = parent.map_or(0, |p| self.position(self.segments[p].rows.end - 1) + 1);
        let id = self.segments.len();
        let rows = self.tokens.len()..self.tokens.len() + tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.segment_of.resize(rows.end, id);
        self.segments.push(Segment {
            rows,
            parent,
            start_position,
        });
        id
    }

    /// Rows, that is distinct tokens.
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// `[row]`: token ids.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// All segments; parents come before their children.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The row of a prompt's last token.
    pub fn last_row(&self, prompt: usize) -> usize {
        self.segments[self.leaves[prompt]].rows.end - 1
    }

    /// Position of a row in its prompts.
    pub fn position(&self, row: usize) -> usize {
        let segment = &self.segments[self.segment_of[row]];
        segment.start_position + row - segment.rows.start
    }

    /// All rows of a prompt, first token first.
    pub fn prompt_rows(&self, prompt: usize) -> impl Iterator<Item = usize> {
        let mut chain = self.chain(self.leaves[prompt]);
        chain.reverse();
        chain
            .into_iter()
            .flat_map(|segment| self.segments[segment].rows.clone())
    }

    /// A segment and its ancestors, leaf first.
    fn chain(&self, segment: usize) -> Vec<usize> {
        std::iter::successors(Some(segment), |s| self.segments[*s].parent).collect()
    }

    /// What the query rows `queries` (rising) attend to, in tiles of at most `per_tile`. Rows of
    /// the tiles are indices into `queries`.
    pub fn tiles(&self, queries: &[usize], per_tile: usize) -> Vec<QueryTile> {
        let tiles = queries.chunks(per_tile).enumerate();
        tiles
            .map(|(i, rows)| QueryTile {
                rows: i * per_tile..i * per_tile + rows.len(),
                spans: self.spans(rows),
            })
            .collect()
    }

    fn spans(&self, rows: &[usize]) -> Vec<Span> {
        let mut spans = Vec::new();
        // Ancestors seen in full: (segment, queries).
        let mut shared: Vec<(usize, Range<usize>)> = Vec::new();
        let mut begin = 0;
        while begin < rows.len() {
            let (first, id) = (rows[begin], self.segment_of[rows[begin]]);
            let run = rows[begin..]
                .iter()
                .enumerate()
                .take_while(|(i, row)| **row == first + i && self.segment_of[**row] == id);
            let queries = begin..begin + run.count();
            let own = &self.segments[id];
            spans.push(Span {
                keys: own.rows.start..first + queries.len(),
                position: own.start_position,
                visible: first + 1 - own.rows.start,
                step: 1,
                queries: queries.clone(),
            });
            shared.extend(
                self.chain(id)
                    .into_iter()
                    .skip(1)
                    .map(|s| (s, queries.clone())),
            );
            begin = queries.end;
        }
        // Neighbours under one ancestor take its keys in one go.
        shared.sort_by_key(|(segment, queries)| (*segment, queries.start));
        shared.dedup_by(|next, last| {
            let joins = next.0 == last.0 && next.1.start == last.1.end;
            if joins {
                last.1.end = next.1.end;
            }
            joins
        });
        spans.extend(shared.into_iter().map(|(id, queries)| {
            let segment = &self.segments[id];
            Span {
                queries,
                keys: segment.rows.clone(),
                position: segment.start_position,
                visible: segment.rows.len(),
                step: 0,
            }
        }));
        // Values are added up in order of position, however the prompts are shared.
        spans.sort_by_key(|span| span.position);
        spans
    }
}

/// Length of the longest common beginning.
pub(crate) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
