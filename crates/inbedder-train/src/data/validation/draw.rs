//! Drawing triplets of text numbers from the answers to questions.

use super::super::text::normal_answer;
use crate::random::Random;
use inbedder::stop_words::is_stop_word;
use std::collections::{BTreeMap, BTreeSet};

/// How often a text with another answer is drawn before the texts are gone through.
const TRIES: usize = 16;

/// An answer's words that are no stop-words.
type Words = BTreeSet<String>;

/// The texts that a question was asked about.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Text → its answers.
    answers: BTreeMap<usize, Vec<Words>>,
    /// Word → the texts that have it in an answer.
    texts: BTreeMap<String, BTreeSet<usize>>,
}

impl Asked {
    pub(super) fn add(&mut self, text: usize, answer: &str) {
        let normal = normal_answer(answer);
        let all = || normal.split(' ').map(str::to_string);
        let mut words: Words = all().filter(|word| !is_stop_word(word)).collect();
        if words.is_empty() {
            words = all().collect();
        }
        for word in &words {
            self.texts.entry(word.clone()).or_default().insert(text);
        }
        self.answers.entry(text).or_default().push(words);
    }

    /// Whether two texts have an answer in common, as far as half of its words.
    fn alike(&self, a: usize, b: usize) -> bool {
        let pairs = self.answers[&a]
            .iter()
            .flat_map(|a| self.answers[&b].iter().map(move |b| (a, b)));
        pairs
            .into_iter()
            .any(|(a, b)| 2 * a.intersection(b).count() >= a.union(b).count())
    }

    /// Whether the answers of two texts have no word in common.
    fn unlike(&self, a: usize, b: usize) -> bool {
        let words = |text: usize| self.answers[&text].iter().flatten();
        let of_b: BTreeSet<&String> = words(b).collect();
        words(a).all(|word| !of_b.contains(word))
    }

    /// Other texts with a text's answer, rising.
    fn like(&self, text: usize) -> Vec<usize> {
        let words = self.answers[&text].iter().flatten();
        let near: BTreeSet<usize> = words.flat_map(|word| &self.texts[word]).copied().collect();
        near.into_iter()
            .filter(|other| *other != text && self.alike(text, *other))
            .collect()
    }

    /// At most `most` of anchor, a text with its answer, a text without; an anchor occurs once.
    pub(super) fn of_one_question(&self, most: usize, random: &mut Random) -> Vec<[usize; 3]> {
        let texts: Vec<usize> = self.answers.keys().copied().collect();
        let mut anchors = texts.clone();
        random.shuffle(&mut anchors);
        let mut drawn = Vec::new();
        for anchor in anchors {
            if drawn.len() == most {
                break;
            }
            let like = self.like(anchor);
            let Some(&positive) = random.choose(&like) else {
                continue;
            };
            if let Some(negative) = draw(&texts, |text| self.unlike(anchor, *text), random) {
                drawn.push([anchor, positive, negative]);
            }
        }
        drawn
    }
}

/// A thing that fits: by lot, and where few fit, by lot among those.
fn draw(things: &[usize], fits: impl Fn(&usize) -> bool, random: &mut Random) -> Option<usize> {
    for _ in 0..TRIES {
        match random.choose(things) {
            Some(thing) if fits(thing) => return Some(*thing),
            _ => {}
        }
    }
    let fitting: Vec<usize> = things.iter().copied().filter(fits).collect();
    random.choose(&fitting).copied()
}

/// Pairs of questions, in alphabetical order, with the texts that were asked both, rising.
pub(super) fn pairs(asked: &BTreeMap<String, Asked>) -> Vec<([&str; 2], Vec<usize>)> {
    let mut of_text: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (question, texts) in asked {
        // Anchor, its like and its unlike.
        if texts.answers.len() > 2 {
            for text in texts.answers.keys() {
                of_text.entry(*text).or_default().push(question);
            }
        }
    }
    let mut pairs: BTreeMap<[&str; 2], Vec<usize>> = BTreeMap::new();
    for (text, questions) in of_text {
        for (place, first) in questions.iter().enumerate() {
            for second in &questions[place + 1..] {
                pairs.entry([first, second]).or_default().push(text);
            }
        }
    }
    pairs.into_iter().collect()
}

/// At most `most` of anchor, its like under the first question alone, its like under the second alone;
/// all of `texts`, which were asked both.
pub(super) fn of_two_questions(
    [first, second]: [&Asked; 2],
    texts: &[usize],
    most: usize,
    random: &mut Random,
) -> Vec<[usize; 3]> {
    let mut anchors = texts.to_vec();
    random.shuffle(&mut anchors);
    let both = |text: &usize| texts.binary_search(text).is_ok();
    let mut like_in = |anchor: usize, near: &Asked, far: &Asked| {
        let mut like = near.like(anchor);
        like.retain(|text| both(text) && far.unlike(anchor, *text));
        random.choose(&like).copied()
    };
    let mut drawn = Vec::new();
    for anchor in anchors {
        if drawn.len() == most {
            break;
        }
        let p = like_in(anchor, first, second);
        let n = like_in(anchor, second, first);
        if let (Some(p), Some(n)) = (p, n) {
            drawn.push([anchor, p, n]);
        }
    }
    drawn
}
