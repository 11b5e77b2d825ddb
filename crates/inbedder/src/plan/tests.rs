//! The trie's shape as text, and its promises over random prompts.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

/// One line per segment: `parent > tokens @ position`.
fn shape(plan: &Plan) -> String {
    let line = |s: &Segment| {
        let parent = s.parent.map_or("-".to_string(), |p| p.to_string());
        format!(
            "{parent} > {:?} @ {}",
            &plan.tokens[s.rows.clone()],
            s.start_position
        )
    };
    plan.segments
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn check(prompts: &[&[u32]], expected: &str) {
    let plan = Plan::new(prompts);
    let expected: Vec<_> = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(shape(&plan), expected.join("\n"));
}

#[test]
fn one_text_under_two_questions_is_read_once() {
    check(
        &[&[1, 2, 3, 8, 9], &[1, 2, 3, 7]],
        "- > [1, 2, 3] @ 0
         0 > [7] @ 3
         0 > [8, 9] @ 3",
    );
}

#[test]
fn a_prompt_may_be_the_beginning_of_another() {
    check(
        &[&[1, 2], &[1, 2, 3], &[1, 2]],
        "- > [1, 2] @ 0
         0 > [3] @ 2",
    );
}

#[test]
fn nothing_in_common_gives_two_roots() {
    check(
        &[&[5], &[4, 6]],
        "- > [4, 6] @ 0
         - > [5] @ 0",
    );
}

#[test]
fn decoding_adds_children_behind_all_rows() {
    let mut plan = Plan::new(&[[1, 2], [1, 3]]);
    plan.extend(&[(0, 7), (1, 8)]);
    plan.extend(&[(1, 9)]);
    assert_eq!(
        plan.prompt_rows(0)
            .map(|r| plan.tokens[r])
            .collect::<Vec<_>>(),
        [1, 2, 7]
    );
    assert_eq!(
        plan.prompt_rows(1)
            .map(|r| plan.tokens[r])
            .collect::<Vec<_>>(),
        [1, 3, 8, 9]
    );
    assert_eq!(plan.position(plan.last_row(1)), 3);
}

/// Keys that the tiles give to each query, in order of position.
fn seen(plan: &Plan, queries: &[usize], per_tile: usize) -> Vec<Vec<usize>> {
    let mut keys = vec![Vec::new(); queries.len()];
    for tile in plan.tiles(queries, per_tile) {
        for span in &tile.spans {
            for query in span.queries.clone() {
                let seen = &mut keys[tile.rows.start + query];
                assert_eq!(seen.len(), span.position, "spans in order of position");
                let visible = span.visible + span.step * (query - span.queries.start);
                seen.extend(span.keys.clone().take(visible));
            }
        }
    }
    keys
}

fn prompts() -> impl Strategy<Value = Vec<Vec<u32>>> {
    // Few token ids, so that beginnings, whole prompts and prefixes are shared often.
    proptest::collection::vec(proptest::collection::vec(0u32..3, 1..9), 1..12)
}

proptest! {
    #[test]
    fn every_prompt_is_there_and_no_token_twice(prompts in prompts()) {
        let plan = Plan::new(&prompts);
        let mut prefixes = HashSet::new();
        for (i, prompt) in prompts.iter().enumerate() {
            let rows: Vec<usize> = plan.prompt_rows(i).collect();
            let tokens: Vec<u32> = rows.iter().map(|r| plan.tokens[*r]).collect();
            prop_assert_eq!(&tokens, prompt);
            prop_assert_eq!(plan.last_row(i), rows[rows.len() - 1]);
            for (position, row) in rows.iter().enumerate() {
                prop_assert_eq!(plan.position(*row), position);
            }
            prefixes.extend((1..=prompt.len()).map(|n| prompt[..n].to_vec()));
        }
        prop_assert_eq!(plan.rows(), prefixes.len(), "one row per distinct beginning");
    }

    #[test]
    fn a_row_sees_its_own_prompt_up_to_itself(
        prompts in prompts(), per_tile in 1usize..20, keep in 1usize..4, steps in 0usize..3,
    ) {
        let mut plan = Plan::new(&prompts);
        for step in 0..steps {
            let mut next: Vec<_> = (0..prompts.len()).step_by(step + 1).map(|p| (p, 7)).collect();
            next.sort_by_key(|(p, _)| plan.last_row(*p));
            plan.extend(&next);
        }
        let queries: Vec<usize> = (0..plan.rows()).step_by(keep).collect();
        for (row, keys) in queries.iter().zip(seen(&plan, &queries, per_tile)) {
            let mut chain = plan.chain(plan.segment_of[*row]);
            chain.reverse();
            let rows = chain.into_iter().flat_map(|s| plan.segments[s].rows.clone());
            let expected: Vec<usize> = rows.take_while(|r| r <= row || plan.segment_of[*r] != plan.segment_of[*row]).collect();
            prop_assert_eq!(keys, expected);
        }
    }
}
