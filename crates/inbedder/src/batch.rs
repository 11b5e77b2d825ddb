//! Batches: which prompts are read together. The prompts of a text stay together as long as they
//! fit, equal texts meet in one batch, and long ones go first so that workers end at the same time.

use crate::plan::common_prefix;
use crate::prompt::Prompt;

/// Prompts that share a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Indices of prompts.
    pub(crate) prompts: Vec<usize>,
    /// Texts whose last prompt is here.
    pub(crate) texts: usize,
    /// Distinct tokens at most.
    pub(crate) tokens: usize,
}

impl Batch {
    /// Rows that a plan of this batch takes at most, when each prompt may add `answers` of them.
    pub(crate) fn rows(&self, answers: usize) -> usize {
        self.tokens + self.prompts.len() * answers
    }
}

/// Fewer distinct tokens than this make products too small to run at full speed.
const SMALLEST: usize = 192;

/// Splits prompts, `per_text[t]` of them to text t, into batches of at most `budget` distinct
/// tokens (a single prompt may have more). Between texts it splits earlier, the more so the less is left, so that no
/// worker waits long for another's last batch.
pub(crate) fn split(
    prompts: &[Prompt],
    per_text: &[usize],
    budget: usize,
    workers: usize,
) -> Vec<Batch> {
    let ids = |prompt: usize| prompts[prompt].ids.as_slice();
    let ends: Vec<usize> = per_text
        .iter()
        .scan(0, |end, count| {
            *end += count;
            Some(*end)
        })
        .collect();
    let of_text = |text: usize| ends[text] - per_text[text]..ends[text];
    // A text that is asked nothing sorts last.
    let first = |text: usize| of_text(text).next().map_or(&[][..], ids);
    let mut texts: Vec<usize> = (0..per_text.len()).collect();
    texts.sort_by(|a, b| {
        let (first, second) = (first(*a), first(*b));
        second
            .len()
            .cmp(&first.len())
            .then_with(|| first.cmp(second))
    });
    let total = texts
        .iter()
        .map(|text| added(prompts, None, of_text(*text)))
        .sum::<usize>();
    let one_each = total.div_ceil(workers).max(1);
    let enough = |left: usize| {
        budget
            .min((left / (2 * workers)).max(SMALLEST))
            .min(one_each)
    };

    let mut batches = Vec::new();
    let mut batch = Batch::default();
    let mut left = total;
    for text in texts {
        let more = added(prompts, batch.prompts.last().copied(), of_text(text));
        if batch.tokens + more > enough(left) {
            left = left.saturating_sub(batch.tokens);
            close(&mut batch, &mut batches);
        }
        for prompt in of_text(text) {
            let mut more = added(prompts, batch.prompts.last().copied(), prompt..prompt + 1);
            if batch.tokens + more > budget && !batch.prompts.is_empty() {
                close(&mut batch, &mut batches);
                more = ids(prompt).len();
            }
            batch.tokens += more;
            batch.prompts.push(prompt);
        }
        batch.texts += 1;
    }
    close(&mut batch, &mut batches);
    batches
}

fn close(batch: &mut Batch, batches: &mut Vec<Batch>) {
    if !batch.prompts.is_empty() {
        batches.push(std::mem::take(batch));
    }
}

/// Tokens that consecutive prompts add behind `before`: what each does not share with the one
/// before it. Sharing with earlier ones is not seen, so this is an upper bound.
fn added(prompts: &[Prompt], before: Option<usize>, new: std::ops::Range<usize>) -> usize {
    let mut before = before;
    let mut tokens = 0;
    for prompt in new {
        let ids = &prompts[prompt].ids;
        tokens += ids.len() - before.map_or(0, |last| common_prefix(&prompts[last].ids, ids));
        before = Some(prompt);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prompts(ids: &[&[u32]]) -> Vec<Prompt> {
        ids.iter()
            .map(|ids| Prompt {
                ids: ids.to_vec(),
                truncated: false,
            })
            .collect()
    }

    #[test]
    fn equal_texts_meet_and_long_ones_go_first() {
        let prompts = prompts(&[&[1, 2], &[7, 8, 9], &[1, 3], &[1, 2]]);
        let batches = split(&prompts, &[1; 4], 100, 1);
        assert_eq!(
            batches,
            [Batch {
                prompts: vec![1, 0, 3, 2],
                texts: 4,
                tokens: 6
            }]
        );
    }

    #[test]
    fn questions_of_one_text_split_only_over_the_budget() {
        let text: Vec<u32> = (0..300).collect();
        let with = |question: u32| [&text[..], &[1000 + question]].concat();
        let ids: Vec<Vec<u32>> = (0..4).map(with).collect();
        let slices: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let sizes = |budget| {
            split(&prompts(&slices), &[4], budget, 1)
                .iter()
                .map(|b| b.prompts.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(400), [4]);
        assert_eq!(sizes(302), [2, 2]);
        assert_eq!(sizes(1), [1, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn every_prompt_is_in_one_batch_and_every_text_is_counted_once(
            lengths in proptest::collection::vec(1usize..50, 0..40),
            questions in proptest::collection::vec(1usize..4, 13), budget in 1usize..400, workers in 1usize..5,
        ) {
            let mut count = 0;
            let fits = |q: &&usize| { count += **q; count <= lengths.len() };
            let per_text: Vec<usize> = questions.iter().take_while(fits).copied().collect();
            let count: usize = per_text.iter().sum();
            let prompts: Vec<Prompt> = lengths[..count]
                .iter()
                .map(|n| Prompt { ids: (0..*n as u32).collect(), truncated: false })
                .collect();
            let batches = split(&prompts, &per_text, budget, workers);
            let mut seen: Vec<usize> = batches.iter().flat_map(|b| b.prompts.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
            prop_assert_eq!(batches.iter().map(|b| b.texts).sum::<usize>(), per_text.len());
        }
    }
}
