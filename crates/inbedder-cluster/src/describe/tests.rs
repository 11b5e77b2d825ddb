use super::*;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_string()).collect()
}

/// Two groups of texts on a line, and an outlier.
const LINE: [f32; 7] = [0.0, 0.1, 0.3, 9.0, 9.1, 9.5, 40.0];

fn partition() -> Partition {
    let groups = [0, 0, 0, 1, 1, 1];
    let labels: Vec<_> = groups.iter().map(|c| Some(*c)).chain([None]).collect();
    Partition::new(&labels)
}

fn described(answers: &[&str], labels: Option<&[&str]>) -> Description {
    let (answers, labels) = (strings(answers), labels.map(strings));
    let vectors = Vectors::new(&LINE, 1).unwrap();
    let known = Known {
        answers: Some(&answers),
        labels: labels.as_deref(),
        decoded: None,
    };
    describe(&vectors, &partition(), known).unwrap()
}

#[test]
fn the_frequent_answer_is_the_name_or_else_the_words() {
    let found = described(
        &[
            "Late.",
            "the parcel came late",
            "late",
            "so noisy a fan",
            "a loud fan",
            "hum of fan",
            "x",
        ],
        None,
    );
    let names: Vec<_> = found.clusters.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["late", "fan, hum, loud"]);
    let answer = found.clusters[0].answer.as_ref().unwrap();
    assert_eq!((answer.text.as_str(), answer.count), ("late", 2));
    assert_eq!(found.outliers, 1);
}

#[test]
fn one_name_is_not_given_twice() {
    let found = described(
        &["yes", "yes", "yes price", "yes", "yes", "yes size", ""],
        None,
    );
    assert_eq!(found.clusters[0].name, "yes");
    assert_eq!(found.clusters[1].name, "yes (size)");
    let found = described(&["yes"; 7], None);
    assert_eq!(found.clusters[1].name, "yes (1)");
    let found = described(&[""; 7], None);
    assert_eq!(found.clusters[1].name, "cluster 1");
}

#[test]
fn the_nearest_texts_come_nearest_first() {
    let found = described(&[""; 7], None);
    let rows = |c: usize| {
        found.clusters[c]
            .nearest
            .iter()
            .map(|n| n.row)
            .collect::<Vec<_>>()
    };
    assert_eq!((rows(0), rows(1)), (vec![1, 0, 2], vec![4, 3, 5]));
}

#[test]
fn with_labels_clusters_are_sorted_by_entropy_and_outliers_are_a_cluster() {
    let labels = ["a", "b", "c", "b", "b", "b", "a"];
    let found = described(&[""; 7], Some(&labels));
    let order: Vec<_> = found.clusters.iter().map(|c| c.cluster).collect();
    assert_eq!(order, [1, 0]);
    assert_eq!(found.clusters[0].entropy_bits, Some(0.0));
    assert!((found.clusters[1].entropy_bits.unwrap() - 3f64.log2()).abs() < 1e-12);
    assert_eq!(found.clusters[0].labels.as_ref().unwrap()["b"], 3);
    let agreement = found.agreement.unwrap();
    assert!((agreement.purity - 5.0 / 7.0).abs() < 1e-12);
    let clusters = [0, 0, 0, 1, 1, 1, 2];
    let table = Contingency::new(&labels, &clusters).unwrap();
    assert_eq!(agreement.adjusted_rand, table.adjusted_rand());
}

#[test]
fn lists_of_another_length_are_refused() {
    let vectors = Vectors::new(&LINE, 1).unwrap();
    let few = strings(&["one"]);
    let known = Known {
        labels: Some(&few),
        ..Known::default()
    };
    let refused = describe(&vectors, &partition(), known);
    assert!(matches!(
        refused,
        Err(Error::Length {
            found: 1,
            expected: 7,
            ..
        })
    ));
}
