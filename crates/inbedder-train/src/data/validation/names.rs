//! People in questions. Data about everyday events ask the same question of ever other people ("How would
//! Casey feel afterwards?"), whose names say nothing; with one name for all they are one question. Only
//! names of people are changed, and only given names that both sexes bear and data makers use for anybody.

/// Who everybody is called.
pub(super) const FIRST: &str = "Alex";
/// A second person beside the first.
pub(super) const SECOND: &str = "Robin";

const NAMES: [&str; 24] = [
    "Addison", "Alex", "Ash", "Aubrey", "Austin", "Bailey", "Cameron", "Carson", "Casey", "Jan",
    "Jesse", "Jordan", "Kai", "Kendall", "Lee", "Quinn", "Remy", "Riley", "Robin", "Sasha",
    "Skylar", "Sydney", "Taylor", "Tracy",
];

/// A text and its question with [`FIRST`] for the one that is asked about; as they are if the question
/// names nobody or several, or if the text knows another of that name.
pub(super) fn unnamed(text: &str, question: &str) -> (String, String) {
    let asked = |name: &&&str| has(question, name);
    let named: Vec<&&str> = NAMES.iter().filter(asked).collect();
    let same = (text.to_string(), question.to_string());
    match named[..] {
        [name] if *name != FIRST && has_any_case(text, name) && !has_any_case(text, FIRST) => {
            (rename(text, name, FIRST), rename(question, name, FIRST))
        }
        _ => same,
    }
}

/// The same with [`SECOND`] for [`FIRST`]; `None` if the question is not about the first, or the text
/// knows both.
pub(super) fn second(text: &str) -> Option<String> {
    (!has_any_case(text, SECOND)).then(|| rename(text, FIRST, SECOND))
}

/// Whether a word stands in a text.
pub(super) fn has(text: &str, word: &str) -> bool {
    places(text, word).next().is_some()
}

/// Some data are in lower case throughout.
fn has_any_case(text: &str, word: &str) -> bool {
    has(text, word) || has(text, &word.to_lowercase())
}

fn rename(text: &str, from: &str, to: &str) -> String {
    let replaced = replace(text, from, to);
    replace(&replaced, &from.to_lowercase(), to)
}

fn replace(text: &str, from: &str, to: &str) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut end = 0;
    for place in places(text, from) {
        renamed.push_str(&text[end..place]);
        renamed.push_str(to);
        end = place + from.len();
    }
    renamed.push_str(&text[end..]);
    renamed
}

/// Where a word begins that is not a part of a longer one.
fn places<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let found = text.match_indices(word).map(|(place, _)| place);
    found.filter(move |place| {
        let before = text[..*place].chars().next_back();
        let after = text[place + word.len()..].chars().next();
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !letter(before) && !letter(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, question: &str, expected: (&str, &str)) {
        let (text, question) = unnamed(text, question);
        assert_eq!((text.as_str(), question.as_str()), expected);
    }

    #[test]
    fn one_name_for_whoever_is_asked_about() {
        check(
            "Casey's dog bit casey, not Robin. Caseys!",
            "How does Casey feel?",
            (
                "Alex's dog bit Alex, not Robin. Caseys!",
                "How does Alex feel?",
            ),
        );
        for (text, question) in [
            ("Casey met Alex.", "How does Casey feel?"),
            ("Casey met Robin.", "What do Casey and Robin do?"),
            ("Nobody came.", "How does Casey feel?"),
            ("Paris is large.", "Where is Paris?"),
            ("Alex left.", "Where is Alex?"),
        ] {
            check(text, question, (text, question));
        }
        assert_eq!(second("Alex's"), Some("Robin's".to_string()));
        assert_eq!(second("Alex met robin"), None);
    }
}
