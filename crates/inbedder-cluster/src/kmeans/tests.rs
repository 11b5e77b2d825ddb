use super::*;
use crate::Contingency;

/// Points around `k` places, in turn, and the place of each.
fn blobs(k: usize, rows: usize, dim: usize, spread: f32) -> (Vec<f32>, Vec<usize>) {
    let mut random = Random::new(99, 0);
    let mut draw = |scale: f32| scale * (random.unit() as f32 - 0.5);
    let places: Vec<f32> = (0..k * dim).map(|_| 5.0 + draw(2.0)).collect();
    let labels: Vec<usize> = (0..rows).map(|i| i % k).collect();
    let data = labels
        .iter()
        .flat_map(|label| places[label * dim..][..dim].to_vec())
        .map(|place| place + draw(spread))
        .collect();
    (data, labels)
}

fn agreement(found: &[usize], labels: &[usize]) -> f64 {
    Contingency::new(labels, found).unwrap().adjusted_rand()
}

#[test]
fn both_methods_find_blobs() {
    let (data, labels) = blobs(7, 2000, 24, 0.4);
    let vectors = Vectors::new(&data, 24).unwrap();
    for settings in [KMeans::full(7, 1), KMeans::mini_batch(7, 1)] {
        let found = settings.fit(&vectors).unwrap();
        assert_eq!(agreement(&found.labels, &labels), 1.0, "{settings:?}");
        assert_eq!(found.sizes(7).iter().sum::<usize>(), 2000);
    }
}

#[test]
fn a_result_does_not_depend_on_the_threads() {
    let (data, _) = blobs(40, 3000, 16, 3.0);
    let vectors = Vectors::new(&data, 16).unwrap();
    for settings in [KMeans::full(9, 5), KMeans::mini_batch(9, 5)] {
        let fit = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build()
                .unwrap()
                .install(|| settings.fit(&vectors).unwrap())
        };
        assert_eq!(fit(1), fit(3), "{settings:?}");
    }
}

#[test]
fn another_seed_is_another_start_and_more_starts_are_never_worse() {
    let (data, _) = blobs(60, 1200, 8, 2.0);
    let vectors = Vectors::new(&data, 8).unwrap();
    let one = KMeans {
        starts: 1,
        ..KMeans::full(12, 1)
    };
    let inertia = |settings: KMeans| settings.fit(&vectors).unwrap().inertia;
    assert_ne!(inertia(one), inertia(KMeans { seed: 2, ..one }));
    assert!(inertia(KMeans::full(12, 1)) <= inertia(one) * (1.0 + 1e-9));
}

#[test]
fn labels_are_those_of_the_nearest_centres_and_centres_the_means() {
    let (data, _) = blobs(5, 600, 6, 1.5);
    let vectors = Vectors::new(&data, 6).unwrap();
    let found = KMeans::full(5, 3).fit(&vectors).unwrap();
    let mut inertia = 0.0;
    for (i, label) in found.labels.iter().enumerate() {
        let to = |c: usize| squared_distance(vectors.row(i), &found.centers[c * 6..][..6]);
        let least = (0..5).map(to).fold(f64::INFINITY, f64::min);
        assert!(to(*label) <= least + 1e-6);
        inertia += to(*label);
    }
    assert!((inertia - found.inertia).abs() < 1e-6 * inertia);
    for cluster in 0..5 {
        let rows: Vec<usize> = (0..600).filter(|i| found.labels[*i] == cluster).collect();
        let own = vectors.gather(&rows);
        let mean = Vectors::new(&own, 6).unwrap().mean();
        // Within what the tolerance leaves.
        assert!(squared_distance(&mean, &found.centers[cluster * 6..][..6]) < 1e-3);
    }
}

#[test]
fn no_worse_than_a_partition_that_is_known() {
    // The blobs overlap: what the places themselves would give is an upper bound.
    let (data, labels) = blobs(10, 4000, 12, 2.5);
    let vectors = Vectors::new(&data, 12).unwrap();
    let mut means = Vec::new();
    for place in 0..10 {
        let rows: Vec<usize> = (0..4000).filter(|i| labels[*i] == place).collect();
        means.extend(Vectors::new(&vectors.gather(&rows), 12).unwrap().mean());
    }
    let known = inertia(&vectors, &means, &labels);
    assert!(KMeans::full(10, 0).fit(&vectors).unwrap().inertia <= known);
    assert!(KMeans::mini_batch(10, 0).fit(&vectors).unwrap().inertia <= 1.1 * known);
}

#[test]
fn fewer_distinct_vectors_than_clusters_leave_clusters_empty() {
    let data: Vec<f32> = (0..40).flat_map(|i| [(i % 3) as f32, 1.0]).collect();
    let vectors = Vectors::new(&data, 2).unwrap();
    for settings in [KMeans::full(5, 0), KMeans::mini_batch(5, 0)] {
        let found = settings.fit(&vectors).unwrap();
        let filled = found.sizes(5).iter().filter(|size| **size > 0).count();
        assert_eq!(filled, 3, "{settings:?}");
        assert!(found.inertia < 1e-9);
    }
}

#[test]
fn as_many_clusters_as_vectors_and_a_single_one() {
    let (data, _) = blobs(3, 6, 4, 1.0);
    let vectors = Vectors::new(&data, 4).unwrap();
    let mut each = KMeans::full(6, 0).fit(&vectors).unwrap().labels;
    each.sort_unstable();
    assert_eq!(each, [0, 1, 2, 3, 4, 5]);
    let one = KMeans::full(1, 0).fit(&vectors).unwrap();
    assert!(squared_distance(&one.centers, &vectors.mean()) < 1e-9);
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let vectors = Vectors::new(&[1.0, 2.0], 1).unwrap();
    for k in [0, 3] {
        let refused = KMeans::full(k, 0).fit(&vectors).unwrap_err();
        assert!(matches!(refused, Error::ClusterCount { rows: 2, .. }));
    }
    let none = KMeans {
        starts: 0,
        ..KMeans::full(1, 0)
    };
    assert!(matches!(none.fit(&vectors), Err(Error::Zero { .. })));
    let none = Method::MiniBatch { batch: 0 };
    let none = KMeans {
        method: none,
        ..KMeans::full(1, 0)
    };
    assert!(matches!(none.fit(&vectors), Err(Error::Zero { .. })));
}
