//! Drawing triplets of text numbers from the answers to questions.

use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};

/// How often a text with another answer is drawn before the texts are gone through.
const TRIES: usize = 16;

/// The texts that a question was asked about.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Text → its answers.
    answers: BTreeMap<usize, BTreeSet<String>>,
    /// Answer → the texts that have it, rising.
    texts: BTreeMap<String, BTreeSet<usize>>,
}

impl Asked {
    pub(super) fn add(&mut self, text: usize, answers: BTreeSet<String>) {
        for answer in &answers {
            self.texts.entry(answer.clone()).or_default().insert(text);
        }
        self.answers.entry(text).or_default().extend(answers);
    }

    fn agree(&self, a: usize, b: usize) -> bool {
        !self.answers[&a].is_disjoint(&self.answers[&b])
    }

    /// Other texts with one of a text's answers, rising.
    fn like(&self, text: usize) -> Vec<usize> {
        let of_answer = self.answers[&text]
            .iter()
            .flat_map(|answer| &self.texts[answer]);
        let mut like: Vec<usize> = of_answer.copied().filter(|other| *other != text).collect();
        like.sort_unstable();
        like.dedup();
        like
    }

    /// At most `most` of anchor, a text with its answer, a text without; an anchor occurs once.
    pub(super) fn of_one_question(&self, most: usize, random: &mut Random) -> Vec<[usize; 3]> {
        if self.texts.len() < 2 {
            return Vec::new();
        }
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
            let unlike = |text: &usize| !self.agree(anchor, *text);
            if let Some(negative) = draw(&texts, unlike, random) {
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
pub(super) fn pairs<'a>(asked: &BTreeMap<&'a str, Asked>) -> Vec<([&'a str; 2], Vec<usize>)> {
    let mut of_text: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (question, texts) in asked {
        // A question of one text has no like.
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
        like.retain(|text| both(text) && !far.agree(anchor, *text));
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
