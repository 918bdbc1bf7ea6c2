//! What is held at the most, whatever a peer sends (safety B-4, F-11; protocol T19): measured by an allocator that counts, in
//! an address space that is bounded, so that memory asked for and never touched counts too.
//!
//! A binary of its own: the allocator is the whole process's.

// A test that cannot set itself up has nothing to recover: it says so and ends.
#![allow(clippy::unwrap_used)]

mod bombs;
mod staleness;

use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Far less than the bombs declare, and enough for what is measured.
const ADDRESS_SPACE: u64 = 1 << 30;

/// The heap, for one test at a time: the counts are those of all threads.
struct Alone(MutexGuard<'static, ()>);

// === impl Alone ===

impl Alone {
    fn with_the_heap() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let maximum = getrlimit(Resource::As).maximum;
        setrlimit(Resource::As, Rlimit { current: Some(ADDRESS_SPACE), maximum }).unwrap();
        // A test that failed has freed what it held.
        Self(TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `work` gives, and how many bytes more than now were held at any time of it.
    fn peak_of<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let Self(_turn) = self;
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        let done = work();
        (done, HEAP.peak_usage().saturating_sub(before))
    }
}

#[test]
fn the_allocator_counts_and_the_address_space_is_bounded() {
    let heap = Alone::with_the_heap();
    let (held, peak) = heap.peak_of(|| drop(vec![1_u8; 10 << 20]));
    assert_eq!(held, ());
    // The counts are those of all threads, and the harness frees a little meanwhile.
    assert!((9 << 20..11 << 20).contains(&peak), "{peak}");
    let mut lie = Vec::<u8>::new();
    assert!(
        lie.try_reserve_exact(2_704_094_487).is_err(),
        "what the 47 bytes of R7 declare is not to be had"
    );
}
