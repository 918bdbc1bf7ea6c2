//! Remote write 1.0, `prometheus.WriteRequest`.

use std::ops::Range;

use super::fields::{self, DELIMITED, Fields, SAMPLE_FIELD, bounded, key, last_sample};
use super::{DecodeError, Decoded, Element, ElementLimits, Walked, histogram};
use crate::batch::{Batch, Key, LabelSource, NativeHistogram, SeriesSpan, Unreadable};

/// Reads the labels of a batch that [`decode`] made from the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The decompressed body.
    pub raw: &'a [u8],
}

/// One label as it stands in the body.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelSpan {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

struct Walk<'a> {
    raw: &'a [u8],
    seed: u64,
    limits: &'a ElementLimits,
    /// A label message up to this long has a name and a value within the limits.
    short_label: usize,
    batch: &'a mut Batch,
    walked: Option<&'a mut Walked>,
    counts: Decoded,
    /// The labels of a series that has other fields between them, side by side.
    gathered: Vec<u8>,
}

/// Where the labels of a series stand: within `region`, and nothing else there if `contiguous`.
struct LabelRegion {
    region: Range<usize>,
    contiguous: bool,
    count: usize,
}

pub(super) const SERIES: fields::Key = key(1, DELIMITED);
pub(super) const METADATA: fields::Key = key(3, DELIMITED);
pub(super) const LABEL: fields::Key = key(1, DELIMITED);
pub(super) const SAMPLE: fields::Key = key(2, DELIMITED);
pub(super) const EXEMPLAR: fields::Key = key(3, DELIMITED);
pub(super) const HISTOGRAM: fields::Key = key(4, DELIMITED);
const NAME: fields::Key = key(1, DELIMITED);
const VALUE: fields::Key = key(2, DELIMITED);

/// Decodes `raw`, a decompressed body, into `batch`, which it empties first.
///
/// Series entries without samples are counted and left out of the batch; native histograms are noted if it wants them.
/// `seed` goes into the keys. An entry
/// that ends in a sample, and whose other bytes `walked` remembers as nothing but sound labels, is not walked
/// again: what comes out is the same.
///
/// # Errors
///
/// Damaged bytes, or more elements than `limits` allow, found while walking. The batch then holds what
/// was read until there and must not be used.
pub fn decode(
    raw: &[u8],
    seed: u64,
    limits: &ElementLimits,
    mut walked: Option<&mut Walked>,
    batch: &mut Batch,
) -> Result<Decoded, DecodeError> {
    batch.clear();
    batch.histograms.max_buckets = limits.max_buckets_per_histogram;
    if let Some(walked) = &mut walked {
        walked.begin(limits);
    }
    let mut walk = Walk::new(raw, seed, limits, walked, batch);
    let mut fields = Fields::of(raw)?;
    while !fields.is_done() {
        match fields.key()? {
            SERIES => {
                let body = fields.delimited()?;
                walk.series(body)?;
            }
            METADATA => {
                fields.delimited()?;
                walk.counts.metadata += 1;
            }
            other => fields.skip(other, &[1, 3])?,
        }
    }
    let mut counts = walk.counts;
    counts.samples = batch.samples.len() as u32;
    Ok(counts)
}

/// Reads the label message at `range` of `raw`.
pub(super) fn label(raw: &[u8], range: &Range<usize>) -> Result<LabelSpan, DecodeError> {
    let mut label = LabelSpan::default();
    let mut fields = Fields::within(raw, range);
    while !fields.is_done() {
        match fields.key()? {
            NAME => label.name = fields.delimited()?,
            VALUE => label.value = fields.delimited()?,
            other => fields.skip(other, &[1, 2])?,
        }
    }
    Ok(label)
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn new(
        raw: &'a [u8],
        seed: u64,
        limits: &'a ElementLimits,
        walked: Option<&'a mut Walked>,
        batch: &'a mut Batch,
    ) -> Self {
        let short_label = limits.max_label_name_length.min(limits.max_label_value_length) as usize;
        let (counts, gathered) = (Decoded::default(), Vec::new());
        Self { raw, seed, limits, short_label, batch, walked, counts, gathered }
    }

    #[inline(always)]
    fn series(&mut self, body: Range<usize>) -> Result<(), DecodeError> {
        self.counts.series += 1;
        bounded(self.counts.series as usize, self.limits.max_series_per_request, Element::Series)?;
        let Some(walked) = &mut self.walked else { return self.walk(body) };
        let Some(sample) = last_sample(&self.raw[body.clone()]) else { return self.walk(body) };
        let labels = body.start..body.end - SAMPLE_FIELD;
        let key = Key::of(&self.raw[labels.clone()], self.seed);
        if !walked.knows(&key) {
            return self.meet(body, &labels, &key);
        }
        self.batch.samples.push(sample);
        self.push(key, labels, self.batch.samples.len() - 1)
    }

    /// Walks an entry that looks like labels and a sample, and remembers it if that is what it is.
    #[cold]
    fn meet(&mut self, body: Range<usize>, labels: &Range<usize>, key: &Key) -> Result<(), DecodeError> {
        self.walk(body)?;
        let walked = self.batch.series.last();
        let as_it_looks = walked.is_some_and(|span| {
            span.key == *key
                && (span.labels.start as usize, span.labels.end as usize) == (labels.start, labels.end)
        });
        if let Some(walked) = self.walked.as_mut().filter(|_| as_it_looks) {
            walked.remember(key);
        }
        Ok(())
    }

    #[inline(always)]
    fn walk(&mut self, body: Range<usize>) -> Result<(), DecodeError> {
        let mut labels = LabelRegion { region: 0..0, contiguous: true, count: 0 };
        let first_sample = self.batch.samples.len();
        let first_histogram = self.batch.histograms.messages.len();
        let mut fields = Fields::within(self.raw, &body);
        while !fields.is_done() {
            let at = fields.at();
            match fields.key()? {
                LABEL => {
                    let message = fields.delimited()?;
                    self.check_label(&message)?;
                    labels.add(at..message.end, self.limits)?;
                }
                SAMPLE => {
                    let message = fields.delimited()?;
                    self.batch.samples.push(fields.sample(&message, &[1, 2])?);
                    let count = self.batch.samples.len();
                    bounded(
                        count - first_sample,
                        self.limits.max_samples_per_series,
                        Element::SeriesSamples,
                    )?;
                }
                EXEMPLAR => {
                    fields.delimited()?;
                    self.counts.exemplars += 1;
                }
                HISTOGRAM => {
                    let message = fields.delimited()?;
                    self.counts.histograms += 1;
                    self.batch.histograms.note(&message, first_histogram, self.limits)?;
                }
                other => fields.skip(other, &[1, 2, 3, 4])?,
            }
        }
        if self.batch.histograms.messages.len() > first_histogram {
            let key = self.key_of(&labels)?;
            self.batch.histograms.place(first_histogram, key, &labels.region);
        }
        self.push_walked(labels, first_sample)
    }

    #[inline(always)]
    fn check_label(&self, message: &Range<usize>) -> Result<(), DecodeError> {
        if message.len() <= self.short_label { Ok(()) } else { self.check_long_label(message) }
    }

    #[cold]
    fn check_long_label(&self, message: &Range<usize>) -> Result<(), DecodeError> {
        let label = label(self.raw, message)?;
        bounded(label.name.len(), self.limits.max_label_name_length, Element::LabelName)?;
        bounded(label.value.len(), self.limits.max_label_value_length, Element::LabelValue)
    }

    #[inline(always)]
    fn push_walked(&mut self, labels: LabelRegion, first_sample: usize) -> Result<(), DecodeError> {
        if self.batch.samples.len() == first_sample {
            return Ok(());
        }
        let key = self.key_of(&labels)?;
        self.push(key, labels.region, first_sample)
    }

    #[inline(always)]
    fn key_of(&mut self, labels: &LabelRegion) -> Result<Key, DecodeError> {
        let LabelRegion { region, contiguous, .. } = labels;
        if *contiguous {
            Ok(Key::of(&self.raw[region.clone()], self.seed))
        } else {
            self.key_of_scattered(region)
        }
    }

    #[inline(always)]
    fn push(&mut self, key: Key, labels: Range<usize>, first_sample: usize) -> Result<(), DecodeError> {
        let samples = self.batch.samples.len();
        bounded(samples, self.limits.max_samples_per_request, Element::Samples)?;
        self.batch.series.push(SeriesSpan {
            key,
            labels: labels.start as u32..labels.end as u32,
            samples: first_sample as u32..samples as u32,
        });
        Ok(())
    }

    /// The key that the same labels would have side by side.
    #[cold]
    fn key_of_scattered(&mut self, region: &Range<usize>) -> Result<Key, DecodeError> {
        self.gathered.clear();
        let mut fields = Fields::within(self.raw, region);
        while !fields.is_done() {
            let at = fields.at();
            match fields.key()? {
                LABEL => {
                    let message = fields.delimited()?;
                    self.gathered.extend_from_slice(&self.raw[at..message.end]);
                }
                other => fields.skip(other, &[])?,
            }
        }
        Ok(Key::of(&self.gathered, self.seed))
    }
}

// === impl LabelRegion ===

impl LabelRegion {
    #[inline(always)]
    fn add(&mut self, field: Range<usize>, limits: &ElementLimits) -> Result<(), DecodeError> {
        if self.count == 0 {
            self.region.start = field.start;
        } else {
            self.contiguous &= self.region.end == field.start;
        }
        self.region.end = field.end;
        self.count += 1;
        bounded(self.count, limits.max_labels_per_series, Element::Labels)
    }
}

// === impl Labels ===

impl<'a> Labels<'a> {
    /// Calls `each` for every label in `region`, unless one of them is damaged or not UTF-8: then it
    /// stops there and returns false.
    fn walk(
        self,
        region: &Range<u32>,
        mut each: impl FnMut(&'a [u8], &'a [u8]),
    ) -> Result<bool, DecodeError> {
        let mut fields = Fields::within(self.raw, &(region.start as usize..region.end as usize));
        while !fields.is_done() {
            match fields.key()? {
                LABEL => {
                    let label = label(self.raw, &fields.delimited()?)?;
                    let (name, value) = (&self.raw[label.name], &self.raw[label.value]);
                    if std::str::from_utf8(name).is_err() || std::str::from_utf8(value).is_err() {
                        return Ok(false);
                    }
                    each(name, value);
                }
                other => fields.skip(other, &[])?,
            }
        }
        Ok(true)
    }
}

impl LabelSource for Labels<'_> {
    /// As the trait says; a series with a damaged or non-UTF-8 label has none at all.
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        let sound = self.walk(labels, |_, _| ()) == Ok(true);
        let handed_out = sound && self.walk(labels, each) == Ok(true);
        debug_assert_eq!(sound, handed_out, "the same bytes read twice");
    }

    fn read_histogram(
        &self,
        at: &Range<u32>,
        max_buckets: u32,
        into: &mut NativeHistogram,
    ) -> Result<(), Unreadable> {
        Ok(histogram::read(self.raw, at, max_buckets, into)?)
    }
}
