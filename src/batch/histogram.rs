//! Native histograms, as a door reads them for the corridor: on demand, into memory that is used again.

use std::ops::Range;

use super::SeriesSpan;

/// The schema whose bounds are given one by one.
pub const CUSTOM_BUCKETS: i32 = -53;

/// What a batch takes up of native histograms. Most of the time nothing asks for any, and they are stepped over.
#[derive(Clone, Debug, Default)]
pub struct Histograms {
    /// Whether they are noted while the batch is decoded. This is set before and outlives [`super::Batch::clear`].
    pub wanted: bool,
    /// Buckets and spans that one may have.
    pub max_buckets: u32,
    /// Every series entry that has some, in the order of the source. Its `samples` are a range in `messages`. Its key is not
    /// that of the same labels with samples: whether something asks for a series is another question for each.
    pub series: Vec<SeriesSpan>,
    /// Byte ranges in the source, as its [`super::LabelSource`] understands them: nothing there is read yet.
    pub messages: Vec<Range<u32>>,
}

/// A native histogram: counts of observations in buckets that grow exponentially, or whose bounds are given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Buckets grow by 2^(2^-schema); [`CUSTOM_BUCKETS`]: the bounds are in `custom`.
    pub schema: i32,
    /// Observations no further from 0 than this are in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Their sum; the stale marker where the series has ended.
    pub sum: f64,
    /// What its source knows of resets.
    pub reset: Reset,
    /// Buckets of positive observations.
    pub positive: Buckets,
    /// Buckets of negative observations, by their distance from 0.
    pub negative: Buckets,
    /// Upper bounds of the positive buckets, rising, where they are given.
    pub custom: Vec<f64>,
}

/// What the source of a histogram knows of a reset before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// Nothing.
    #[default]
    Unknown,
    /// There was one.
    Yes,
    /// There was none.
    No,
    /// It is a gauge, which goes up and down.
    Gauge,
}

/// Counts of buckets that lie in runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// The runs: how many buckets lie between one and the one before (for the first, the index of its first bucket),
    /// and how many it has.
    pub spans: Vec<(i32, u32)>,
    /// The count of each bucket.
    pub counts: Vec<f64>,
}

// === impl Histograms ===

impl Histograms {
    /// Empties it and keeps its memory, and whether they are wanted.
    pub fn clear(&mut self) {
        self.series.clear();
        self.messages.clear();
    }

    /// Where the histograms of `span` stand.
    pub fn messages_of(&self, span: &SeriesSpan) -> &[Range<u32>] {
        &self.messages[span.samples.start as usize..span.samples.end as usize]
    }
}

// === impl NativeHistogram ===

impl NativeHistogram {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.positive.clear();
        self.negative.clear();
        self.custom.clear();
        self.set_numbers_of(&Self::default());
    }

    /// Becomes what `other` is, in the memory that it has.
    pub fn copy_from(&mut self, other: &Self) {
        self.positive.copy_from(&other.positive);
        self.negative.copy_from(&other.negative);
        self.custom.clone_from(&other.custom);
        self.set_numbers_of(other);
    }

    fn set_numbers_of(&mut self, other: &Self) {
        (self.timestamp_ms, self.schema, self.reset) = (other.timestamp_ms, other.schema, other.reset);
        (self.zero_threshold, self.zero_count) = (other.zero_threshold, other.zero_count);
        (self.count, self.sum) = (other.count, other.sum);
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.positive.bytes()
            + self.negative.bytes()
            + self.custom.capacity() * size_of::<f64>()
    }

    /// Whether the bounds of its buckets are given one by one.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS
    }

    /// Whether its series has ended.
    pub fn is_stale(&self) -> bool {
        super::is_stale_marker(self.sum)
    }
}

// === impl Buckets ===

impl Buckets {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.counts.clear();
    }

    fn bytes(&self) -> usize {
        self.spans.capacity() * size_of::<(i32, u32)>() + self.counts.capacity() * size_of::<f64>()
    }

    fn copy_from(&mut self, other: &Self) {
        self.spans.clone_from(&other.spans);
        self.counts.clone_from(&other.counts);
    }

    /// Each bucket's index and count, by rising index. Counts without a span and spans without counts are left out.
    pub fn iter(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        let (mut counts, mut next) = (&self.counts[..], 0i32);
        self.spans.iter().flat_map(move |&(offset, length)| {
            let (run, rest) = counts.split_at(counts.len().min(length as usize));
            let first = next.saturating_add(offset);
            (counts, next) = (rest, first.saturating_add_unsigned(length));
            run.iter().enumerate().map(move |(at, count)| (first.saturating_add(at as i32), *count))
        })
    }
}
