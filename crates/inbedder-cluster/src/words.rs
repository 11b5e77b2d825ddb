//! Clusters in words: TF-IDF of the answers and tokens from the language-model head, both as in the
//! authors' `propose.py`, and the most frequent answer.

use inbedder::{LikelyToken, stop_words};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Words kept of each kind, as the authors keep.
pub const TOP: usize = 20;

/// Words that name no cluster; a negation alone does not say of what.
fn is_stop_word(word: &str) -> bool {
    stop_words::is_stop_word(word) || stop_words::is_negation(word)
}

/// The words of a text in lower case: runs of letters, digits and inner apostrophes, two characters
/// or more, no stop-words.
pub fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’');
    let word = |part: &str| part.trim_matches(['\'', '’']).to_lowercase();
    parts
        .map(word)
        .filter(|word| word.chars().count() > 1 && !is_stop_word(word))
        .collect()
}

/// An answer as it is counted: lower case, single spaces, no articles in front, no punctuation at the
/// ends.
pub fn normalized(answer: &str) -> String {
    let lower = answer.to_lowercase();
    let words = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    let bare = words.trim_matches(|c: char| !c.is_alphanumeric());
    let articles = ["the ", "an ", "a "];
    let without = articles
        .iter()
        .find_map(|article| bare.strip_prefix(article));
    without.unwrap_or(bare).trim_start().to_string()
}

/// The most frequent normalised answer of a cluster and how often it is given; the first in the
/// alphabet of equals, `None` if all answers are empty.
pub fn most_frequent<'a>(answers: impl IntoIterator<Item = &'a str>) -> Option<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers {
        let answer = normalized(answer);
        if !answer.is_empty() {
            *counts.entry(answer).or_default() += 1;
        }
    }
    // The last of the largest, so the order is turned.
    counts.into_iter().rev().max_by_key(|(_, count)| *count)
}

/// The top words of every cluster: all its answers are one document; TF-IDF over these documents
/// (scikit-learn's: counts · (ln((1 + n) / (1 + df)) + 1), to unit length) minus the mean over clusters.
/// At most [`TOP`] each, only those above 0.
pub fn tf_idf(documents: &[Vec<&str>]) -> Vec<Vec<(String, f64)>> {
    let counts: Vec<BTreeMap<String, f64>> = documents
        .iter()
        .map(|answers| {
            let mut counts = BTreeMap::new();
            for word in answers.iter().flat_map(|answer| words(answer)) {
                *counts.entry(word).or_insert(0.0) += 1.0;
            }
            counts
        })
        .collect();
    let mut frequency: HashMap<&str, f64> = HashMap::new();
    for word in counts.iter().flat_map(BTreeMap::keys) {
        *frequency.entry(word).or_default() += 1.0;
    }
    let n = documents.len() as f64;
    let idf = |word: &str| ((1.0 + n) / (1.0 + frequency[word])).ln() + 1.0;
    let mut mean: HashMap<&str, f64> = HashMap::new();
    let mut weighted = Vec::with_capacity(counts.len());
    for counts in &counts {
        let weights: Vec<(&str, f64)> = counts
            .iter()
            .map(|(word, count)| (word.as_str(), count * idf(word)))
            .collect();
        let length = weights.iter().map(|(_, w)| w * w).sum::<f64>().sqrt();
        let weights: Vec<(&str, f64)> = weights
            .into_iter()
            .map(|(word, w)| (word, w / length))
            .collect();
        for (word, weight) in &weights {
            *mean.entry(word).or_default() += weight / n;
        }
        weighted.push(weights);
    }
    let top = |weights: Vec<(&str, f64)>| {
        let above = weights.into_iter().map(|(word, w)| (word, w - mean[word]));
        let mut above: Vec<_> = above.filter(|(_, w)| *w > 1e-12).collect();
        above.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        above.truncate(TOP);
        above
            .into_iter()
            .map(|(word, w)| (word.to_string(), w))
            .collect()
    };
    weighted.into_iter().map(top).collect()
}

/// All words of some texts, for [`whole_words`].
pub fn vocabulary<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let letters = |text: &'a str| text.split(|c: char| !c.is_alphabetic());
    let words = texts.into_iter().flat_map(letters);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The whole words among likely tokens, likeliest first, at most [`TOP`]: tokens that begin a word
/// (a space in front, in the vocabulary's spelling), of three letters or more and nothing else, no
/// stop-word, none twice whatever its case. A token alone does not tell a word from the beginning of
/// one (`compl`, `showc`): whole are those that stand as words in `known`, the corpus and its answers.
pub fn whole_words(tokens: &[LikelyToken], known: &BTreeSet<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for token in tokens {
        if !token.spelling.starts_with(['Ġ', '▁']) {
            continue;
        }
        let word = token.text.trim();
        let lower = word.to_lowercase();
        let letters = word.chars().count() > 2 && word.chars().all(char::is_alphabetic);
        let whole = letters && !is_stop_word(&lower) && known.contains(&lower);
        if whole && !found.contains(&lower) {
            found.push(lower);
        }
        if found.len() == TOP {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_without_case_articles_and_full_stops() {
        for answer in [
            "The  Delivery.",
            "delivery",
            "a delivery!",
            " \"Delivery\" ",
        ] {
            assert_eq!(normalized(answer), "delivery", "{answer}");
        }
        let answers = ["Price", "the delivery", "price.", "Delivery", "", "size"];
        assert_eq!(most_frequent(answers), Some(("delivery".to_string(), 2)));
        assert_eq!(most_frequent(["", "?"]), None);
    }

    #[test]
    fn tf_idf_by_hand() {
        let documents = [vec!["red dog", "dog"], vec!["the red cat"], vec![]];
        let found = tf_idf(&documents);
        // df: red 2, dog 1, cat 1 of 3 documents.
        let (red, rare) = ((4.0f64 / 3.0).ln() + 1.0, 2.0f64.ln() + 1.0);
        let (first, second) = ((2.0 * rare).hypot(red), rare.hypot(red));
        let dog = 2.0 * rare / first;
        assert_eq!(found[0][0].0, "dog");
        assert!((found[0][0].1 - dog * 2.0 / 3.0).abs() < 1e-12);
        let reds = (red / first, red / second);
        let cat: Vec<&str> = found[1].iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(cat, ["cat", "red"]);
        assert!((found[1][1].1 - (reds.1 - (reds.0 + reds.1) / 3.0)).abs() < 1e-12);
        assert!(found[2].is_empty());
    }

    #[test]
    fn one_cluster_is_not_above_its_own_mean() {
        assert_eq!(tf_idf(&[vec!["something"]]), [vec![]]);
    }

    #[test]
    fn only_whole_words_once_and_no_stop_words() {
        let tokens: Vec<LikelyToken> = [
            "ĠDelivery",
            "ing",
            "Ġdelivery",
            "Ġthe",
            "Ġcompl",
            "Ġ42",
            "▁late",
            "Ġab",
            "Ġparcel",
        ]
        .iter()
        .enumerate()
        .map(|(id, spelling)| LikelyToken {
            id: id as u32,
            spelling: (*spelling).to_string(),
            text: spelling.replace(['Ġ', '▁'], " "),
            score: -(id as f32),
        })
        .collect();
        let known = vocabulary(["A complaint: late, later!", "The delivery of ab parcel 42"]);
        assert_eq!(whole_words(&tokens, &known), ["delivery", "late", "parcel"]);
    }
}
