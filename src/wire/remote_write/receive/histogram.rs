//! Whether a native histogram agrees with itself (R24), by the rules of Prometheus (`model/histogram`).

use super::Refusal;
use crate::wire::generated::io::prometheus::write::v2::histogram::{Count, ZeroCount};
use crate::wire::generated::io::prometheus::write::v2::{BucketSpan, Histogram};

/// What is wrong with a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramFault {
    /// A schema that nobody knows.
    Schema,
    /// Spans that do not add up to the number of buckets, or begin before the span ahead of them ends.
    Spans,
    /// A bucket with a negative count.
    NegativeBucket,
    /// Buckets that do not add up to the count.
    Count,
    /// Custom bounds that do not grow, are infinite, or stand beside buckets they do not allow.
    CustomBounds,
}

const CUSTOM_BUCKETS: i32 = -53;
/// Prometheus reads any schema up to 52 and lowers the resolution to 8.
const EXPONENTIAL: std::ops::RangeInclusive<i32> = -4..=52;

/// The first fault found.
pub(super) fn check(histogram: &Histogram) -> Result<(), Refusal> {
    check_schema(histogram).and_then(|()| check_counts(histogram)).map_err(Refusal::Histogram)
}

fn check_schema(histogram: &Histogram) -> Result<(), HistogramFault> {
    if histogram.schema == CUSTOM_BUCKETS {
        return check_custom(histogram);
    }
    if !EXPONENTIAL.contains(&histogram.schema) {
        return Err(HistogramFault::Schema);
    }
    ensure(histogram.custom_values.is_empty(), HistogramFault::CustomBounds)
}

fn check_custom(histogram: &Histogram) -> Result<(), HistogramFault> {
    let bounds = &histogram.custom_values;
    let growing = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    let finite = bounds.iter().all(|bound| bound.is_finite());
    let zero = match histogram.zero_count {
        None => true,
        Some(ZeroCount::ZeroCountInt(count)) => count == 0,
        Some(ZeroCount::ZeroCountFloat(count)) => count == 0.0,
    };
    let unused = histogram.negative_spans.is_empty()
        && histogram.negative_deltas.is_empty()
        && histogram.negative_counts.is_empty()
        && histogram.zero_threshold == 0.0;
    let spans = &histogram.positive_spans;
    let reach: i64 = spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
    let within = spans.iter().all(|span| span.offset >= 0) && reach <= bounds.len() as i64 + 1;
    ensure(growing && finite && zero && unused && within, HistogramFault::CustomBounds)
}

fn check_counts(histogram: &Histogram) -> Result<(), HistogramFault> {
    match histogram.count {
        Some(Count::CountFloat(count)) => check_floats(histogram, count),
        Some(Count::CountInt(count)) => check_integers(histogram, count),
        None => check_integers(histogram, 0),
    }
}

fn check_integers(histogram: &Histogram, count: u64) -> Result<(), HistogramFault> {
    check_spans(&histogram.positive_spans, histogram.positive_deltas.len())?;
    check_spans(&histogram.negative_spans, histogram.negative_deltas.len())?;
    let zero = match histogram.zero_count {
        Some(ZeroCount::ZeroCountInt(zero)) => zero,
        _ => 0,
    };
    let buckets = [sum_of_deltas(&histogram.positive_deltas)?, sum_of_deltas(&histogram.negative_deltas)?];
    let sum = u128::from(zero) + buckets[0] + buckets[1];
    // Observations of NaN are in the count and in no bucket; they make the sum NaN.
    let agrees = if histogram.sum.is_nan() { sum <= u128::from(count) } else { sum == u128::from(count) };
    ensure(agrees, HistogramFault::Count)
}

/// The sum of buckets that are spelled as differences.
fn sum_of_deltas(deltas: &[i64]) -> Result<u128, HistogramFault> {
    let (mut bucket, mut sum) = (0i128, 0u128);
    for delta in deltas {
        bucket += i128::from(*delta);
        sum += u128::try_from(bucket).map_err(|_| HistogramFault::NegativeBucket)?;
    }
    Ok(sum)
}

/// Float counts are not added up: they need not be exact.
fn check_floats(histogram: &Histogram, count: f64) -> Result<(), HistogramFault> {
    check_spans(&histogram.positive_spans, histogram.positive_counts.len())?;
    check_spans(&histogram.negative_spans, histogram.negative_counts.len())?;
    let zero = match histogram.zero_count {
        Some(ZeroCount::ZeroCountFloat(zero)) => zero,
        _ => 0.0,
    };
    let negative = |count: &f64| *count < 0.0;
    let buckets = histogram.positive_counts.iter().chain(&histogram.negative_counts);
    ensure(!buckets.chain([&zero, &count]).any(negative), HistogramFault::NegativeBucket)
}

fn check_spans(spans: &[BucketSpan], buckets: usize) -> Result<(), HistogramFault> {
    let total: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    let ordered = spans.iter().skip(1).all(|span| span.offset >= 0);
    ensure(ordered && total == buckets as u64, HistogramFault::Spans)
}

fn ensure(sound: bool, fault: HistogramFault) -> Result<(), HistogramFault> {
    if sound { Ok(()) } else { Err(fault) }
}

// === impl HistogramFault ===

impl HistogramFault {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Schema => "with a histogram of an unknown schema",
            Self::Spans => "with a histogram whose spans do not match its buckets",
            Self::NegativeBucket => "with a histogram that has a negative bucket",
            Self::Count => "with a histogram whose buckets do not add up to its count",
            Self::CustomBounds => "with a histogram whose custom bounds are not sound",
        }
    }
}
