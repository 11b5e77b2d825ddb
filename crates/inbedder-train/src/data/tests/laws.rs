//! What must hold for all data: nothing is lost, nothing is on two sides, nothing depends on the past.

use super::super::*;
use super::passage;
use proptest::prelude::*;
use std::collections::HashSet;

fn lengths(sizes: &[(usize, Vec<usize>)]) -> Vec<Length> {
    let length = |(text, questions): &(usize, Vec<usize>)| Length {
        text: *text,
        questions: questions
            .iter()
            .map(|tokens| QuestionLength {
                all: *tokens,
                longest: *tokens,
            })
            .collect(),
    };
    sizes.iter().map(length).collect()
}

fn with_questions(count: usize, weight: f64) -> Passage {
    Passage {
        weight,
        ..passage("x", &vec![("Q?", " a"); count])
    }
}

proptest! {
    #[test]
    fn a_text_is_never_on_both_sides(
        texts in prop::collection::vec("[aB ]{0,3}", 0..40),
        seed in any::<u64>(),
        share in 0.0..1.0f64,
        count in 0..10usize,
    ) {
        let passages: Vec<Passage> = texts.iter().map(|text| passage(text, &[])).collect();
        for held_out in [HeldOut::Share(share), HeldOut::Texts(count)] {
            let (learnt, held) = Split { held_out, seed }.apply(passages.clone());
            prop_assert_eq!(learnt.len() + held.len(), texts.len());
            let side = |passages: &[Passage]| -> HashSet<String> {
                passages.iter().map(|passage| text::normal(&passage.text)).collect()
            };
            let (learnt, held) = (side(&learnt), side(&held));
            prop_assert!(learnt.is_disjoint(&held));
            if let HeldOut::Texts(count) = held_out {
                prop_assert_eq!(held.len(), count.min(learnt.len() + held.len()));
            }
        }
    }

    #[test]
    fn a_texts_lot_does_not_depend_on_the_others(
        texts in prop::collection::hash_set("[a-z]{1,4}", 1..30),
        seed in any::<u64>(),
    ) {
        let passages: Vec<Passage> = texts.iter().map(|text| passage(text, &[])).collect();
        let split = Split { held_out: HeldOut::Share(0.3), seed };
        let (_, all) = split.apply(passages.clone());
        let (_, one) = split.apply(passages[..1].to_vec());
        prop_assert_eq!(one.contains(&passages[0]), all.contains(&passages[0]));
    }

    #[test]
    fn whole_weights_give_every_passage_that_often(
        weights in prop::collection::vec(1..4usize, 0..30),
        seed in any::<u64>(),
        number in 0..5u64,
    ) {
        let passages: Vec<Passage> =
            weights.iter().map(|weight| with_questions(2, *weight as f64)).collect();
        let order = epoch(&passages, seed, number);
        prop_assert_eq!(&order, &epoch(&passages, seed, number));
        let mut counts = vec![0; weights.len()];
        for part in &order {
            counts[part.passage] += 1;
            prop_assert_eq!(&part.questions, &(0..2));
        }
        prop_assert_eq!(counts, weights);
    }

    #[test]
    fn cutting_loses_nothing_and_cuts_passages_only_over_the_budget(
        sizes in prop::collection::vec((1..20usize, prop::collection::vec(1..20usize, 1..6)), 1..20),
        budget in 1..80usize,
        smaller in 1..40usize,
    ) {
        let lengths = lengths(&sizes);
        let passages: Vec<Passage> =
            sizes.iter().map(|(_, questions)| with_questions(questions.len(), 1.0)).collect();
        let order = epoch(&passages, 1, 0);
        let batches = cut(&order, &lengths, budget);
        let again: Vec<Vec<Part>> =
            batches.iter().flat_map(|batch| cut(batch, &lengths, smaller.min(budget))).collect();
        for (batches, budget) in [(batches, budget), (again, smaller.min(budget))] {
            for batch in &batches {
                let tokens: usize =
                    batch.iter().map(|part| lengths[part.passage].of(part.questions.clone())).sum();
                let one = batch.len() == 1 && batch[0].questions.len() == 1;
                prop_assert!(tokens <= budget || one);
                for part in batch {
                    let all = passages[part.passage].questions.len();
                    let fits = lengths[part.passage].of(0..all) <= budget;
                    prop_assert!(!fits || part.questions == (0..all));
                }
            }
            let questions = |parts: &[Part]| -> Vec<(usize, usize)> {
                let of = |part: &Part| part.questions.clone().map(|q| (part.passage, q)).collect::<Vec<_>>();
                parts.iter().flat_map(of).collect()
            };
            prop_assert_eq!(questions(&batches.concat()), questions(&order));
        }
    }
}

#[test]
fn fractions_of_weights_are_drawn_anew_every_epoch() {
    let passages = vec![with_questions(1, 2.25); 400];
    let copies = |number| {
        let mut copies = vec![0; passages.len()];
        for part in epoch(&passages, 3, number) {
            copies[part.passage] += 1;
        }
        copies
    };
    let (first, second) = (copies(0), copies(1));
    assert!(first.iter().all(|count| (2..4).contains(count)));
    let total: usize = first.iter().sum();
    // 900 expected; four standard deviations of 400 lots at 1/4 are 35.
    assert!(total.abs_diff(900) < 35, "{total}");
    assert_ne!(first, second);
    let order = |number| epoch(&vec![with_questions(1, 1.0); 50], 3, number);
    assert_ne!(order(0), order(1));
}

#[test]
fn overlong_questions_are_left_out_and_counted() {
    let question = |all, longest| QuestionLength { all, longest };
    let lengths = [
        (10, vec![question(50, 5), question(11, 11)]),
        (10, vec![question(11, 11)]),
        (10, vec![question(10, 10)]),
    ];
    let passages = vec![
        passage("a", &[("one?", "x"), ("two?", "x")]),
        passage("b", &[("one?", "x")]),
        passage("c", &[("one?", "x")]),
    ];
    let mut lengths = lengths.into_iter();
    let measured = Measured::new(passages, |_| {
        let (text, questions) = lengths.next().ok_or(())?;
        Ok::<_, ()>(Length { text, questions })
    });
    let (kept, overlong) = measured.unwrap().within(20);
    let texts: Vec<&str> = kept.passages.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts, ["a", "c"]);
    assert_eq!(kept.passages[0].questions.len(), 1);
    assert_eq!(kept.passages[0].questions[0].instruction, "one?");
    assert_eq!(kept.lengths[0].questions, [question(50, 5)]);
    let expected = Overlong {
        questions: 2,
        passages: 1,
    };
    assert_eq!(overlong, expected);
}
