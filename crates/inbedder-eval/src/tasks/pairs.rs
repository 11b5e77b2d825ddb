//! Two clusterings of one corpus: the harmonic mean of their V-measures, as the paper's NYT by topic and
//! by place. Derived from any two clustering tasks of one file, so the manifest need not name them.

use crate::metrics::harmonic_mean;

/// Every two of some tasks, with the harmonic mean of their scores.
pub(crate) fn of(scores: &[(String, f64)]) -> Vec<([String; 2], f64)> {
    let mut pairs = Vec::new();
    for (i, (first, a)) in scores.iter().enumerate() {
        for (second, b) in &scores[i + 1..] {
            let names = [first.clone(), second.clone()];
            // V-measures are not negative but for rounding.
            pairs.push((names, harmonic_mean(&[a.max(0.0), b.max(0.0)])));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    #[test]
    fn three_tasks_make_three_pairs() {
        let scores = [("a", 0.5), ("b", 1.0), ("c", 0.0)].map(|(n, v)| (n.to_string(), v));
        let pairs = super::of(&scores);
        let names: Vec<String> = pairs.iter().map(|(names, _)| names.join("+")).collect();
        assert_eq!(names, ["a+b", "a+c", "b+c"]);
        assert!((pairs[0].1 - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(pairs[1].1, 0.0);
        assert!(super::of(&scores[..1]).is_empty());
    }
}
