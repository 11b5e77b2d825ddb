//! Made-up vectors of which the right verdict is known.

use super::*;

/// `count` texts in three groups, moved by `scatter` and by `shift` of the wording.
fn vectors(count: usize, groups: bool, shift: f32, seed: u64) -> Matrix {
    let dim = 8;
    let mut noise = Random::new(seed, "noise");
    let mut data = Vec::new();
    for text in 0..count {
        for d in 0..dim {
            let random = noise.below(1000) as f32 / 1000.0 - 0.5;
            let group = if groups && d == text % 3 { 5.0 } else { 0.0 };
            data.push(group + 0.2 * random + if d == 7 { shift } else { 0.0 });
        }
    }
    Matrix { data, dim }
}

fn measured(own: Matrix, paraphrase: Matrix) -> Measures {
    let wordings = Wordings {
        empty: vectors(60, false, 0.0, 99),
        own,
        paraphrases: vec![paraphrase],
    };
    let settings = CheckSettings {
        clusters: Some(3),
        ..CheckSettings::default()
    };
    measure(&wordings, &settings).unwrap()
}

#[test]
fn groups_that_stay_are_good() {
    let found = measured(vectors(60, true, 0.0, 1), vectors(60, true, 0.0, 2));
    assert!(found.text_share > 0.95, "{found:?}");
    assert_eq!(found.paraphrase_agreement, 1.0);
    assert_eq!(found.halves_agreement, 1.0);
    assert!(found.empty_agreement.abs() < 0.2, "{found:?}");
    assert!((found.text_share + found.wording_share + found.mixed_share - 1.0).abs() < 1e-9);
    assert_eq!(Verdict::new(&found, None).level, Level::Good);
}

#[test]
fn noise_is_poor_for_the_reason_that_it_is_noise() {
    let found = measured(vectors(60, false, 0.0, 1), vectors(60, false, 0.0, 2));
    let verdict = Verdict::new(&found, None);
    assert_eq!(verdict.level, Level::Poor, "{found:?}");
    assert!(
        verdict.sentence.contains("agreement"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn a_wording_that_moves_all_texts_shows_in_its_share() {
    let found = measured(vectors(60, true, 0.0, 1), vectors(60, true, 20.0, 1));
    assert!(
        found.wording_share > 0.8 && found.text_share < 0.2,
        "{found:?}"
    );
    assert_eq!(found.paraphrase_agreement, 1.0);
}

#[test]
fn answers_that_say_nothing_are_poor_whatever_the_vectors() {
    let found = measured(vectors(60, true, 0.0, 1), vectors(60, true, 0.0, 2));
    let answers = Answers::new(&["", "unknown", "blue"].map(str::to_string));
    let verdict = Verdict::new(&found, Some(&answers));
    assert_eq!(verdict.level, Level::Poor);
    assert!(verdict.sentence.contains("67 %"), "{}", verdict.sentence);
}

#[test]
fn vectors_that_are_all_the_same_are_no_reason_to_fail() {
    let same = Matrix {
        data: vec![1.0; 60 * 8],
        dim: 8,
    };
    let found = measured(same.clone(), same);
    assert_eq!((found.text_share, found.wording_share), (0.0, 0.0));
    assert!(found.score.is_finite());
}

#[test]
fn too_little_to_measure_on_is_refused() {
    let wordings = |texts: usize, paraphrases: usize| Wordings {
        own: vectors(texts, true, 0.0, 1),
        paraphrases: vec![vectors(texts, true, 0.0, 2); paraphrases],
        empty: vectors(texts, true, 0.0, 3),
    };
    let refused = |wordings, clusters, part: &str| {
        let settings = CheckSettings {
            clusters,
            ..CheckSettings::default()
        };
        let message = measure(&wordings, &settings).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(wordings(19, 1), None, "at least 20");
    refused(wordings(20, 0), None, "at least one");
    refused(wordings(20, 1), Some(11), "half the texts");
}
