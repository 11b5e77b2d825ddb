//! Answers, and bags of their words.

use super::super::*;
use std::convert::Infallible;

#[test]
fn stop_words_go_and_negations_stay() {
    for (answer, expected) in [
        ("in the financial sector", " financial sector"),
        ("They did not like it", " not like"),
        ("don’t know", " don’t know"),
        ("No, never!", " No, never!"),
        ("because of the \"rain\"", " \"rain\""),
        ("she – was late", " late"),
        ("He is", " He is"),
        (" two  words\n", " two words"),
        (":-)", " :-)"),
    ] {
        assert_eq!(Answers::default().write(answer), expected, "{answer}");
    }
    let plain = Answers {
        without_stop_words: false,
        leading_space: false,
    };
    assert_eq!(plain.write(" in the  end "), "in the end");
}

/// A token per letter, told by its number in the alphabet; a word of one letter is 0 and 1.
fn letters(word: &str) -> Result<Vec<u32>, Infallible> {
    let word = word.strip_prefix(' ').expect("words come with a space");
    Ok(word.bytes().map(|byte| u32::from(byte - b'a')).collect())
}

#[track_caller]
fn check(answers: &[&str], expected: &[(u32, f32)]) {
    let answers: Vec<String> = answers.iter().map(|answer| answer.to_string()).collect();
    assert_eq!(bag(&answers, letters).unwrap(), expected, "{answers:?}");
}

#[test]
fn a_bag_holds_every_token_of_every_word_once_per_word() {
    check(
        &[" ab c"],
        &[(0, 1.0 / 3.0), (1, 1.0 / 3.0), (2, 1.0 / 3.0)],
    );
    check(&[" ab", " ac."], &[(0, 0.5), (1, 0.25), (2, 0.25)]);
    check(&[" ab", " \"ab\""], &[(0, 0.5), (1, 0.5)]);
    check(&[], &[]);
}
