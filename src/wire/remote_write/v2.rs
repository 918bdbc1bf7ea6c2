//! Remote write 2.0, `io.prometheus.write.v2.Request`.

use std::ops::Range;

use super::fields::{self, DELIMITED, Fields, VARINT, bounded, key};
use super::{DecodeError, Decoded, Element, ElementLimits, histogram};
use crate::batch::{Batch, Key, LabelSource, NativeHistogram, SeriesSpan, Unreadable};

/// The strings of a request: where they stand, and a hash of each. Reused from request to request.
#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    spans: Vec<(u32, u32)>,
    hashes: Vec<[u64; 2]>,
    longest: usize,
}

/// Reads the labels of a batch that [`decode`] made from the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The decompressed body.
    pub raw: &'a [u8],
    /// The symbol table that [`decode`] filled.
    pub symbols: &'a SymbolTable,
}

struct Walk<'a> {
    raw: &'a [u8],
    limits: &'a ElementLimits,
    symbols: &'a SymbolTable,
    batch: &'a mut Batch,
    counts: Decoded,
}

/// Hashes labels in their order, by what they refer to.
#[derive(Clone, Copy)]
struct KeyHash {
    sums: [u64; 2],
    pairs: usize,
    /// A name whose value has not come yet.
    name: Option<[u64; 2]>,
}

const SYMBOL: fields::Key = key(4, DELIMITED);
pub(super) const SERIES: fields::Key = key(5, DELIMITED);
const REFERENCES: fields::Key = key(1, DELIMITED);
const REFERENCE: fields::Key = key(1, VARINT);
pub(super) const SAMPLE: fields::Key = key(2, DELIMITED);
pub(super) const HISTOGRAM: fields::Key = key(3, DELIMITED);
pub(super) const EXEMPLAR: fields::Key = key(4, DELIMITED);
pub(super) const METADATA: fields::Key = key(5, DELIMITED);

/// After so many labels the hash is mixed and the keys are used again.
const ROUND: usize = 64;
/// Numbers for each place of a label, which make its hash depend on the place. Products of a sum (NH, of UMAC)
/// do not wait for one another, as the steps of a chain would.
const PLACE_KEYS: [[u64; 4]; ROUND] = place_keys();

/// Decodes `raw`, a decompressed body, into `batch` and `symbols`, which it empties first.
///
/// Series entries without samples are counted and left out of the batch; native histograms are noted if it wants them.
/// `seed` goes into the keys, which
/// depend on the labels and their order but not on how the request numbers its symbols. Symbols may stand
/// anywhere in the request, so it is walked twice.
///
/// # Errors
///
/// Damaged bytes, references that lead nowhere, or more elements than `limits` allow, found while walking.
/// The batch then holds what was read until there and must not be used.
pub fn decode(
    raw: &[u8],
    seed: u64,
    limits: &ElementLimits,
    symbols: &mut SymbolTable,
    batch: &mut Batch,
) -> Result<Decoded, DecodeError> {
    batch.clear();
    batch.histograms.max_buckets = limits.max_buckets_per_histogram;
    symbols.fill(raw, seed, limits)?;
    let mut walk = Walk { raw, limits, symbols, batch, counts: Decoded::default() };
    let mut fields = Fields::of(raw)?;
    while !fields.is_done() {
        match fields.key()? {
            SERIES => {
                let body = fields.delimited()?;
                walk.series(body)?;
            }
            SYMBOL => {
                fields.delimited()?;
            }
            other => fields.skip(other, &[])?,
        }
    }
    let mut counts = walk.counts;
    counts.samples = batch.samples.len() as u32;
    Ok(counts)
}

const fn place_keys() -> [[u64; 4]; ROUND] {
    let mut all = [[0; 4]; ROUND];
    let mut at = 0;
    while at < 4 * ROUND {
        all[at / 4][at % 4] = mix((at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        at += 1;
    }
    all
}

/// The finaliser of SplitMix64.
const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

// === impl SymbolTable ===

impl SymbolTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no symbol.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Symbol `index` of `raw`, the body that the table was filled from.
    #[inline]
    pub fn get<'a>(&self, raw: &'a [u8], index: u32) -> Option<&'a [u8]> {
        let &(start, end) = self.spans.get(index as usize)?;
        raw.get(start as usize..end as usize)
    }

    fn fill(&mut self, raw: &[u8], seed: u64, limits: &ElementLimits) -> Result<(), DecodeError> {
        self.spans.clear();
        self.hashes.clear();
        self.longest = 0;
        let mut fields = Fields::of(raw)?;
        while !fields.is_done() {
            match fields.key()? {
                SYMBOL => {
                    let symbol = fields.delimited()?;
                    bounded(self.spans.len() + 1, limits.max_symbols_per_request, Element::Symbols)?;
                    self.longest = self.longest.max(symbol.len());
                    self.hashes.push(Key::of(&raw[symbol.clone()], seed).0);
                    self.spans.push((symbol.start as u32, symbol.end as u32));
                }
                SERIES => {
                    fields.delimited()?;
                }
                other => fields.skip(other, &[4, 5])?,
            }
        }
        Ok(())
    }

    fn length(&self, index: u32) -> usize {
        self.spans.get(index as usize).map_or(0, |&(start, end)| (end - start) as usize)
    }
}

// === impl Walk ===

impl Walk<'_> {
    #[inline(always)]
    fn series(&mut self, body: Range<usize>) -> Result<(), DecodeError> {
        self.counts.series += 1;
        bounded(self.counts.series as usize, self.limits.max_series_per_request, Element::Series)?;
        let first_sample = self.batch.samples.len();
        let first_histogram = self.batch.histograms.messages.len();
        let (mut labels, mut hash) = (0..0, KeyHash { sums: [0; 2], pairs: 0, name: None });
        let mut fields = Fields::within(self.raw, &body);
        while !fields.is_done() {
            let at = fields.at();
            match fields.key()? {
                REFERENCES => {
                    let packed = fields.delimited()?;
                    labels = if hash.is_empty() { at..packed.end } else { labels.start..packed.end };
                    self.references(&packed, &mut hash)?;
                }
                SAMPLE => {
                    let message = fields.delimited()?;
                    self.batch.samples.push(fields.sample(&message, &[1, 2, 3])?);
                    let count = self.batch.samples.len();
                    bounded(
                        count - first_sample,
                        self.limits.max_samples_per_series,
                        Element::SeriesSamples,
                    )?;
                }
                METADATA => {
                    fields.delimited()?;
                    self.counts.metadata += 1;
                }
                REFERENCE => {
                    let reference = fields.varint()? as u32;
                    labels = if hash.is_empty() { at..fields.at() } else { labels.start..fields.at() };
                    self.reference(reference, &mut hash)?;
                }
                other => self.rare_field(&mut fields, other, first_histogram)?,
            }
        }
        if self.batch.histograms.messages.len() > first_histogram {
            self.batch.histograms.place(first_histogram, hash.finish(), &labels);
        }
        self.push(labels, hash, first_sample, body.end)
    }

    #[cold]
    fn rare_field(
        &mut self,
        fields: &mut Fields<'_>,
        key: fields::Key,
        first_histogram: usize,
    ) -> Result<(), DecodeError> {
        match key {
            HISTOGRAM => {
                self.counts.histograms += 1;
                let message = fields.delimited()?;
                self.batch.histograms.note(&message, first_histogram, self.limits)?;
            }
            EXEMPLAR => {
                self.counts.exemplars += 1;
                fields.delimited()?;
            }
            other => fields.skip(other, &[1, 2, 3, 4, 5])?,
        }
        Ok(())
    }

    #[inline(always)]
    fn references(&self, packed: &Range<usize>, hash: &mut KeyHash) -> Result<(), DecodeError> {
        let mut values = Fields::within(self.raw, packed);
        if hash.name.is_none() {
            *hash = self.pairs(&mut values, *hash)?;
            bounded(hash.pairs, self.limits.max_labels_per_series, Element::Labels)?;
        }
        while !values.is_done() {
            let reference = values.varint()? as u32;
            self.reference(reference, hash)?;
        }
        Ok(())
    }

    /// Takes references two by two as long as there are two.
    #[inline(always)]
    fn pairs(&self, values: &mut Fields<'_>, mut hash: KeyHash) -> Result<KeyHash, DecodeError> {
        let mut next = *values;
        while !next.is_done() {
            // Numbers beyond 32 bits are cut, as every reader of protobuf does.
            let name = next.varint()? as u32;
            if next.is_done() {
                break;
            }
            let value = next.varint()? as u32;
            hash.add(self.symbol(name)?, self.symbol(value)?);
            *values = next;
        }
        Ok(hash)
    }

    /// Takes one reference, where names and values do not come side by side.
    #[cold]
    fn reference(&self, reference: u32, hash: &mut KeyHash) -> Result<(), DecodeError> {
        let symbol = self.symbol(reference)?;
        match hash.name.take() {
            None => hash.name = Some(symbol),
            Some(name) => hash.add(name, symbol),
        }
        bounded(hash.pairs, self.limits.max_labels_per_series, Element::Labels)
    }

    #[inline(always)]
    fn symbol(&self, reference: u32) -> Result<[u64; 2], DecodeError> {
        match self.symbols.hashes.get(reference as usize) {
            Some(symbol) => Ok(*symbol),
            None => Err(self.beyond_table(reference)),
        }
    }

    #[cold]
    fn beyond_table(&self, reference: u32) -> DecodeError {
        DecodeError::SymbolBeyondTable { index: reference.into(), symbols: self.symbols.len() }
    }

    #[inline(always)]
    fn push(
        &mut self,
        labels: Range<usize>,
        hash: KeyHash,
        first_sample: usize,
        at: usize,
    ) -> Result<(), DecodeError> {
        if hash.name.is_some() {
            return Err(DecodeError::OddReferences { at });
        }
        let labels = labels.start as u32..labels.end as u32;
        let short = self.limits.max_label_name_length.min(self.limits.max_label_value_length);
        if self.symbols.longest > short as usize {
            self.check_lengths(&labels)?;
        }
        let samples = self.batch.samples.len();
        if samples == first_sample {
            return Ok(());
        }
        bounded(samples, self.limits.max_samples_per_request, Element::Samples)?;
        let samples = first_sample as u32..samples as u32;
        self.batch.series.push(SeriesSpan { key: hash.finish(), labels, samples });
        Ok(())
    }

    #[cold]
    fn check_lengths(&self, labels: &Range<u32>) -> Result<(), DecodeError> {
        let mut longest = (0, 0);
        Labels { raw: self.raw, symbols: self.symbols }.each_pair(labels, |name, value| {
            longest.0 = longest.0.max(self.symbols.length(name));
            longest.1 = longest.1.max(self.symbols.length(value));
        })?;
        bounded(longest.0, self.limits.max_label_name_length, Element::LabelName)?;
        bounded(longest.1, self.limits.max_label_value_length, Element::LabelValue)
    }
}

// === impl KeyHash ===

impl KeyHash {
    fn is_empty(&self) -> bool {
        self.pairs == 0 && self.name.is_none()
    }

    #[inline(always)]
    fn add(&mut self, name: [u64; 2], value: [u64; 2]) {
        let place = self.pairs % ROUND;
        if place == 0 && self.pairs > 0 {
            self.sums = self.sums.map(mix);
        }
        let [a, b, c, d] = PLACE_KEYS[place];
        let low = name[0].wrapping_add(a).wrapping_mul(value[0].wrapping_add(b));
        let high = name[1].wrapping_add(c).wrapping_mul(value[1].wrapping_add(d));
        self.sums = [self.sums[0].wrapping_add(low), self.sums[1].wrapping_add(high)];
        self.pairs += 1;
    }

    #[inline(always)]
    fn finish(self) -> Key {
        Key(self.sums.map(mix))
    }
}

// === impl Labels ===

impl Labels<'_> {
    /// Calls `each` with the two references of every label in `region`.
    pub(super) fn each_pair(
        self,
        region: &Range<u32>,
        mut each: impl FnMut(u32, u32),
    ) -> Result<(), DecodeError> {
        let mut name = None;
        let mut add = |reference| match name.take() {
            None => name = Some(reference),
            Some(name) => each(name, reference),
        };
        let mut fields = Fields::within(self.raw, &(region.start as usize..region.end as usize));
        while !fields.is_done() {
            match fields.key()? {
                REFERENCES => {
                    let mut values = Fields::within(self.raw, &fields.delimited()?);
                    while !values.is_done() {
                        add(values.varint()? as u32);
                    }
                }
                REFERENCE => add(fields.varint()? as u32),
                other => fields.skip(other, &[])?,
            }
        }
        Ok(())
    }

    /// Calls `each` for every label in `region`, and tells whether all of them are UTF-8.
    fn walk(self, region: &Range<u32>, mut each: impl FnMut(&[u8], &[u8])) -> Result<bool, DecodeError> {
        let mut sound = true;
        self.each_pair(region, |name, value| {
            let name = self.symbols.get(self.raw, name).unwrap_or_default();
            let value = self.symbols.get(self.raw, value).unwrap_or_default();
            sound &= std::str::from_utf8(name).is_ok() && std::str::from_utf8(value).is_ok();
            each(name, value);
        })?;
        Ok(sound)
    }
}

impl LabelSource for Labels<'_> {
    /// As the trait says; a series with a label that is not UTF-8 has none at all.
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
