//! The two ways to use cores: a worker per core computes alone ([`Threads::One`]), or one
//! computation is split over the cores of the rayon pool that it runs in ([`Threads::Pool`]).

use std::ops::Range;

/// How many cores one kernel call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread alone.
    One,
    /// All threads of the rayon pool that the call runs in.
    Pool,
}

impl Threads {
    /// Calls `work` with disjoint ranges that cover `0..items`, at the same time where allowed.
    pub(crate) fn split(self, items: usize, work: impl Fn(Range<usize>) + Sync) {
        let parts = match self {
            Self::One => 1,
            Self::Pool => rayon::current_num_threads().min(items),
        };
        if parts <= 1 {
            return work(0..items);
        }
        let part = |i: usize| i * items / parts..(i + 1) * items / parts;
        rayon::scope(|scope| {
            let work = &work;
            for i in 1..parts {
                scope.spawn(move |_| work(part(i)));
            }
            work(part(0));
        });
    }
}

/// A pointer to a buffer of which every thread writes another part.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

impl Shared {
    pub(crate) fn new(buffer: &mut [f32]) -> Self {
        Self(buffer.as_mut_ptr())
    }
    pub(crate) fn get(self) -> *mut f32 {
        self.0
    }
}

// SAFETY: the pointer itself is plain data; each use states why the parts are disjoint.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in [Threads::One, Threads::Pool] {
            for items in [0, 1, 2, 3, 17] {
                let seen = Mutex::new(vec![0; items]);
                threads.split(items, |range| {
                    let mut seen = seen.lock().unwrap();
                    range.for_each(|i| seen[i] += 1);
                });
                assert_eq!(*seen.lock().unwrap(), vec![1; items]);
            }
        }
    }
}
