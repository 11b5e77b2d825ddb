//! English words that carry no answer of their own (articles, pronouns, prepositions, auxiliaries), and
//! the negations, which turn an answer round and are therefore no stop-words. A list of the project's
//! own, for an answer must lose the same words in training, in clusters and in checks.

use std::collections::HashSet;
use std::sync::OnceLock;

const STOP_WORDS: &str = "
    a an the this that these those such same own
    i me my mine myself we us our ours ourselves you your yours yourself yourselves
    he him his himself she her hers herself it its itself they them their theirs themselves one's
    who whom whose which what when where why how there here
    am is are was were be been being do does did doing done have has had having
    can could may might must shall should will would ought
    and or but if because as until while than then so though although whether since
    of at by for with about against between into through during before after above below to from up
    down in out on off over under onto upon within among around along across towards toward via per
    again further once just very too also only even still both each other another any some all most
    more few now quite rather really
    i'm i've i'd i'll you're you've you'd you'll he's he'd he'll she's she'd she'll it's it'd it'll
    we're we've we'd we'll they're they've they'd they'll that's that'll there's here's what's who's
    where's how's let's should've could've would've
";

const NEGATIONS: &str = "no not never nor none nobody nothing nowhere neither without cannot";

/// Whether a word, in any case and with either apostrophe, carries no answer of its own. Negations do.
///
/// ```
/// use inbedder::stop_words::{is_negation, is_stop_word};
/// assert!(is_stop_word("The") && is_stop_word("she’s"));
/// assert!(!is_stop_word("not") && is_negation("not") && is_negation("don't"));
/// ```
pub fn is_stop_word(word: &str) -> bool {
    static WORDS: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let words = WORDS.get_or_init(|| STOP_WORDS.split_whitespace().collect());
    words.contains(plain(word).as_str())
}

/// Whether a word turns an answer round: no, not, never, …, and all that end with n't.
pub fn is_negation(word: &str) -> bool {
    let word = plain(word);
    word.ends_with("n't") || NEGATIONS.split(' ').any(|known| known == word)
}

fn plain(word: &str) -> String {
    word.to_lowercase().replace('’', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_lower_case_without_repeats_and_without_negations() {
        let words: Vec<&str> = STOP_WORDS.split_whitespace().collect();
        let distinct: HashSet<&str> = words.iter().copied().collect();
        assert_eq!(words.len(), distinct.len());
        for word in words {
            assert_eq!(word, plain(word));
            assert!(!is_negation(word), "{word}");
        }
    }

    #[test]
    fn what_an_answer_may_consist_of_is_no_stop_word() {
        for word in ["no", "never", "Don’t", "yes", "happy", "he'd've", ""] {
            assert!(!is_stop_word(word), "{word}");
        }
    }
}
