//! Measures of one list or two, by the definitions of SciPy and scikit-learn; what those of
//! partitions are, `inbedder-cluster` knows. Where SciPy gives NaN, these give `None`.

/// Pearson's correlation; `None` with fewer than two pairs or a constant list.
///
/// # Panics
/// If the lists are not of one length.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "pairs have two sides");
    let constant = |list: &[f64]| list.iter().all(|value| *value == list[0]);
    if a.len() < 2 || constant(a) || constant(b) {
        return None;
    }
    let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        of_a += a * a;
        of_b += b * b;
    }
    let correlation = both / (of_a.sqrt() * of_b.sqrt());
    // Differences too small for f64 are a constant in all but name.
    correlation
        .is_finite()
        .then(|| correlation.clamp(-1.0, 1.0))
}

/// Spearman's rank correlation, ties by their mean rank; `None` as for [`pearson`].
///
/// # Panics
/// If the lists are not of one length.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// Ranks from 1, equal values with the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let value = values[order[first]];
        let equal = order[first..].iter().take_while(|i| values[**i] == value);
        let count = equal.count().max(1);
        for i in &order[first..first + count] {
            ranks[*i] = first as f64 + (count + 1) as f64 / 2.0;
        }
        first += count;
    }
    ranks
}

/// Average precision of scores for relevant and other things, as scikit-learn's
/// `average_precision_score`: equal scores are one threshold. `None` without a relevant thing.
///
/// # Panics
/// If the lists are not of one length.
pub fn average_precision(relevant: &[bool], scores: &[f64]) -> Option<f64> {
    assert_eq!(relevant.len(), scores.len(), "everything has a score");
    let all = relevant.iter().filter(|relevant| **relevant).count();
    if all == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (mut found, mut before, mut sum) = (0, 0, 0.0);
    for (place, i) in order.iter().enumerate() {
        found += usize::from(relevant[*i]);
        let last_of_equals = order
            .get(place + 1)
            .is_none_or(|next| scores[*next] != scores[*i]);
        if last_of_equals {
            let precision = found as f64 / (place + 1) as f64;
            sum += (found - before) as f64 / all as f64 * precision;
            before = found;
        }
    }
    Some(sum)
}

/// Harmonic mean of numbers from 0 up; 0 if one of them is 0, or of nothing.
pub fn harmonic_mean(values: &[f64]) -> f64 {
    if values.is_empty() || values.contains(&0.0) {
        return 0.0;
    }
    values.len() as f64 / values.iter().map(|value| value.recip()).sum::<f64>()
}

/// Share of successes; 0 of nothing.
pub fn success_rate(successes: &[bool]) -> f64 {
    let count = successes.iter().filter(|success| **success).count();
    count as f64 / successes.len().max(1) as f64
}

/// Mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Standard deviation over all (not a sample's); 0 of nothing.
pub fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (squares.sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// The value below which the share `at` (0 to 1) of the values lies, between neighbours by their
/// distance, as NumPy's default; 0 of nothing. Sorts the values.
pub fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = at * values.len().saturating_sub(1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (values.get(low), values.get(high)) {
        (Some(a), Some(b)) => a + (b - a) * (place - low as f64),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests;
