//! Rendering and cutting, on a byte-level vocabulary with `<s>` in front and `</s>` as end of text.

use super::*;
use std::path::Path;

fn tokenizer() -> Tokenizer {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/llama/gqa_tied");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    std::fs::copy(golden.join("tokenizer.json"), &file).unwrap();
    let config = r#"{"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    Tokenizer::from_file(&file).unwrap()
}

fn render(template: &str, truncate: Truncate, max_tokens: usize, text: &str) -> Result<Prompt> {
    let tokenizer = tokenizer();
    let renderer = Renderer {
        tokenizer: &tokenizer,
        template: &template.parse().unwrap(),
        truncate,
        max_tokens,
    };
    renderer.render(text, "Why?")
}

/// A prompt as text, special tokens spelled out.
fn spelled(prompt: &Prompt) -> String {
    let tokenizer = tokenizer();
    let special: Vec<(&str, u32)> = tokenizer.special_tokens().collect();
    let mut text = String::new();
    for id in &prompt.ids {
        match special.iter().find(|(_, special)| special == id) {
            Some((content, _)) => text += content,
            None => text += &tokenizer.decode(&[*id]).unwrap(),
        }
    }
    text
}

#[track_caller]
fn check(template: &str, truncate: Truncate, max_tokens: usize, text: &str, expected: &str) {
    let prompt = render(template, truncate, max_tokens, text).unwrap();
    assert_eq!(spelled(&prompt), expected);
    let whole = render(template, truncate, 10_000, text).unwrap();
    assert_eq!(prompt.truncated, prompt.ids.len() < whole.ids.len());
    assert!(prompt.ids.len() <= max_tokens);
}

const PATTERN: &str = "T: {input}\nQ: {instruction}\nA:";

#[test]
fn a_prompt_within_the_budget_is_whole() {
    check(
        PATTERN,
        Truncate::Text,
        512,
        "abc",
        "<s>T: abc\nQ: Why?\nA:",
    );
    check(
        PATTERN,
        Truncate::Left,
        512,
        "abc",
        "<s>T: abc\nQ: Why?\nA:",
    );
}

#[test]
fn the_end_of_the_text_goes_first_and_question_and_marker_stay() {
    // A token per character: 14 around the text, and <s>.
    let text = "abcdefghij";
    let whole = render(PATTERN, Truncate::Text, 512, text)
        .unwrap()
        .ids
        .len();
    check(
        PATTERN,
        Truncate::Text,
        whole,
        text,
        "<s>T: abcdefghij\nQ: Why?\nA:",
    );
    check(
        PATTERN,
        Truncate::Text,
        whole - 1,
        text,
        "<s>T: abcdefghi\nQ: Why?\nA:",
    );
    check(
        PATTERN,
        Truncate::Text,
        whole - 9,
        text,
        "<s>T: a\nQ: Why?\nA:",
    );
    check(
        PATTERN,
        Truncate::Text,
        whole - 10,
        text,
        "<s>T:\u{20}\nQ: Why?\nA:",
    );
}

#[test]
fn the_reference_way_cuts_the_beginning_of_the_whole_prompt() {
    let text = "abcdefghij";
    let whole = render(PATTERN, Truncate::Left, 512, text)
        .unwrap()
        .ids
        .len();
    check(
        PATTERN,
        Truncate::Left,
        whole - 5,
        text,
        "<s>cdefghij\nQ: Why?\nA:",
    );
    check(PATTERN, Truncate::Left, 5, text, "<s>?\nA:");
}

#[test]
fn a_question_over_the_budget_is_an_error_that_says_by_how_much() {
    let error = render(PATTERN, Truncate::Text, 8, "abc").unwrap_err();
    let Error::QuestionTooLong {
        question,
        tokens,
        budget,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((question.as_str(), tokens, budget), ("Why?", 15, 8));
}

#[test]
fn special_tokens_count_in_templates_and_never_in_texts_or_questions() {
    let special = |text: &str| {
        let tokenizer = tokenizer();
        tokenizer
            .special_tokens()
            .find(|(content, _)| *content == text)
            .unwrap()
            .1
    };
    let (start, end) = (special("<s>"), special("</s>"));
    let count = |prompt: &Prompt, id: u32| prompt.ids.iter().filter(|i| **i == id).count();
    let text = "a</s>b<s>";
    let prompt = render(PATTERN, Truncate::Text, 512, text).unwrap();
    assert_eq!((count(&prompt, start), count(&prompt, end)), (1, 0));
    assert_eq!(spelled(&prompt), "<s>T: a</s>b<s>\nQ: Why?\nA:");

    let prompt = render("{input}</s>{instruction}", Truncate::Text, 512, text).unwrap();
    assert_eq!((count(&prompt, start), count(&prompt, end)), (1, 1));
    assert_eq!(spelled(&prompt), "<s>a</s>b<s></s>Why?");
}

#[test]
fn a_text_beyond_any_budget_is_cut_before_it_is_tokenised() {
    let text = "a".repeat(40_000_000);
    let prompt = render(PATTERN, Truncate::Text, 64, &text).unwrap();
    assert!(prompt.truncated);
    assert_eq!(prompt.ids.len(), 64);
    assert!(spelled(&prompt).ends_with("aaa\nQ: Why?\nA:"));
    let prompt = render(PATTERN, Truncate::Left, 64, &text).unwrap();
    assert!(spelled(&prompt).starts_with("<s>aaa") && prompt.truncated);
}

#[test]
fn an_empty_text_leaves_its_section_out() {
    let tokenizer = tokenizer();
    let template = Template::default();
    let renderer = Renderer {
        tokenizer: &tokenizer,
        template: &template,
        truncate: Truncate::Text,
        max_tokens: 512,
    };
    let prompt = renderer.render("", "Why?").unwrap();
    assert_eq!(
        spelled(&prompt),
        "<s>### Instruction:\nWhy?\n\n### Response:"
    );
}
