//! Instruction-set levels: what the chip has, which one is used, and how a kernel text is
//! instantiated for each.
//!
//! An [`Isa`] can only be had from detection, so code that holds one may run that level's
//! instructions: this is what the `unsafe` blocks of [`on_level!`] lean on.

use std::fmt;
use std::sync::OnceLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with the dot product of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// AVX-512 with the dot products of bytes and of bf16 pairs.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

/// An instruction-set level that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isa(Level);

impl Isa {
    /// The levels that this machine has, slowest first; `scalar` is always among them.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self(Level::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                levels.push(Self(Level::Avx2));
            }
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            let vnni = is_x86_feature_detected!("avx512vnni");
            let bf16 = is_x86_feature_detected!("avx512bf16");
            if avx2 && avx512 {
                levels.push(Self(Level::Avx512));
            }
            if avx2 && avx512 && vnni {
                levels.push(Self(Level::Avx512Vnni));
            }
            if avx2 && avx512 && vnni && bf16 {
                levels.push(Self(Level::Avx512Bf16));
            }
        }
        levels
    }

    /// The fastest level, or the one that `INBEDDER_ISA` (`scalar`, `avx2`, `avx512`,
    /// `avx512-vnni`, `avx512-bf16`) names.
    ///
    /// The variable is read once per process.
    ///
    /// # Errors
    /// A message that lists the levels of this machine, when the variable names none of them.
    pub fn detect() -> Result<Self, String> {
        static CHOICE: OnceLock<Result<Isa, String>> = OnceLock::new();
        CHOICE
            .get_or_init(|| Self::choose(std::env::var("INBEDDER_ISA").ok().as_deref()))
            .clone()
    }

    fn choose(wanted: Option<&str>) -> Result<Self, String> {
        let levels = Self::available();
        let fastest = levels[levels.len() - 1];
        let Some(wanted) = wanted.filter(|name| !name.is_empty()) else {
            return Ok(fastest);
        };
        let found = levels.iter().find(|isa| isa.name() == wanted);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = levels.iter().map(|isa| isa.name()).collect();
            format!(
                "INBEDDER_ISA={wanted}: this machine has {}",
                names.join(", ")
            )
        })
    }

    /// `scalar`, `avx2`, `avx512`, `avx512-vnni` or `avx512-bf16`, each with all that those before
    /// it have.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16 => "avx512-bf16",
        }
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `on_level!(isa, kernel(name: Type, …))` instantiates `kernel::<S>` for every level, each in a
/// function that enables the level's instructions, and calls the one that `isa` stands for.
/// `on_level!(isa, kernel<K: Bound>(…))` does so for a `kernel::<S, K>`.
macro_rules! on_level {
    ($isa:expr, $kernel:ident$(<$k:ident: $bound:path>)?($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2$(<$k: $bound>)?($($arg: $ty),*) $(-> $out)? {
            // SAFETY: the caller keeps the kernel's contract; AVX2 and FMA are enabled here.
            unsafe { $kernel::<$crate::simd::Avx2 $(, $k)?>($($arg),*) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn avx512$(<$k: $bound>)?($($arg: $ty),*) $(-> $out)? {
            // SAFETY: the caller keeps the kernel's contract; AVX-512 is enabled here.
            unsafe { $kernel::<$crate::simd::Avx512 $(, $k)?>($($arg),*) }
        }
        match $isa.level() {
            // SAFETY: scalar code needs no instructions; the caller keeps the kernel's contract.
            $crate::isa::Level::Scalar => unsafe { $kernel::<$crate::simd::Scalar $(, $k)?>($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` of this level exists only where detection found AVX2 and FMA.
            $crate::isa::Level::Avx2 => unsafe { avx2($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` of this level exists only where detection found AVX-512 F/BW/DQ/VL.
            $crate::isa::Level::Avx512 => unsafe { avx512($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as for `Avx512`, which this level includes.
            $crate::isa::Level::Avx512Vnni => unsafe { avx512($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as for `Avx512`, which this level includes.
            $crate::isa::Level::Avx512Bf16 => unsafe { avx512($($arg),*) },
        }
    }};
}
pub(crate) use on_level;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_is_always_there_and_levels_rise() {
        let levels = Isa::available();
        assert_eq!(levels[0].name(), "scalar");
        assert!(levels.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_name_chooses_and_a_wrong_one_lists_what_is_there() {
        assert_eq!(Isa::choose(Some("scalar")).unwrap().name(), "scalar");
        assert_eq!(Isa::choose(None), Isa::choose(Some("")));
        let message = Isa::choose(Some("avx9000")).unwrap_err();
        assert!(message.contains("avx9000") && message.contains("scalar"));
    }
}
