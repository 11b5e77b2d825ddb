//! Seeded choices. ChaCha8's output for a seed is promised not to change, so that an epoch can be gone on
//! with by a later version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A stream that a seed and a name decide.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        Self(ChaCha8Rng::from_seed(digest(seed, name)))
    }

    /// From 0 (included) to 1 (left out), in steps of 2⁻⁵³.
    pub(crate) fn unit(&mut self) -> f64 {
        fraction(self.0.next_u64())
    }

    /// A number below `bound`, which is not 0; the bias of a 64-bit product is beyond measure.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// One of some things, `None` of none.
    pub(crate) fn choose<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        if things.is_empty() {
            return None;
        }
        things.get(self.below(things.len()))
    }

    /// A random order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for i in (1..things.len()).rev() {
            things.swap(i, self.below(i + 1));
        }
    }
}

/// A name's own number from 0 (included) to 1 (left out), whatever else there is.
pub(crate) fn lot(seed: u64, name: &str) -> f64 {
    let digest = digest(seed, name);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    fraction(u64::from_le_bytes(bytes))
}

fn digest(seed: u64, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name);
    hash.finalize().into()
}

fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A number that is another for every list of numbers.
pub(crate) fn key(numbers: [u64; 3]) -> u64 {
    numbers.into_iter().fold(0, |key, number| {
        mix(key ^ mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    })
}

/// The finaliser of SplitMix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators",
/// 2014): every bit of the result depends on every bit of `x`.
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
