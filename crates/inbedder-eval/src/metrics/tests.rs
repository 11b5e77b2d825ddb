//! Against SciPy and scikit-learn: golden/eval/metrics.json, made by make.py beside it.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../golden/eval/metrics.json")).unwrap()
}

fn cases(name: &str) -> Vec<Value> {
    let cases = golden()[name].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(found: Option<f64>, case: &Value, what: &str) {
    match (found, case[what].as_f64()) {
        (None, None) => {}
        (Some(found), Some(expected)) if (found - expected).abs() < 1e-9 => {}
        (found, expected) => panic!("{what}: {found:?}, expected {expected:?} of {case}"),
    }
}

#[test]
fn correlations_are_scipys() {
    for case in cases("correlations") {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        close(pearson(&a, &b), &case, "pearson");
        close(spearman(&a, &b), &case, "spearman");
    }
    assert_eq!(pearson(&[], &[]), None);
    assert_eq!(spearman(&[1.0], &[2.0]), None);
}

#[test]
fn average_precision_is_scikit_learns() {
    for case in cases("precisions") {
        let relevant = case["relevant"].as_array().unwrap().iter();
        let relevant: Vec<bool> = relevant.map(|r| r.as_bool().unwrap()).collect();
        let found = average_precision(&relevant, &numbers(&case["scores"]));
        close(found, &case, "average_precision");
    }
    assert_eq!(average_precision(&[false], &[1.0]), None);
}

#[test]
fn means_and_quantiles_are_numpys_and_scipys() {
    for case in cases("means") {
        let values = numbers(&case["values"]);
        close(Some(harmonic_mean(&values)), &case, "harmonic");
        close(Some(mean(&values)), &case, "mean");
        close(Some(deviation(&values)), &case, "deviation");
        for pair in case["quantiles"].as_array().unwrap() {
            let pair = numbers(pair);
            let found = quantile(&mut values.clone(), pair[0]);
            assert!((found - pair[1]).abs() < 1e-12, "{found} of {case}");
        }
    }
    assert_eq!(success_rate(&[true, false, true, true]), 0.75);
    assert_eq!(
        (success_rate(&[]), mean(&[]), harmonic_mean(&[])),
        (0.0, 0.0, 0.0)
    );
}

proptest! {
    #[test]
    fn ranks_care_for_order_alone(values in proptest::collection::vec(-50i32..50, 2..40), seed in 0u64..9) {
        let a: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        let b: Vec<f64> = values.iter().map(|v| f64::from((v * 7 + seed as i32) % 11)).collect();
        let stretched: Vec<f64> = a.iter().map(|v| (v / 10.0).exp()).collect();
        match (spearman(&a, &b), spearman(&stretched, &b)) {
            (Some(x), Some(y)) => prop_assert!((x - y).abs() < 1e-12),
            (x, y) => prop_assert_eq!(x, y),
        }
    }
}
