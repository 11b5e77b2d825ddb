//! Precisions, and the storage format that each takes at a level.

use crate::isa::{Isa, Level};

/// Precision of packed weights and of the products with them; sums and everything between products
/// are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bf16 weights; bf16 activations where the chip multiplies them, else f32.
    Bf16,
    /// 8-bit weights, one scale per output row; activations quantised per row at run time, to 8 bits
    /// where the chip multiplies bytes, else to at most 16.
    Int8,
}

impl Precision {
    /// The fastest precision at a level that leaves embeddings as they are (cosine to f32 of at least
    /// 0.9998): bf16 where the chip multiplies it, else f32, which `docs/performance.md` shows to be
    /// faster than widening bf16 weights.
    pub fn fastest_faithful(isa: Isa) -> Self {
        match Format::of(Self::Bf16, isa) {
            Format::WideBf16 => Self::F32,
            _ => Self::Bf16,
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    /// # Errors
    /// A message that lists the names.
    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::F32, Self::Bf16, Self::Int8];
        let found = all
            .into_iter()
            .find(|precision| precision.to_string() == name);
        found.ok_or_else(|| format!("unknown precision {name:?}: choose one of f32, bf16, int8"))
    }
}

/// How weights and activations of a product are stored; see `dot.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    WideBf16,
    #[cfg(target_arch = "x86_64")]
    NativeBf16,
    BytePairs,
    #[cfg(target_arch = "x86_64")]
    NativeBytes,
}

impl Format {
    pub(crate) fn of(precision: Precision, isa: Isa) -> Self {
        match (precision, isa.level()) {
            (Precision::F32, _) => Self::F32,
            #[cfg(target_arch = "x86_64")]
            (Precision::Bf16, Level::Avx512Bf16) => Self::NativeBf16,
            (Precision::Bf16, _) => Self::WideBf16,
            #[cfg(target_arch = "x86_64")]
            (Precision::Int8, Level::Avx512Vnni | Level::Avx512Bf16) => Self::NativeBytes,
            (Precision::Int8, _) => Self::BytePairs,
        }
    }

    /// Inputs per step of the microkernel.
    pub(crate) fn group(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::WideBf16 | Self::BytePairs => 2,
            #[cfg(target_arch = "x86_64")]
            Self::NativeBf16 => 2,
            #[cfg(target_arch = "x86_64")]
            Self::NativeBytes => 4,
        }
    }

    /// Bytes per weight.
    pub(crate) fn weight_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::WideBf16 => 2,
            #[cfg(target_arch = "x86_64")]
            Self::NativeBf16 => 2,
            Self::BytePairs => 1,
            #[cfg(target_arch = "x86_64")]
            Self::NativeBytes => 1,
        }
    }

    /// Bytes per activation.
    pub(crate) fn activation_bytes(self) -> usize {
        match self {
            Self::F32 | Self::WideBf16 => 4,
            #[cfg(target_arch = "x86_64")]
            Self::NativeBf16 => 2,
            Self::BytePairs => 2,
            #[cfg(target_arch = "x86_64")]
            Self::NativeBytes => 1,
        }
    }

    /// Whether weights and activations are integers with scales.
    pub(crate) fn is_integer(self) -> bool {
        self.weight_bytes() == 1
    }

    /// Largest magnitude of a quantised activation, so that sums over `inputs` fit 32 bits.
    pub(crate) fn activation_limit(self, inputs: usize) -> f32 {
        match self {
            Self::BytePairs => {
                let fits = i32::MAX as usize / (127 * inputs.max(1));
                fits.clamp(127, 32_767) as f32
            }
            _ => 127.0,
        }
    }
}

/// The nearest bf16, ties to even; NaN stays NaN.
pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    let quiet = bits | 0x0040_0000;
    (if x.is_nan() { quiet } else { rounded } >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even() {
        for (x, bits) in [
            (1.0, 0x3f80),
            (f32::from_bits(0x3f80_8000), 0x3f80),
            (f32::from_bits(0x3f81_8000), 0x3f82),
            (f32::from_bits(0x3f80_8001), 0x3f81),
            (f32::INFINITY, 0x7f80),
            (-0.0, 0x8000),
            (f32::MAX, 0x7f80),
        ] {
            assert_eq!(to_bf16(x), bits, "{x}");
        }
        assert!(f32::from_bits(u32::from(to_bf16(f32::from_bits(0x7f80_0001))) << 16).is_nan());
    }
}
