//! Reading one native histogram where it stands, of version 1.0 or 2.0: both have the same fields.

use std::ops::Range;

use super::fields::{self, DELIMITED, FIXED64, Fields, VARINT, bounded, key};
use super::{DecodeError, Element, ElementLimits};
use crate::batch::{Buckets, Histograms, Key, NativeHistogram, Reset, SeriesSpan, Unreadable};

const COUNT_INT: fields::Key = key(1, VARINT);
const COUNT_FLOAT: fields::Key = key(2, FIXED64);
const SUM: fields::Key = key(3, FIXED64);
const SCHEMA: fields::Key = key(4, VARINT);
const ZERO_THRESHOLD: fields::Key = key(5, FIXED64);
const ZERO_COUNT_INT: fields::Key = key(6, VARINT);
const ZERO_COUNT_FLOAT: fields::Key = key(7, FIXED64);
const NEGATIVE: Side = Side::of(8);
const POSITIVE: Side = Side::of(11);
const RESET_HINT: fields::Key = key(14, VARINT);
const TIMESTAMP: fields::Key = key(15, VARINT);
const CUSTOM_VALUES: fields::Key = key(16, DELIMITED);
const CUSTOM_VALUE: fields::Key = key(16, FIXED64);
const START_TIMESTAMP: fields::Key = key(17, VARINT);
const OFFSET: fields::Key = key(1, VARINT);
const LENGTH: fields::Key = key(2, VARINT);

/// Prometheus reads any schema up to 52 and lowers the resolution to 8.
const EXPONENTIAL: std::ops::RangeInclusive<i32> = -4..=52;

/// The fields of the buckets on one side of 0. Numbers come in one field or each in its own.
#[derive(Clone, Copy)]
struct Side {
    spans: fields::Key,
    deltas: [fields::Key; 2],
    counts: [fields::Key; 2],
}

/// Reads a histogram field by field.
struct Reader<'a> {
    raw: &'a [u8],
    max_buckets: u32,
    /// Whether its counts are floats, which its `count` decides.
    floats: bool,
    /// The count of the newest bucket on each side that is spelled as a difference.
    counts: [i64; 2],
}

/// Reads the histogram message at `range` of `raw` into `into`.
///
/// # Errors
/// Damaged bytes, a histogram that does not agree with itself, or more than `max_buckets` spans, buckets or bounds.
pub(super) fn read(
    raw: &[u8],
    range: &Range<u32>,
    max_buckets: u32,
    into: &mut NativeHistogram,
) -> Result<(), DecodeError> {
    into.clear();
    let range = range.start as usize..range.end as usize;
    let floats = has_float_counts(Fields::within(raw, &range))?;
    Reader { raw, max_buckets, floats, counts: [0; 2] }.read(&range, into)?;
    if is_sound(into) { Ok(()) } else { Err(DecodeError::Histogram { at: range.start }) }
}

/// What its last count is: as with any field of which only one may stand.
fn has_float_counts(mut fields: Fields<'_>) -> Result<bool, DecodeError> {
    let mut floats = false;
    while !fields.is_done() {
        let key = fields.key()?;
        match key {
            COUNT_INT => floats = false,
            COUNT_FLOAT => floats = true,
            _ => {}
        }
        fields.skip(key, &[])?;
    }
    Ok(floats)
}

/// Whether nothing in it contradicts the rest, so far as anything is made of it.
fn is_sound(histogram: &NativeHistogram) -> bool {
    let NativeHistogram { schema, zero_threshold, zero_count, count, positive, negative, custom, .. } =
        histogram;
    if histogram.is_stale() {
        return true;
    }
    let is_count = |count: &f64| *count >= 0.0;
    let counts = positive.counts.iter().chain(&negative.counts).chain([zero_count, count]);
    let laid_out = if histogram.is_custom() {
        let rising = custom.windows(2).all(|pair| pair[0] < pair[1]) && custom.iter().all(|b| b.is_finite());
        let within = positive.spans.iter().all(|(offset, _)| *offset >= 0);
        rising && within && negative.counts.is_empty() && *zero_threshold == 0.0 && *zero_count == 0.0
    } else {
        EXPONENTIAL.contains(schema) && custom.is_empty()
    };
    let spans = is_spanned(positive) && is_spanned(negative);
    laid_out
        && spans
        && zero_threshold.is_finite()
        && *zero_threshold >= 0.0
        && counts.into_iter().all(is_count)
}

/// Whether the spans hold as many buckets as there are, one behind the other.
fn is_spanned(buckets: &Buckets) -> bool {
    let ordered = buckets.spans.iter().skip(1).all(|(offset, _)| *offset >= 0);
    let length: u64 = buckets.spans.iter().map(|(_, length)| u64::from(*length)).sum();
    ordered && length == buckets.counts.len() as u64
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn zigzag32(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

// === impl Side ===

impl Side {
    /// The side whose spans are field `spans`: its deltas and counts follow.
    const fn of(spans: u32) -> Self {
        Self {
            spans: key(spans, DELIMITED),
            deltas: [key(spans + 1, DELIMITED), key(spans + 1, VARINT)],
            counts: [key(spans + 2, DELIMITED), key(spans + 2, FIXED64)],
        }
    }

    fn has(&self, key: fields::Key) -> bool {
        self.spans == key || self.deltas.contains(&key) || self.counts.contains(&key)
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn read(&mut self, range: &Range<usize>, into: &mut NativeHistogram) -> Result<(), DecodeError> {
        let mut fields = Fields::within(self.raw, range);
        while !fields.is_done() {
            match fields.key()? {
                COUNT_INT => into.count = fields.varint()? as f64,
                COUNT_FLOAT => into.count = fields.float()?,
                SUM => into.sum = fields.float()?,
                SCHEMA => into.schema = zigzag32(fields.varint()?),
                ZERO_THRESHOLD => into.zero_threshold = fields.float()?,
                ZERO_COUNT_INT => into.zero_count = self.if_kind(false, fields.varint()? as f64),
                ZERO_COUNT_FLOAT => into.zero_count = self.if_kind(true, fields.float()?),
                RESET_HINT => into.reset = reset(fields.varint()?),
                TIMESTAMP => into.timestamp_ms = fields.varint()? as i64,
                START_TIMESTAMP => drop(fields.varint()?),
                CUSTOM_VALUES => {
                    let mut values = Fields::within(self.raw, &fields.delimited()?);
                    while !values.is_done() {
                        self.push(values.float()?, &mut into.custom)?;
                    }
                }
                CUSTOM_VALUE => self.push(fields.float()?, &mut into.custom)?,
                key if NEGATIVE.has(key) => self.side(key, (0, NEGATIVE), &mut fields, &mut into.negative)?,
                key if POSITIVE.has(key) => self.side(key, (1, POSITIVE), &mut fields, &mut into.positive)?,
                other => fields.skip(other, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])?,
            }
        }
        Ok(())
    }

    /// A zero count of the other kind than the count is none.
    fn if_kind(&self, floats: bool, count: f64) -> f64 {
        if self.floats == floats { count } else { 0.0 }
    }

    fn side(
        &mut self,
        key: fields::Key,
        (number, side): (usize, Side),
        fields: &mut Fields<'a>,
        into: &mut Buckets,
    ) -> Result<(), DecodeError> {
        if key == side.spans {
            let span = self.span(&fields.delimited()?)?;
            return self.push(span, &mut into.spans);
        }
        let floats = side.counts.contains(&key);
        let packed = key == side.deltas[0] || key == side.counts[0];
        let mut values = if packed { Fields::within(self.raw, &fields.delimited()?) } else { *fields };
        while !values.is_done() {
            let count = if floats { values.float()? } else { self.add(number, zigzag(values.varint()?))? };
            if floats == self.floats {
                self.push(count, &mut into.counts)?;
            }
            if !packed {
                *fields = values;
                break;
            }
        }
        Ok(())
    }

    /// The count of a bucket that has `delta` more than the one before.
    fn add(&mut self, side: usize, delta: i64) -> Result<f64, DecodeError> {
        if self.floats {
            return Ok(0.0); // differences beside float counts mean nothing
        }
        let count = self.counts[side].checked_add(delta);
        self.counts[side] = count.ok_or(DecodeError::Histogram { at: 0 })?;
        Ok(self.counts[side] as f64)
    }

    fn span(&self, message: &Range<usize>) -> Result<(i32, u32), DecodeError> {
        let mut span = (0, 0);
        let mut fields = Fields::within(self.raw, message);
        while !fields.is_done() {
            match fields.key()? {
                OFFSET => span.0 = zigzag32(fields.varint()?),
                LENGTH => span.1 = fields.varint()? as u32,
                other => fields.skip(other, &[1, 2])?,
            }
        }
        Ok(span)
    }

    fn push<T>(&self, value: T, to: &mut Vec<T>) -> Result<(), DecodeError> {
        bounded(to.len() + 1, self.max_buckets, Element::Buckets)?;
        to.push(value);
        Ok(())
    }
}

fn reset(hint: u64) -> Reset {
    match hint as i32 {
        1 => Reset::Yes,
        2 => Reset::No,
        3 => Reset::Gauge,
        _ => Reset::Unknown,
    }
}

// === impl Histograms: filling it ===

impl Histograms {
    /// Notes that a histogram of the series in hand stands at `message`, if they are wanted. The series in hand has those
    /// from `first` on.
    #[inline]
    pub(super) fn note(
        &mut self,
        message: &Range<usize>,
        first: usize,
        limits: &ElementLimits,
    ) -> Result<(), DecodeError> {
        if self.wanted {
            self.messages.push(message.start as u32..message.end as u32);
            let count = self.messages.len();
            bounded(count - first, limits.max_samples_per_series, Element::SeriesSamples)?;
            bounded(count, limits.max_samples_per_request, Element::Samples)?;
        }
        Ok(())
    }

    /// Says that the histograms from `first` on are of the series whose samples have this `key`, its labels at `labels`.
    #[cold]
    pub(super) fn place(&mut self, first: usize, key: Key, labels: &Range<usize>) {
        self.series.push(SeriesSpan {
            key: key.of_histograms(),
            labels: labels.start as u32..labels.end as u32,
            samples: first as u32..self.messages.len() as u32,
        });
    }
}

impl From<DecodeError> for Unreadable {
    fn from(error: DecodeError) -> Self {
        if error.is_limit() { Self::TooLarge } else { Self::Damaged }
    }
}
