//! Seeded choices. ChaCha8's output for a seed is promised not to change, so a sample of today is a
//! sample of tomorrow.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A stream that a seed and a name decide.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(name);
        Self(ChaCha8Rng::from_seed(hash.finalize().into()))
    }

    /// A number below `bound`, which is not 0; the bias of a 64-bit product is beyond measure.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// 0 … `count` − 1 in a random order (Fisher and Yates).
    pub(crate) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }

    /// At most `most` of the numbers 0 … `count` − 1 that are eligible, rising. Two calls of one seed and
    /// name agree as far as their eligible numbers do: tasks over one file share their texts.
    pub(crate) fn choose(
        mut self,
        count: usize,
        most: Option<usize>,
        eligible: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let order = self.order(count).into_iter().filter(|i| eligible(*i));
        let mut chosen: Vec<usize> = order.take(most.unwrap_or(usize::MAX)).collect();
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_rises_and_depends_on_seed_and_name() {
        let choose = |seed, name| Random::new(seed, name).choose(100, Some(10), |_| true);
        let one = choose(1, "a");
        assert_eq!(one.len(), 10);
        assert!(one.is_sorted());
        assert_eq!(one, choose(1, "a"));
        assert_ne!(one, choose(2, "a"));
        assert_ne!(one, choose(1, "b"));
        let odd = Random::new(1, "a").choose(100, Some(20), |i| i % 2 == 1);
        assert!(one.iter().filter(|i| *i % 2 == 1).all(|i| odd.contains(i)));
        assert_eq!(Random::new(1, "a").choose(4, None, |i| i != 2), [0, 1, 3]);
    }

    #[test]
    fn an_order_holds_every_number_once() {
        let mut order = Random::new(7, "x").order(50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
        assert!(Random::new(7, "x").order(0).is_empty());
    }
}
