//! What one request or one scrape carries through the corridor.
//!
//! A door decodes its bytes into a [`Batch`]: no label is copied, a series is its key and where its
//! labels stand in the source bytes. Whoever needs the labels themselves (the series table, the first
//! time it meets a series) asks the [`LabelSource`].

mod histogram;

use std::ops::Range;
use std::sync::LazyLock;

use rand::Rng;

pub use histogram::{Buckets, CUSTOM_BUCKETS, Histograms, NativeHistogram, Reset};

/// One value of a series at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The value with its exact bits: a stale marker is a NaN that must stay what it is.
    pub value: f64,
}

impl PartialEq for Sample {
    /// Compares bits, so that a NaN equals itself and a stale marker is not an ordinary NaN.
    fn eq(&self, other: &Self) -> bool {
        self.timestamp_ms == other.timestamp_ms && self.value.to_bits() == other.value.to_bits()
    }
}

/// The bit pattern by which Prometheus says that a series has ended (`model/value/value.go`).
pub const STALE_MARKER_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is the stale marker, which is told from other NaNs by its bits only.
#[inline]
pub fn is_stale_marker(value: f64) -> bool {
    value.to_bits() == STALE_MARKER_BITS
}

/// The stale marker as a value.
#[inline]
pub fn stale_marker() -> f64 {
    f64::from_bits(STALE_MARKER_BITS)
}

/// What the keys of this process are hashed with.
static SECRET: LazyLock<[u8; 192]> = LazyLock::new(|| {
    let mut secret = [0; 192];
    rand::rng().fill(&mut secret[..]);
    secret
});

/// A hash of a series' scope and of its label bytes *as this door spells them*.
///
/// The same series spelled otherwise (2.0 instead of 1.0, labels in another order) has another key;
/// the series table maps both to one slot when it first meets them, by comparing the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u64; 2]);

impl std::hash::Hash for Key {
    /// A key is a hash already; one word of it is enough to spread keys over a map.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[1]);
    }
}

impl Key {
    /// The key of `bytes` in the scope and door that `seed` stands for.
    ///
    /// Keys differ from process to process: nobody outside can choose labels whose keys collide.
    #[inline]
    pub fn of(bytes: &[u8], seed: u64) -> Self {
        // The seed goes in afterwards: xxh3 would derive a secret from it for every series.
        let hash = xxhash_rust::xxh3::xxh3_128_with_secret(bytes, &*SECRET);
        Self([hash as u64 ^ seed, (hash >> 64) as u64 ^ seed.rotate_left(32)])
    }

    /// The key of the native histograms of the series that has this key for its samples.
    #[inline]
    pub fn of_histograms(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

/// One series of a batch: where its labels and its samples stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSpan {
    /// What the series table looks up.
    pub key: Key,
    /// Byte range of the labels in the source, as its [`LabelSource`] understands it.
    pub labels: Range<u32>,
    /// Range in [`Batch::samples`].
    pub samples: Range<u32>,
}

/// The decoded view of one request or page. Reused from batch to batch: no allocation in steady state.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Every series entry in the order of the source; a series may stand here more than once.
    pub series: Vec<SeriesSpan>,
    /// All samples, those of one entry side by side.
    pub samples: Vec<Sample>,
    /// The native histograms, where they are wanted.
    pub histograms: Histograms,
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.series.clear();
        self.samples.clear();
        self.histograms.clear();
    }

    /// The samples of `span`.
    #[inline]
    pub fn samples_of(&self, span: &SeriesSpan) -> &[Sample] {
        &self.samples[span.samples.start as usize..span.samples.end as usize]
    }
}

/// Reads labels where they stand in the bytes of a request or page.
pub trait LabelSource {
    /// Calls `each(name, value)` for every label of the series at `labels` (`__name__` among them), in
    /// source order, unescaped. Labels were checked when the batch was decoded, so this cannot fail.
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8]));

    /// Reads the native histogram at `at` into `into`. It was not looked at when the batch was decoded.
    ///
    /// # Errors
    /// What is there is none, or has more than `max_buckets`. A source without histograms has none anywhere.
    fn read_histogram(
        &self,
        at: &Range<u32>,
        max_buckets: u32,
        into: &mut NativeHistogram,
    ) -> Result<(), Unreadable> {
        let _ = (at, max_buckets, into);
        Err(Unreadable::Damaged)
    }
}

/// Why a native histogram could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It does not agree with itself.
    Damaged,
    /// It has more buckets than allowed.
    TooLarge,
}
