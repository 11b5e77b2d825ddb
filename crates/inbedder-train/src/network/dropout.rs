//! Dropout of LoRA's inputs: which ones are dropped is a function of where they stand, so that the
//! backward pass finds the same without having kept them.

use crate::random::mix;

/// Drops inputs of one linear layer in one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropout {
    /// Share of the inputs that is dropped.
    pub(super) probability: f32,
    /// Made of the seed, the step, the batch and the layer.
    pub(super) key: u64,
}

impl Dropout {
    /// Zeroes some of a row's numbers and scales the others up, so that the mean stays.
    pub(super) fn apply(self, row: usize, values: &mut [f32]) {
        let mut state = mix(self.key ^ mix(row as u64 + 1));
        let limit = (f64::from(self.probability) * f64::from(u32::MAX)) as u32;
        let scale = 1.0 / (1.0 - self.probability);
        for pair in values.chunks_mut(2) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let bits = mix(state);
            for (value, bits) in pair.iter_mut().zip([bits as u32, (bits >> 32) as u32]) {
                *value = if bits < limit { 0.0 } else { *value * scale };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_dropped_and_the_same_each_time() {
        let dropout = Dropout {
            probability: 0.25,
            key: 7,
        };
        let drop = |row| {
            let mut values = vec![3.0; 10_001];
            dropout.apply(row, &mut values);
            values
        };
        let values = drop(3);
        let dropped = values.iter().filter(|v| **v == 0.0).count();
        assert!((2_300..2_700).contains(&dropped), "{dropped}");
        assert!(values.iter().all(|v| *v == 0.0 || (*v - 4.0).abs() < 1e-6));
        assert_eq!(values, drop(3));
        assert_ne!(values, drop(4));
    }
}
