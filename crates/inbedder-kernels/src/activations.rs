//! Activations on their way into a product: rows of f32, brought into the form that the weights'
//! format multiplies.

use crate::format::{Format, to_bf16};
use crate::isa::{Isa, on_level};
use crate::memory::{Aligned, bytes};
use crate::simd::Simd;

/// Rows of f32: `rows` rows, `stride` floats apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows that lie `stride` floats apart; the last may end early.
    pub fn new(data: &'a [f32], rows: usize, stride: usize) -> Self {
        Self { data, rows, stride }
    }
}

/// A buffer that activations are converted in, kept from product to product.
pub struct Staging {
    words: Aligned,
    scales: Vec<f32>,
    corrections: Vec<i32>,
}

impl Default for Staging {
    fn default() -> Self {
        Self {
            words: Aligned::zeros(0),
            scales: Vec::new(),
            corrections: Vec::new(),
        }
    }
}

/// Activations in the form that a packed matrix multiplies; see
/// [`PackedMatrix::stage`](crate::PackedMatrix::stage).
#[derive(Clone, Copy)]
pub struct Activations<'a> {
    pub(crate) format: Format,
    pub(crate) inputs: usize,
    pub(crate) rows: usize,
    /// Rows of whole groups, `stride` bytes apart.
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
    /// `[row]`, for integers: what a unit of a quantised activation stands for.
    pub(crate) scales: &'a [f32],
    /// `[row]`, for integers: added to every sum.
    pub(crate) corrections: &'a [i32],
}

/// Bytes between the end of a staged row and the next: keeps row starts out of step with the
/// cache's sets.
const GAP: usize = 64;

/// # Panics
/// If `x` is shorter than its rows of `inputs` floats.
pub(crate) fn stage<'a>(
    isa: Isa,
    format: Format,
    inputs: usize,
    x: Rows<'a>,
    staging: &'a mut Staging,
) -> Activations<'a> {
    assert!(
        x.rows == 0 || (x.rows - 1) * x.stride + inputs <= x.data.len(),
        "activations too short"
    );
    let mut staged = Activations {
        format,
        inputs,
        rows: x.rows,
        data: bytes(x.data),
        stride: 4 * x.stride,
        scales: &[],
        corrections: &[],
    };
    if format == Format::F32 {
        return staged;
    }
    let padded = inputs.next_multiple_of(format.group()) * format.activation_bytes();
    staged.stride = padded.next_multiple_of(4) + GAP;
    let words = x.rows * staged.stride / 4;
    if staging.words.len() < words {
        staging.words = Aligned::zeros(words);
    }
    staging.scales.resize(x.rows, 0.0);
    staging.corrections.resize(x.rows, 0);
    for row in 0..x.rows {
        let job = Job {
            format,
            limit: format.activation_limit(inputs),
            x: &x.data[row * x.stride..][..inputs],
            out: &mut staging.words.bytes_mut()[row * staged.stride..][..padded],
            scale: &mut staging.scales[row],
            correction: &mut staging.corrections[row],
        };
        on_level!(isa, convert(job: Job<'_>));
    }
    staged.data = staging.words.bytes();
    if format.is_integer() {
        staged.scales = &staging.scales;
        staged.corrections = &staging.corrections;
    }
    staged
}

struct Job<'a> {
    format: Format,
    limit: f32,
    x: &'a [f32],
    /// Whole groups.
    out: &'a mut [u8],
    scale: &'a mut f32,
    correction: &'a mut i32,
}

/// Plain loops that the compiler turns into the level's vectors.
///
/// # Safety
/// The level's instructions are there.
#[inline(always)]
unsafe fn convert<S: Simd>(job: Job<'_>) {
    let Job { x, out, .. } = job;
    out[x.len() * job.format.activation_bytes()..].fill(0);
    match job.format {
        Format::F32 | Format::WideBf16 => {
            let (chunks, _) = out.as_chunks_mut::<4>();
            for (out, x) in chunks.iter_mut().zip(x) {
                *out = x.to_ne_bytes();
            }
        }
        #[cfg(target_arch = "x86_64")]
        Format::NativeBf16 => {
            let (chunks, _) = out.as_chunks_mut::<2>();
            for (out, x) in chunks.iter_mut().zip(x) {
                *out = to_bf16(*x).to_ne_bytes();
            }
        }
        Format::BytePairs => {
            let (by, scale) = quantization(x, job.limit);
            *job.scale = scale;
            *job.correction = 0;
            let (chunks, _) = out.as_chunks_mut::<2>();
            for (out, x) in chunks.iter_mut().zip(x) {
                *out = ((x * by).round_ties_even() as i16).to_ne_bytes();
            }
        }
        #[cfg(target_arch = "x86_64")]
        Format::NativeBytes => {
            let (by, scale) = quantization(x, job.limit);
            *job.scale = scale;
            let mut total = 0;
            for (out, x) in out.iter_mut().zip(x) {
                let quantized = (x * by).round_ties_even() as i8;
                total += i32::from(quantized);
                *out = quantized as u8;
            }
            // The weights are stored 128 too high.
            *job.correction = -128 * total;
        }
    }
}

/// What to multiply a row by to quantise it, and to get it back. A row with NaN or infinity in it is
/// NaN as a whole, a row of zeros stays zeros.
#[inline(always)]
fn quantization(x: &[f32], limit: f32) -> (f32, f32) {
    // Lanes of their own let the compiler vectorise both.
    let (mut largest, mut poison) = ([0.0f32; 16], [0.0f32; 16]);
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for i in 0..16 {
            let magnitude = chunk[i].abs();
            largest[i] = if magnitude > largest[i] {
                magnitude
            } else {
                largest[i]
            };
            poison[i] += chunk[i] * 0.0;
        }
    }
    for (i, x) in rest.iter().enumerate() {
        largest[i] = if x.abs() > largest[i] {
            x.abs()
        } else {
            largest[i]
        };
        poison[i] += x * 0.0;
    }
    let largest = largest.into_iter().fold(0.0, f32::max);
    let poison: f32 = poison.into_iter().sum();
    let by = if largest > 0.0 { limit / largest } else { 0.0 };
    (
        if by.is_finite() { by } else { 0.0 },
        largest / limit + poison,
    )
}
