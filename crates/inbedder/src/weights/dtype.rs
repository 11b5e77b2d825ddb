//! Number formats of stored weights, and their conversion to f32.
//!
//! The block formats of GGUF are left to candle-core. It is given slices of a few thousand
//! numbers, so that its two temporary copies never grow with the tensor.

use std::borrow::Cow;

use candle_core::CpuStorage;
use candle_core::quantized::GgmlDType;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// What [`Dtype::from_ggml`] accepts, for messages.
pub(super) const GGUF_SUPPORTED: &str =
    "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K and Q6_K";
/// What [`Dtype::from_safetensors`] accepts, for messages.
pub(super) const SAFETENSORS_SUPPORTED: &str = "F32, F16 and BF16";

/// Numbers dequantised at a time: a multiple of every block size.
const PIECE: usize = 64 * 256;

/// How the numbers of a tensor are stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// A block format of GGUF.
    Blocks(GgmlDType),
}

impl Dtype {
    /// The format behind a GGUF type code; the error is the code's name.
    pub fn from_ggml(code: u32) -> Result<Self, Cow<'static, str>> {
        Ok(match code {
            0 => Self::F32,
            1 => Self::F16,
            30 => Self::BF16,
            2 => Self::Blocks(GgmlDType::Q4_0),
            3 => Self::Blocks(GgmlDType::Q4_1),
            6 => Self::Blocks(GgmlDType::Q5_0),
            7 => Self::Blocks(GgmlDType::Q5_1),
            8 => Self::Blocks(GgmlDType::Q8_0),
            10 => Self::Blocks(GgmlDType::Q2K),
            11 => Self::Blocks(GgmlDType::Q3K),
            12 => Self::Blocks(GgmlDType::Q4K),
            13 => Self::Blocks(GgmlDType::Q5K),
            14 => Self::Blocks(GgmlDType::Q6K),
            _ => return Err(ggml_name(code)),
        })
    }

    /// The format behind a safetensors type, `None` for those that are not read.
    pub fn from_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        match dtype {
            safetensors::Dtype::F32 => Some(Self::F32),
            safetensors::Dtype::F16 => Some(Self::F16),
            safetensors::Dtype::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    /// Numbers in a block; 1 for plain formats.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Blocks(kind) => kind.block_size(),
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Blocks(kind) => kind.type_size(),
        }
    }

    /// Converts whole blocks: `bytes` holds exactly `out.len()` numbers, and starts at an even
    /// address if they are blocks. Both are the caller's to check when a file is opened.
    pub(super) fn to_f32(self, bytes: &[u8], out: &mut [f32]) {
        debug_assert_eq!(
            bytes.len() / self.block_bytes() * self.block_len(),
            out.len()
        );
        match self {
            Self::F32 => {
                for (out, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                    *out = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                }
            }
            Self::F16 => half_to_f32(bytes, out),
            Self::BF16 => {
                for (out, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                    *out = bf16::from_le_bytes([b[0], b[1]]).to_f32();
                }
            }
            Self::Blocks(kind) => {
                let piece_bytes = PIECE / kind.block_size() * kind.type_size();
                for (out, bytes) in out.chunks_mut(PIECE).zip(bytes.chunks(piece_bytes)) {
                    blocks_to_f32(kind, bytes, out);
                }
            }
        }
    }
}

/// By way of a small buffer, since the conversion that uses the processor's own takes slices.
fn half_to_f32(bytes: &[u8], out: &mut [f32]) {
    let mut halves = [f16::ZERO; 256];
    for (out, bytes) in out.chunks_mut(256).zip(bytes.chunks(512)) {
        let halves = &mut halves[..out.len()];
        for (half, b) in halves.iter_mut().zip(bytes.chunks_exact(2)) {
            *half = f16::from_le_bytes([b[0], b[1]]);
        }
        halves.convert_to_f32_slice(out);
    }
}

fn blocks_to_f32(kind: GgmlDType, bytes: &[u8], out: &mut [f32]) {
    let stored = kind.from_data(Cow::Borrowed(bytes)).dequantize(out.len());
    match stored {
        Ok(CpuStorage::F32(numbers)) => out.copy_from_slice(&numbers),
        // candle's dequantisation on the CPU has no failing path and makes f32 alone.
        Ok(_) | Err(_) => unreachable!("dequantising {kind:?} on the CPU gives f32"),
    }
}

/// Names of the GGUF type codes that exist but are not read here.
fn ggml_name(code: u32) -> Cow<'static, str> {
    let name = match code {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("the unknown type {code}").into(),
    };
    name.into()
}
