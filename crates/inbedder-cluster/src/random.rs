//! Random numbers: ChaCha with eight rounds, a stream per seed and purpose. Numbers are made from the
//! raw bits here, so that they stay the same whatever a distributions crate changes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// The stream with number `stream` of a seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// From 0 (included) to 1 (left out), in steps of 2⁻⁵³.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to `end`, which is left out and must not be 0. Uneven by less than `end` · 2⁻⁵³.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.unit() * end as f64) as usize).min(end - 1)
    }

    /// `count` of `0..end`, each at most once, in random order; all of them if there are fewer.
    pub(crate) fn distinct(&mut self, count: usize, end: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..end).collect();
        let count = count.min(end);
        for i in 0..count {
            let other = i + self.below(end - i);
            all.swap(i, other);
        }
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_and_stream_one_sequence() {
        let draw = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (0..4).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 0), draw(7, 0));
        assert_ne!(draw(7, 0), draw(7, 1));
        assert_ne!(draw(7, 0), draw(8, 0));
    }

    #[test]
    fn distinct_numbers_are_distinct_and_within() {
        let mut drawn = Random::new(1, 0).distinct(50, 60);
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 50);
        assert!(drawn.iter().all(|i| *i < 60));
        assert_eq!(Random::new(1, 0).distinct(9, 3).len(), 3);
    }
}
