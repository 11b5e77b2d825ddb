//! Buffers that start on a cache line, so that no vector of a packed panel crosses one.

#[repr(C, align(64))]
struct Line([f32; 16]);

/// A fixed-length, zero-initialised buffer of 32-bit words aligned to 64 bytes, seen as floats or
/// as bytes.
pub(crate) struct Aligned {
    lines: Box<[Line]>,
    len: usize,
}

impl Aligned {
    /// `len` words. Pages of a large buffer cost nothing until they are written.
    pub(crate) fn zeros(len: usize) -> Self {
        let lines = Box::<[Line]>::new_zeroed_slice(len.div_ceil(16));
        Self {
            // SAFETY: a line is plain floats, and all bits zero is the float zero.
            lines: unsafe { lines.assume_init() },
            len,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        bytes(self)
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let len = 4 * self.len;
        // SAFETY: the words are initialised memory of `len` bytes, and every byte pattern is a word.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` floats without padding between them (repr(C), 64
        // bytes of floats at alignment 64).
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// The bytes of some floats.
pub(crate) fn bytes(floats: &[f32]) -> &[u8] {
    // SAFETY: floats are initialised memory without padding, and bytes need no alignment.
    unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), size_of_val(floats)) }
}
