//! Triplets hold what they promise, and the evaluation crate's layout.

use super::*;
use crate::data::passages::Question;
use crate::data::text::normal_answer;
use std::collections::HashMap;

const TOPIC: &str = "What is it about?";
const FEELING: &str = "How does the writer feel?";

/// 60 texts with one of 3 topics and one of 2 feelings, and a question that none shares.
fn held_out() -> Vec<Passage> {
    let passage = |i: usize| {
        let question = |instruction: &str, answer: &str| Question {
            instruction: instruction.to_string(),
            answers: vec![answer.to_string()],
        };
        Passage {
            text: format!("Text {i}"),
            source: None,
            weight: 1.0,
            questions: vec![
                question(TOPIC, [" Soup.", " soup", " trains"][i % 3]),
                question(FEELING, [" glad", " sad"][i / 3 % 2]),
                question(&format!("Which number is {i}?"), " none"),
            ],
        }
    };
    (0..60).map(passage).collect()
}

/// Question → text → normal answer.
fn known(passages: &[Passage]) -> HashMap<(String, String), String> {
    let of = |passage: &Passage| {
        let text = passage.text.clone();
        let questions = passage.questions.clone().into_iter();
        questions.map(move |q| ((q.instruction, text.clone()), normal_answer(&q.answers[0])))
    };
    passages.iter().flat_map(of).collect()
}

#[test]
fn triplets_hold_what_they_promise() {
    let passages = held_out();
    let known = known(&passages);
    let answer = |question: &str, text: &str| &known[&(question.to_string(), text.to_string())];
    let found = Validation::new(&passages, ValidationSize::default(), 1);
    assert_eq!(
        found,
        Validation::new(&passages, ValidationSize::default(), 1)
    );
    assert_ne!(
        found,
        Validation::new(&passages, ValidationSize::default(), 2)
    );
    assert_eq!(
        found.answers.len(),
        120,
        "every text under both shared questions"
    );
    for triplet in &found.answers {
        let of = |text: &str| answer(&triplet.instruction, text);
        assert_ne!(triplet.anchor, triplet.positive);
        assert_eq!(of(&triplet.anchor), of(&triplet.positive));
        assert_ne!(of(&triplet.anchor), of(&triplet.negative));
    }
    assert_eq!(found.questions.len(), 60);
    for triplet in &found.questions {
        let [first, second] = &triplet.instructions;
        assert!(first < second);
        assert_eq!(answer(first, &triplet.anchor), answer(first, &triplet.p));
        assert_ne!(answer(second, &triplet.anchor), answer(second, &triplet.p));
        assert_ne!(answer(first, &triplet.anchor), answer(first, &triplet.n));
        assert_eq!(answer(second, &triplet.anchor), answer(second, &triplet.n));
    }
}

#[test]
fn sizes_bound_and_small_questions_come_first() {
    let mut passages = held_out();
    for passage in &mut passages[10..] {
        passage.questions.remove(1);
    }
    let size = ValidationSize {
        answers: 30,
        each: 25,
        ..ValidationSize::default()
    };
    let found = Validation::new(&passages, size, 1);
    let of = |question: &str| {
        found
            .answers
            .iter()
            .filter(|t| t.instruction == question)
            .count()
    };
    assert_eq!((of(FEELING), of(TOPIC)), (10, 20));
    assert!(found.questions.is_empty(), "10 texts in common are too few");
}

#[test]
fn texts_that_share_a_word_of_any_answer_are_not_unlike() {
    let mut passages = held_out();
    for passage in &mut passages {
        passage.questions.truncate(1);
        passage.questions[0].answers.push(" trains".to_string());
    }
    let found = Validation::new(&passages, ValidationSize::default(), 1);
    assert_eq!(found, Validation::default(), "all texts share a word");
}

#[test]
fn a_folder_of_tasks_is_what_the_evaluation_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/validation");
    let found = Validation::new(&held_out(), ValidationSize::default(), 1);
    found.write(&path).unwrap();
    let tasks = std::fs::read_to_string(path.join("tasks.json")).unwrap();
    let tasks: Vec<serde_json::Value> = serde_json::from_str(&tasks).unwrap();
    let outline = |task: &serde_json::Value| {
        let file = path.join(task["file"].as_str().unwrap());
        let rows = inbedder_rows::read::<serde_json::Value>(&file)
            .unwrap()
            .len();
        assert_eq!(task["rows"], rows);
        (task["kind"].as_str().unwrap().to_string(), rows)
    };
    let outline: Vec<_> = tasks.iter().map(outline).collect();
    let expected = [
        ("sts", 240),
        ("reranking", 60),
        ("reranking", 60),
        ("triplets", 60),
    ];
    assert_eq!(
        outline,
        expected.map(|(kind, rows)| (kind.to_string(), rows))
    );
    let nothing = Validation::default().write(&path).unwrap_err();
    assert!(nothing.to_string().contains("hold more out"));
}

#[test]
fn joined_texts_are_about_two_people() {
    let everyday = |i: usize| {
        let name = ["Casey", "Alex", "Robin"][i % 3];
        let question = |instruction: String, answer: &str| Question {
            instruction,
            answers: vec![answer.to_string()],
        };
        Passage {
            text: format!("{name} did {i}."),
            source: None,
            weight: 1.0,
            questions: vec![
                question(format!("How does {name} feel?"), [" glad", " sad"][i % 2]),
                question(
                    format!("What will {name} do?"),
                    [" sleep", " eat"][i / 2 % 2],
                ),
            ],
        }
    };
    let passages: Vec<Passage> = (0..40).map(everyday).collect();
    let found = Validation::new(&passages, ValidationSize::default(), 1);
    assert_eq!(found.answers.len(), 80, "three names are one");
    assert_eq!(found.joined.len(), 40);
    let number = |part: &str| -> usize {
        let digits: String = part.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    };
    let halves = |text: &str| -> [usize; 2] {
        let (a, b) = text.split_once('\n').unwrap();
        let (first, second) = if a.contains("Alex") { (a, b) } else { (b, a) };
        assert!(second.contains("Robin"), "{text}");
        [number(first) % 2, number(second) / 2 % 2]
    };
    let mut orders = std::collections::HashSet::new();
    for triplet in &found.joined {
        assert_eq!(
            triplet.instructions,
            ["How does Alex feel?", "What will Robin do?"]
        );
        let [anchor, p, n] = [&triplet.anchor, &triplet.p, &triplet.n].map(|text| halves(text));
        assert_eq!([p[0], n[1]], anchor);
        assert_ne!(p[1], anchor[1]);
        assert_ne!(n[0], anchor[0]);
        orders.insert(triplet.anchor.starts_with("Alex"));
    }
    assert_eq!(orders.len(), 2, "either half comes first");
}
