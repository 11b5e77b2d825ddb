//! Activations on their way into a product: rows of f32, brought into the form that the weights'
//! format multiplies.

use crate::format::{Format, to_bf16};
use crate::isa::{Isa, on_level};
use crate::memory::{Aligned, bytes};
use crate::simd::{MAX_LANES, Simd, each_vector, read};

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

/// # Safety
/// `out` holds whole groups for all of `x`; the level's instructions are there.
#[inline(always)]
unsafe fn convert<S: Simd>(job: Job<'_>) {
    let Job { x, out, .. } = job;
    out[x.len() * job.format.activation_bytes()..].fill(0);
    match job.format {
        // Plain loops that the compiler turns into the level's vectors.
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
            // SAFETY: as for this function.
            unsafe { quantize::<S, 2>(x, job.limit, out, job.scale) };
            *job.correction = 0;
        }
        #[cfg(target_arch = "x86_64")]
        Format::NativeBytes => {
            // SAFETY: as for this function.
            let total = unsafe { quantize::<S, 1>(x, job.limit, out, job.scale) };
            // The weights are stored 128 too high.
            *job.correction = total.wrapping_mul(-128);
        }
    }
}

/// Quantises a row to integers of `BYTES` bytes (1 or 2) with magnitudes up to `limit`; returns their
/// sum. A row with NaN or infinity in it is NaN as a whole, a row of zeros stays zeros.
///
/// # Safety
/// `out` holds `BYTES` bytes for each of `x`; the level's instructions are there.
#[inline(always)]
unsafe fn quantize<S: Simd, const BYTES: usize>(
    x: &[f32],
    limit: f32,
    out: &mut [u8],
    scale: &mut f32,
) -> i32 {
    debug_assert!(x.len() * BYTES <= out.len());
    let (at, to) = (x.as_ptr(), out.as_mut_ptr());
    // SAFETY: `each_vector` stays inside `x`, and so inside `out`; a vector that is not whole goes
    // through a buffer.
    unsafe {
        let zero = S::splat(0.0);
        let (mut largest, mut poison) = (zero, zero);
        each_vector!(S, x.len(), |i, part| {
            let v = read::<S>(at.add(i), part);
            largest = S::max(S::max(v, S::sub(zero, v)), largest);
            poison = S::mul_add(v, zero, poison);
        });
        let (largest, poison) = (S::largest(largest), S::sum(poison));
        *scale = largest / limit + poison;
        let by = if largest > 0.0 { limit / largest } else { 0.0 };
        let by = S::splat(if by.is_finite() { by } else { 0.0 });
        let mut total = S::splat_bits(0);
        each_vector!(S, x.len(), |i, part| {
            let v = S::to_integers(S::mul(read::<S>(at.add(i), part), by));
            total = S::add_integers(total, v);
            let mut buffer = [0u16; MAX_LANES];
            let whole = part.is_none();
            let target = if whole {
                to.add(i * BYTES)
            } else {
                buffer.as_mut_ptr().cast()
            };
            if BYTES == 1 {
                S::store_bytes(target.cast(), v);
            } else {
                S::store_halves(target.cast(), v);
            }
            if let Some(n) = part {
                std::ptr::copy_nonoverlapping(target, to.add(i * BYTES), n * BYTES);
            }
        });
        let mut lanes = [0.0f32; MAX_LANES];
        S::store(lanes.as_mut_ptr(), S::float_bits(total));
        lanes[..S::LANES]
            .iter()
            .fold(0, |sum: i32, lane| sum.wrapping_add(lane.to_bits() as i32))
    }
}
