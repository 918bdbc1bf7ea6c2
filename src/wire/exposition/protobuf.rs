//! Delimited `io.prometheus.client.MetricFamily` messages, walked where they stand.
//!
//! A metric's label pairs are apart from its family's name, and one summary or histogram is many series,
//! so a span's label range is not a range of bytes here but the number of an entry of [`Families`].

use std::ops::Range;

use super::number::openmetrics_float;
use super::page::{PageError, PageStats};
use crate::batch::{Batch, Key, Sample, SeriesSpan};
use crate::wire::varint;

/// The names of the page's families and where the labels of its series stand.
#[derive(Debug, Default)]
pub(super) struct Families {
    names: Vec<Range<u32>>,
    series: Vec<Origin>,
    scratch: Vec<u8>,
}

/// Reads one family into a batch.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) page: &'a [u8],
    pub(super) seed: u64,
    pub(super) scraped_at_ms: i64,
    pub(super) limit: usize,
    pub(super) batch: &'a mut Batch,
    pub(super) families: &'a mut Families,
    pub(super) stats: &'a mut PageStats,
}

/// Where the labels of one series come from.
#[derive(Clone, Copy, Debug)]
struct Origin {
    family: u32,
    metric: (u32, u32),
    part: Part,
}

/// Which series of a metric it is, as Prometheus expands summaries and histograms.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Whole,
    Count,
    Sum,
    Bucket(f64),
    Quantile(f64),
}

/// `MetricType` of `metrics.proto`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Summary,
    Untyped,
    Histogram,
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of one message, in order.
struct Fields<'a> {
    rest: &'a [u8],
}

/// A family or metric that breaks its own message: counted, the next one is read.
struct Broken;

/// What one metric of a family is made of.
struct Metric<'a> {
    bytes: &'a [u8],
    /// First byte of the metric in the page.
    at: u32,
    value: &'a [u8],
    timestamp_ms: Option<i64>,
}

/// The range of the message that starts at `at`; `None` while it is not whole yet.
pub(super) fn next_message(page: &[u8], at: usize) -> Result<Option<Range<usize>>, PageError> {
    let rest = page.get(at..).unwrap_or_default();
    let mut cursor = rest;
    let Some(len) = varint(&mut cursor) else {
        return if rest.len() < 10 { Ok(None) } else { Err(PageError::Framing) };
    };
    let start = at + (rest.len() - cursor.len());
    let len = usize::try_from(len).ok().filter(|&len| len <= u32::MAX as usize).ok_or(PageError::Framing)?;
    Ok((cursor.len() >= len).then_some(start..start + len))
}

// === impl Families ===

impl Families {
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.series.clear();
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.names.capacity() * size_of::<Range<u32>>() + self.series.capacity() * size_of::<Origin>()
    }

    pub(super) fn contains(&self, page: &[u8], name: &str) -> bool {
        self.names.iter().any(|range| bytes_of(page, range) == name.as_bytes())
    }

    pub(super) fn for_each_label(
        &self,
        page: &[u8],
        labels: &Range<u32>,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) {
        let Some(origin) = self.series.get(labels.start as usize) else { return };
        let family = self.names.get(origin.family as usize).map_or(&[][..], |name| bytes_of(page, name));
        each(b"__name__", &[family, origin.part.suffix()].concat());
        let metric = bytes_of(page, &(origin.metric.0..origin.metric.1));
        // Pairs were walked once already, so none can be broken now.
        let _checked = for_each_pair(metric, each);
        match origin.part {
            Part::Bucket(le) => each(b"le", openmetrics_float(le).as_bytes()),
            Part::Quantile(quantile) => each(b"quantile", openmetrics_float(quantile).as_bytes()),
            Part::Whole | Part::Count | Part::Sum => {}
        }
    }
}

// === impl Part ===

impl Part {
    fn suffix(self) -> &'static [u8] {
        match self {
            Self::Whole | Self::Quantile(_) => b"",
            Self::Count => b"_count",
            Self::Sum => b"_sum",
            Self::Bucket(_) => b"_bucket",
        }
    }

    /// Bytes that tell the series of one metric apart.
    fn key_bytes(self) -> [u8; 9] {
        let (tag, bits) = match self {
            Self::Whole => (0, 0),
            Self::Count => (1, 0),
            Self::Sum => (2, 0),
            Self::Bucket(le) => (3, le.to_bits()),
            Self::Quantile(quantile) => (4, quantile.to_bits()),
        };
        let mut bytes = [tag; 9];
        bytes[1..].copy_from_slice(&bits.to_le_bytes());
        bytes
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Reads the family at `message`. One that is broken is counted and passed over.
    pub(super) fn family(&mut self, message: Range<usize>) -> Result<(), PageError> {
        let page = self.page;
        let bytes = page.get(message).unwrap_or_default();
        let Ok((name, kind)) = head_of(bytes) else {
            self.stats.lines_unparsed += 1;
            return Ok(());
        };
        let family = self.families.names.len() as u32;
        let at = offset_in(page, name);
        self.families.names.push(at..at + name.len() as u32);
        for field in (Fields { rest: bytes }) {
            // The head was read to the end, so no field is broken.
            let Ok((4, Field::Bytes(bytes))) = field else { continue };
            match Metric::read(page, bytes, kind) {
                Ok(metric) => self.metric(name, family, kind, &metric)?,
                Err(Broken) => self.stats.lines_unparsed += 1,
            }
        }
        Ok(())
    }

    fn metric(&mut self, name: &[u8], family: u32, kind: Kind, metric: &Metric<'_>) -> Result<(), PageError> {
        let series = self.batch.series.len();
        match self.parts(name, family, kind, metric) {
            Ok(result) => result,
            Err(Broken) => {
                self.batch.series.truncate(series);
                self.batch.samples.truncate(series);
                self.families.series.truncate(series);
                self.stats.lines_unparsed += 1;
                Ok(())
            }
        }
    }

    fn parts(
        &mut self,
        name: &[u8],
        family: u32,
        kind: Kind,
        metric: &Metric<'_>,
    ) -> Result<Result<(), PageError>, Broken> {
        let mut parts = Parts::default();
        match kind {
            Kind::Counter | Kind::Gauge | Kind::Untyped => {
                parts.push(Part::Whole, double_of(metric.value, 1)?)
            }
            Kind::Summary => parts.summary(metric.value)?,
            Kind::Histogram => parts.histogram(metric.value)?,
        }
        if parts.native {
            self.stats.native_histograms += 1;
            // A scraper takes the native histogram, and the classic series too where it is told to.
            self.stats.samples += 1 + parts.found.len();
            return Ok(Ok(()));
        }
        let prefix = self.key_prefix(name, metric);
        for &(part, value) in &parts.found {
            if self.batch.samples.len() >= self.limit {
                return Ok(Err(PageError::Samples { limit: self.limit }));
            }
            self.add(prefix, family, metric, part, value);
        }
        Ok(Ok(()))
    }

    /// Puts what all series of `metric` share into the scratch; gives its length.
    fn key_prefix(&mut self, name: &[u8], metric: &Metric<'_>) -> usize {
        let scratch = &mut self.families.scratch;
        scratch.clear();
        scratch.extend_from_slice(name);
        scratch.push(0xff);
        // Pairs were walked once already, so none can be broken now.
        let _checked = for_each_pair(metric.bytes, &mut |name, value| {
            for bytes in [name, value] {
                scratch.extend_from_slice(bytes);
                scratch.push(0xff);
            }
        });
        scratch.len()
    }

    fn add(&mut self, prefix: usize, family: u32, metric: &Metric<'_>, part: Part, value: f64) {
        let scratch = &mut self.families.scratch;
        scratch.truncate(prefix);
        scratch.extend_from_slice(&part.key_bytes());
        let at = self.batch.samples.len() as u32;
        self.batch.series.push(SeriesSpan {
            key: Key::of(scratch, self.seed),
            labels: at..at + 1,
            samples: at..at + 1,
        });
        let timestamp_ms = metric.timestamp_ms.unwrap_or(self.scraped_at_ms);
        self.batch.samples.push(Sample { timestamp_ms, value });
        let metric_range = (metric.at, metric.at + metric.bytes.len() as u32);
        self.families.series.push(Origin { family, metric: metric_range, part });
        self.stats.samples += 1;
    }
}

/// The series of one metric and their values.
#[derive(Default)]
struct Parts {
    found: Vec<(Part, f64)>,
    native: bool,
}

// === impl Parts ===

impl Parts {
    fn push(&mut self, part: Part, value: f64) {
        self.found.push((part, value));
    }

    fn summary(&mut self, value: &[u8]) -> Result<(), Broken> {
        let (mut count, mut sum) = (0, 0.0);
        for field in (Fields { rest: value }) {
            match field? {
                (1, Field::Varint(found)) => count = found,
                (2, Field::Fixed64(bits)) => sum = f64::from_bits(bits),
                (3, Field::Bytes(bytes)) => {
                    self.push(Part::Quantile(double_of(bytes, 1)?), double_of(bytes, 2)?);
                }
                _ => {}
            }
        }
        self.push(Part::Count, count as f64);
        self.push(Part::Sum, sum);
        Ok(())
    }

    fn histogram(&mut self, value: &[u8]) -> Result<(), Broken> {
        let (mut count, mut count_float, mut sum, mut endless) = (0, 0.0, 0.0, false);
        for field in (Fields { rest: value }) {
            match field? {
                (1, Field::Varint(found)) => count = found,
                (2, Field::Fixed64(bits)) => sum = f64::from_bits(bits),
                (3, Field::Bytes(bytes)) => {
                    let (le, count) = bucket_of(bytes)?;
                    endless |= le == f64::INFINITY;
                    self.push(Part::Bucket(le), count);
                }
                (4, Field::Fixed64(bits)) => count_float = f64::from_bits(bits),
                (6, Field::Fixed64(bits)) => self.native |= f64::from_bits(bits) > 0.0,
                // Spans and deltas or counts of buckets.
                (9..=14, _) => self.native = true,
                _ => {}
            }
        }
        let count = if count_float > 0.0 { count_float } else { count as f64 };
        // A histogram must have this bucket; the protobuf form may leave it to its reader.
        if !(endless || self.native && self.found.is_empty()) {
            self.push(Part::Bucket(f64::INFINITY), count);
        }
        self.push(Part::Count, count);
        self.push(Part::Sum, sum);
        Ok(())
    }
}

// === impl Metric ===

impl<'a> Metric<'a> {
    fn read(page: &[u8], bytes: &'a [u8], kind: Kind) -> Result<Self, Broken> {
        let wanted = match kind {
            Kind::Gauge => 2,
            Kind::Counter => 3,
            Kind::Summary => 4,
            Kind::Untyped => 5,
            Kind::Histogram => 7,
        };
        let at = offset_in(page, bytes);
        let mut metric = Self { bytes, at, value: &[], timestamp_ms: None };
        let mut found = false;
        for field in (Fields { rest: bytes }) {
            match field? {
                (number, Field::Bytes(value)) if number == wanted => (metric.value, found) = (value, true),
                (6, Field::Varint(time)) => metric.timestamp_ms = Some(time as i64),
                _ => {}
            }
        }
        let mut sound = true;
        for_each_pair(bytes, &mut |name, value| {
            sound &= std::str::from_utf8(name).is_ok() && std::str::from_utf8(value).is_ok();
        })?;
        if found && sound { Ok(metric) } else { Err(Broken) }
    }
}

// === impl Fields ===

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(Broken))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u32, Field<'a>)> {
        let tag = varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|&number| number > 0)?;
        let field = match tag & 7 {
            0 => Field::Varint(varint(&mut self.rest)?),
            1 => Field::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let len = usize::try_from(varint(&mut self.rest)?).ok()?;
                Field::Bytes(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                Field::Fixed32
            }
            _ => return None,
        };
        Some((number, field))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}

/// The name and type of a family; walks it to its end.
fn head_of(family: &[u8]) -> Result<(&[u8], Kind), Broken> {
    let (mut name, mut kind) = (&[][..], Kind::Counter);
    for field in (Fields { rest: family }) {
        match field? {
            (1, Field::Bytes(bytes)) => name = bytes,
            (3, Field::Varint(number)) => {
                kind = match number {
                    0 => Kind::Counter,
                    1 => Kind::Gauge,
                    2 => Kind::Summary,
                    3 => Kind::Untyped,
                    4 | 5 => Kind::Histogram,
                    _ => return Err(Broken),
                };
            }
            _ => {}
        }
    }
    let sound = !name.is_empty() && std::str::from_utf8(name).is_ok();
    if sound { Ok((name, kind)) } else { Err(Broken) }
}

fn for_each_pair(metric: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Broken> {
    for field in (Fields { rest: metric }) {
        let (1, Field::Bytes(pair)) = field? else { continue };
        let (mut name, mut value) = (&[][..], &[][..]);
        for field in (Fields { rest: pair }) {
            match field? {
                (1, Field::Bytes(bytes)) => name = bytes,
                (2, Field::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        each(name, value);
    }
    Ok(())
}

fn double_of(message: &[u8], wanted: u32) -> Result<f64, Broken> {
    let mut value = 0.0;
    for field in (Fields { rest: message }) {
        if let (number, Field::Fixed64(bits)) = field?
            && number == wanted
        {
            value = f64::from_bits(bits);
        }
    }
    Ok(value)
}

/// Upper bound and cumulative count of a classic bucket.
fn bucket_of(bucket: &[u8]) -> Result<(f64, f64), Broken> {
    let (mut count, mut count_float, mut bound) = (0, 0.0, 0.0);
    for field in (Fields { rest: bucket }) {
        match field? {
            (1, Field::Varint(found)) => count = found,
            (2, Field::Fixed64(bits)) => bound = f64::from_bits(bits),
            (4, Field::Fixed64(bits)) => count_float = f64::from_bits(bits),
            _ => {}
        }
    }
    Ok((bound, if count_float > 0.0 { count_float } else { count as f64 }))
}

/// Reads a varint and steps over it; `None` if it is cut or longer than 64 bits.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut at = 0;
    let value = varint::read(rest, &mut at)?;
    *rest = rest.get(at..)?;
    Some(value)
}

fn bytes_of<'a>(page: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    page.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// Where `part`, a slice of `page`, starts in it.
fn offset_in(page: &[u8], part: &[u8]) -> u32 {
    (part.as_ptr() as usize - page.as_ptr() as usize) as u32
}
