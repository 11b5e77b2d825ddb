//! When two texts, and when two answers, are the same.

/// Lower case and single spaces: how texts are compared, so that a copy with other line breaks is found.
pub(super) fn normal(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.extend(word.chars().flat_map(char::to_lowercase));
    }
    normal
}

/// Letters and digits in lower case, single spaces: how answers are compared. An answer of nothing else
/// (`:-)`) is compared as it is.
pub(super) fn normal_answer(answer: &str) -> String {
    let bare: String = answer
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    let bare = normal(&bare);
    if bare.is_empty() {
        normal(answer)
    } else {
        bare
    }
}

/// Whether an answer is one of some, case and signs aside.
pub fn is_answer(answer: &str, answers: &[String]) -> bool {
    let answer = normal_answer(answer);
    answers.iter().any(|right| normal_answer(right) == answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_spaces_and_for_answers_signs_do_not_count() {
        assert_eq!(normal(" A\tb\n\u{a0}ÇD. "), "a b çd.");
        assert_eq!(normal_answer("The U.S.!"), "the u s");
        assert_eq!(normal_answer(" :-) "), ":-)");
    }
}
