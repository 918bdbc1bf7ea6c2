//! Scores as remote-write requests (F12): [`V2`], and the fields that [`ScoreBlock`](super::ScoreBlock)
//! spells for version 1.0.
//!
//! Labels stand sorted by name. Original requests are never encoded again, so nothing but scores passes
//! through here.

#[cfg(test)]
mod tests;
mod v2;

use std::sync::Arc;

pub use v2::V2;

use crate::batch::Sample;
use crate::inject::ScoreSample;
use crate::series::labels::{Pair, SeriesLabels};
use crate::wire::varint;

const LABEL: u8 = 0x0a;
const NAME: u8 = 0x0a;
const VALUE: u8 = 0x12;
const SAMPLES: u8 = 0x12;
const SAMPLE_VALUE: u8 = 0x09;
const SAMPLE_TIMESTAMP: u8 = 0x10;

/// `scores` cut where the series changes; no piece is empty.
fn entries(scores: &[ScoreSample]) -> impl Iterator<Item = &[ScoreSample]> {
    scores.chunk_by(|a, b| Arc::ptr_eq(&a.labels, &b.labels) && std::ptr::eq(a.name, b.name))
}

/// All pairs of the injected series sorted by name, its own name where it belongs.
#[inline(always)]
pub(super) fn pairs<'a>(labels: &'a SeriesLabels, name: &'a Pair) -> impl Iterator<Item = &'a Pair> {
    let (before, after) = labels.around_name();
    before.iter().map(Arc::as_ref).chain([name]).chain(after.iter().map(Arc::as_ref))
}

fn text_field_len(text: &str) -> usize {
    1 + varint::len(text.len() as u64) + text.len()
}

fn label_len(pair: &Pair) -> usize {
    text_field_len(pair.name()) + text_field_len(pair.value())
}

/// Bytes of the label field of `pair`, its key and length among them.
pub(super) fn label_field_len(pair: &Pair) -> usize {
    let len = label_len(pair);
    1 + varint::len(len as u64) + len
}

/// Appends the label field of `pair`.
pub(super) fn write_label_field(out: &mut Vec<u8>, pair: &Pair) {
    out.push(LABEL);
    varint::write(out, label_len(pair) as u64);
    for (key, text) in [(NAME, pair.name()), (VALUE, pair.value())] {
        out.push(key);
        varint::write(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

#[inline]
fn sample_len(sample: &Sample) -> usize {
    10 + varint::len(sample.timestamp_ms as u64)
}

/// Bytes of the sample field, its key and length among them. A sample never needs a second length byte.
#[inline]
pub(super) fn sample_field_len(sample: &Sample) -> usize {
    2 + sample_len(sample)
}

/// Appends the sample field.
#[inline]
pub(super) fn write_sample_field(out: &mut Vec<u8>, sample: &Sample) {
    let [v0, v1, v2, v3, v4, v5, v6, v7] = sample.value.to_bits().to_le_bytes();
    let (key, len) = (SAMPLES, sample_len(sample) as u8);
    out.extend_from_slice(&[key, len, SAMPLE_VALUE, v0, v1, v2, v3, v4, v5, v6, v7, SAMPLE_TIMESTAMP]);
    varint::write(out, sample.timestamp_ms as u64);
}
