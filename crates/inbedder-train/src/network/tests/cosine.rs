//! `answer-cosine` beside other objectives, and by what it says of states; autograd and slopes are with the
//! other objectives'.

use super::*;

fn scale(cosine: f32) -> Scale {
    Scale {
        causal: 0.0,
        cosine,
        ..CAUSAL
    }
}

#[test]
fn beside_the_other_objectives_losses_and_gradients_add_up() {
    let (network, parameters) = network("untied_bias", &Trained::All, Isa::detect().unwrap());
    let all = Scale {
        causal: 0.1,
        whole_answer: 0.2,
        contrast: 0.3,
        cosine: 0.4,
    };
    let none = scale(0.0);
    let alone = [
        Scale {
            causal: 0.1,
            ..none
        },
        Scale {
            whole_answer: 0.2,
            ..none
        },
        Scale {
            contrast: 0.3,
            ..none
        },
        Scale {
            cosine: 0.4,
            ..none
        },
    ];
    let of = |scale| gradients(&network, &parameters, &Batch::new(&rows(), scale));
    let (loss, sums) = of(all);
    let (mut expected, mut expected_sums) = (0.0, vec![0.0; sums.len()]);
    for (part, of_part) in alone.map(of) {
        assert!(part > 0.0);
        expected += part;
        expected_sums
            .iter_mut()
            .zip(&of_part)
            .for_each(|(sum, part)| *sum += part);
    }
    assert!((loss / expected - 1.0).abs() < 1e-5);
    assert!(difference(&sums, &expected_sums) < 1e-4);
}

#[test]
fn a_pair_counts_by_how_far_its_cosine_is_from_its_answers() {
    let (network, parameters) = network("tied", &Trained::All, Isa::detect().unwrap());
    let row = |prompt: u32, bag: &[(u32, f32)]| crate::data::dump::Row {
        prompt_ids: vec![5, prompt],
        answer_ids: vec![8, 1],
        bag: bag.to_vec(),
    };
    let loss = |rows: &[crate::data::dump::Row], weight: f32| {
        let batch = Batch::new(rows, scale(weight));
        let mut work = Workspace::default();
        network.loss(&batch, &parameters.values, &mut work).unwrap()
    };
    let (cat, dog) = ([(8, 1.0)], [(9, 1.0)]);
    assert_eq!(loss(&[row(6, &cat)], 1.0), 0.0, "no pair");
    // cosine − 1 and cosine − wanted: the same state, the answer alone is another.
    let same = loss(&[row(6, &cat), row(7, &cat)], 1.0).sqrt();
    let other = loss(&[row(6, &cat), row(7, &dog)], 1.0).sqrt();
    let head = tensors(&golden().join("train/tied/model.safetensors"));
    let head = &head["model.embed_tokens.weight"];
    let hidden = network.spec().hidden;
    let mean: Vec<f32> = (0..hidden)
        .map(|i| head.iter().skip(i).step_by(hidden).sum::<f32>() / (head.len() / hidden) as f32)
        .collect();
    let answer = |token: usize| -> Vec<f32> {
        let row = &head[token * hidden..][..hidden];
        row.iter()
            .zip(&mean)
            .map(|(value, mean)| value - mean)
            .collect()
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let (a, b) = (answer(8), answer(9));
    let wanted = (dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()).max(0.0);
    let found = [1.0 - same, 1.0 + same];
    let off = found.map(|cosine| ((cosine - wanted).abs() - other).abs());
    assert!(off[0].min(off[1]) < 1e-5, "{same} {other} {wanted}");
    let rows = [row(6, &cat), row(7, &dog), row(9, &cat)];
    assert!((loss(&rows, 2.0) / loss(&rows, 1.0) - 2.0).abs() < 1e-6);
}
