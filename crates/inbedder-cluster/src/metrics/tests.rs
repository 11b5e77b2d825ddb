//! Against scikit-learn: `golden/cluster/make.py`.

use super::*;
use proptest::prelude::*;

#[test]
fn as_scikit_learn() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../../../golden/cluster/metrics.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 15);
    for case in cases {
        let labels = |name: &str| -> Vec<i64> {
            let list = case[name].as_array().unwrap();
            list.iter().map(|label| label.as_i64().unwrap()).collect()
        };
        let table = Contingency::new(&labels("a"), &labels("b")).unwrap();
        let v = table.v_measure();
        for (name, found) in [
            ("homogeneity", v.homogeneity),
            ("completeness", v.completeness),
            ("v", v.v),
            ("ari", table.adjusted_rand()),
            ("nmi", table.normalized_mutual_information()),
            ("purity", table.purity()),
        ] {
            // Of nothing, scikit-learn has no contingency table and so no purity.
            let expected = case[name].as_f64().unwrap_or(1.0);
            assert!(
                (found - expected).abs() < 1e-12,
                "{}: {name} {found}, expected {expected}",
                case["name"]
            );
        }
        let bits = table.entropy_bits();
        let expected = case["entropy_bits"].as_array().map_or(&[][..], |list| list);
        assert_eq!(bits.len(), expected.len());
        for (found, expected) in bits.iter().zip(expected) {
            assert!((found - expected.as_f64().unwrap()).abs() < 1e-12);
        }
    }
}

#[test]
fn labels_are_ordered_and_counted() {
    let table = Contingency::new(&["b", "a", "b"], &[10, 10, 2]).unwrap();
    assert_eq!((table.rows(), table.columns()), (&[1, 2][..], &[1, 2][..]));
    assert_eq!(
        (table.count(1, 0), table.count(0, 0), table.count(0, 1)),
        (1, 0, 1)
    );
    assert!(matches!(
        Contingency::new(&[1, 2], &[1]),
        Err(Error::Length {
            found: 1,
            expected: 2,
            ..
        })
    ));
}

proptest! {
    #[test]
    fn names_do_not_matter_and_bounds_hold(
        pairs in proptest::collection::vec((0usize..5, 0usize..4), 0..60)
    ) {
        let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let table = Contingency::new(&a, &b).unwrap();
        let renamed: Vec<_> = a.iter().map(|label| 100 - 7 * label).collect();
        let other = Contingency::new(&renamed, &b).unwrap();
        prop_assert!((table.adjusted_rand() - other.adjusted_rand()).abs() < 1e-9);
        prop_assert!((table.v_measure().v - other.v_measure().v).abs() < 1e-9);
        let turned = Contingency::new(&b, &a).unwrap();
        prop_assert!((table.v_measure().homogeneity - turned.v_measure().completeness).abs() < 1e-9);
        prop_assert!((table.v_measure().v - table.normalized_mutual_information()).abs() < 1e-9);
        for measure in [table.v_measure().v, table.purity()] {
            prop_assert!((-1e-12..=1.0 + 1e-12).contains(&measure));
        }
        prop_assert!((Contingency::new(&a, &a).unwrap().adjusted_rand() - 1.0).abs() < 1e-12);
    }
}
