//! One page of a target, read while it streams through.

use std::ops::Range;

use memchr::{memchr, memmem, memrchr};

use super::format::{Format, Syntax};
use super::protobuf::{self, Families};
use super::text::{self, Line, SampleLine};
use crate::batch::{Batch, Key, LabelSource, Sample, SeriesSpan};

/// How much of one page is kept and understood. A page over a limit still passes; it is not scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Bytes of the page, uncompressed; at most 4 GiB are ever kept.
    pub body_size: usize,
    /// Samples of the page.
    pub samples: usize,
}

/// What was seen on a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageStats {
    /// Samples as Prometheus counts them against `sample_limit`: every sample line, the series that a
    /// summary or histogram expands to, and one for a native histogram.
    pub samples: usize,
    /// Lines (protobuf: families) that were not understood.
    pub lines_unparsed: usize,
    /// Native histograms, which are passed on and not scored.
    pub native_histograms: usize,
}

/// Why a page is not scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The page is longer than [`PageLimits::body_size`].
    #[error("page exceeds {limit} bytes; reduce what the target exposes or increase body_size_limit")]
    BodySize {
        /// The limit in bytes.
        limit: usize,
    },
    /// The page has more samples than [`PageLimits::samples`].
    #[error("page exceeds {limit} samples; reduce what the target exposes or increase page_sample_limit")]
    Samples {
        /// The limit.
        limit: usize,
    },
    /// The framing of a protobuf page is broken or it ends inside a message.
    #[error("page is no sequence of delimited messages")]
    Framing,
    /// An OpenMetrics page that does not end in `# EOF` fails the scrape (P12).
    #[error("openmetrics page does not end in # EOF")]
    NoEof,
}

/// The bytes of a page and what they mean. Reused from page to page: no allocation in steady state.
#[derive(Debug)]
pub struct Page {
    limits: PageLimits,
    format: Format,
    seed: u64,
    scraped_at_ms: i64,
    bytes: Vec<u8>,
    read_to: usize,
    ended: bool,
    batch: Batch,
    families: Families,
    stats: PageStats,
    known: Known,
}

/// The series of the last page of the same target, in its order: a line that begins with the same bytes
/// needs no walk over its labels. Most pages repeat the last one but for their values.
#[derive(Debug, Default)]
struct Known {
    keys: Vec<Key>,
    /// The key that is likely to come next.
    next: usize,
}

// === impl Page ===

impl Page {
    /// An empty page; [`Page::start`] readies it.
    pub fn new() -> Self {
        Self {
            limits: PageLimits { body_size: 0, samples: 0 },
            format: Format { syntax: Syntax::Text, utf8_names: false },
            seed: 0,
            scraped_at_ms: 0,
            bytes: Vec::new(),
            read_to: 0,
            ended: false,
            batch: Batch::default(),
            families: Families::default(),
            stats: PageStats::default(),
            known: Known::default(),
        }
    }

    /// Forgets the last page and awaits one in `format`.
    ///
    /// `seed` makes the keys of this scope and door ([`Key::of`]); a sample without a timestamp gets
    /// `scraped_at_ms`, in milliseconds since the Unix epoch.
    pub fn start(&mut self, format: Format, limits: PageLimits, seed: u64, scraped_at_ms: i64) {
        let body_size = limits.body_size.min(u32::MAX as usize);
        (self.format, self.limits) = (format, PageLimits { body_size, ..limits });
        (self.seed, self.scraped_at_ms) = (seed, scraped_at_ms);
        (self.read_to, self.ended, self.stats) = (0, false, PageStats::default());
        self.bytes.clear();
        self.batch.clear();
        self.families.clear();
        self.known = Known::default();
    }

    /// Takes [`Page::series_keys`] of an earlier page of the same target and seed, which makes reading this
    /// one faster.
    pub fn recall(&mut self, keys: Vec<Key>) {
        self.known = Known { keys, next: 0 };
    }

    /// The keys of this page's series, for [`Page::recall`]; none for protobuf, whose labels are not checked
    /// by a walk of their own.
    pub fn series_keys(&mut self) -> Vec<Key> {
        let mut keys = std::mem::take(&mut self.known.keys);
        keys.clear();
        if self.format.syntax != Syntax::Protobuf {
            keys.extend(self.batch.series.iter().map(|span| span.key));
        }
        keys
    }

    /// The seed given to [`Page::start`].
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Takes the next bytes, cut anywhere, and reads the lines or messages they complete.
    ///
    /// # Errors
    /// The page is over a limit or cannot be read on; it takes no more bytes then.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), PageError> {
        if self.bytes.len() + chunk.len() > self.limits.body_size {
            return Err(PageError::BodySize { limit: self.limits.body_size });
        }
        let new = self.bytes.len();
        self.bytes.extend_from_slice(chunk);
        match self.format.syntax {
            Syntax::Protobuf => self.read_families(),
            _ => match memrchr(b'\n', self.bytes.get(new..).unwrap_or_default()) {
                Some(at) => self.read_lines(new + at + 1),
                None => Ok(()),
            },
        }
    }

    /// Ends the page; a last line without a line feed is read too (P11).
    ///
    /// # Errors
    /// The page turns out not to be whole, or over a limit with its last line.
    pub fn finish(&mut self) -> Result<(), PageError> {
        match self.format.syntax {
            Syntax::Protobuf if self.read_to < self.bytes.len() => Err(PageError::Framing),
            Syntax::Protobuf => Ok(()),
            Syntax::Text => self.read_lines(self.bytes.len()),
            Syntax::OpenMetrics => {
                self.read_lines(self.bytes.len())?;
                if self.ended { Ok(()) } else { Err(PageError::NoEof) }
            }
        }
    }

    /// The series and samples of the page; labels are read with [`LabelSource`] of this same page.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// What was seen so far.
    pub fn stats(&self) -> PageStats {
        self.stats
    }

    /// The format given to [`Page::start`].
    pub fn format(&self) -> Format {
        self.format
    }

    /// The time given to samples without one, in milliseconds since the Unix epoch.
    pub fn scraped_at_ms(&self) -> i64 {
        self.scraped_at_ms
    }

    /// Bytes of memory that the page holds on to.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.batch.series.capacity() * size_of::<SeriesSpan>()
            + self.batch.samples.capacity() * size_of::<Sample>()
            + self.families.held_bytes()
    }

    /// Whether the page ends without a line feed, so that nothing may follow it directly.
    pub fn ends_mid_line(&self) -> bool {
        self.bytes.last().is_some_and(|&last| last != b'\n')
    }

    /// Whether the page itself has a family or a series called `name` (P30).
    pub fn has_family(&self, name: &str) -> bool {
        match self.format.syntax {
            Syntax::Protobuf => self.families.contains(&self.bytes, name),
            _ => memmem::find_iter(&self.bytes, name).any(|at| names_family(&self.bytes, at, name.len())),
        }
    }

    fn read_lines(&mut self, end: usize) -> Result<(), PageError> {
        // One test for the whole stretch, if a line needs it at all.
        let stretch = self.read_to..end;
        let mut sound = None;
        while self.read_to < end {
            let start = self.read_to;
            let rest = self.bytes.get(start..end).unwrap_or_default();
            let len = memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..len).unwrap_or_default();
            self.read_to = (start + len + 1).min(end);
            if !self.ended
                && let Some((key, sample)) = self.known.read(line, self.seed, self.format.syntax)
            {
                self.add(start, key, sample)?;
                continue;
            }
            let mut is_sound = || {
                let all = || std::str::from_utf8(self.bytes.get(stretch.clone()).unwrap_or_default()).is_ok();
                *sound.get_or_insert_with(all) || std::str::from_utf8(line).is_ok()
            };
            match text::read_line(line, self.format.syntax) {
                Line::Silent if !self.ended || line.is_empty() => {}
                Line::End if !self.ended => self.ended = true,
                Line::Sample(sample) if !self.ended && is_sound() => {
                    let key = Key::of(line.get(sample.start..sample.end).unwrap_or_default(), self.seed);
                    self.add(start, key, sample)?;
                }
                _ => self.stats.lines_unparsed += 1,
            }
        }
        Ok(())
    }

    #[inline]
    fn add(&mut self, line_start: usize, key: Key, line: SampleLine) -> Result<(), PageError> {
        let at = self.batch.samples.len();
        if at >= self.limits.samples {
            return Err(PageError::Samples { limit: self.limits.samples });
        }
        let timestamp_ms = line.timestamp_ms.unwrap_or(self.scraped_at_ms);
        self.batch.samples.push(Sample { timestamp_ms, value: line.value });
        self.batch.series.push(SeriesSpan {
            key,
            labels: (line_start + line.start) as u32..(line_start + line.end) as u32,
            samples: at as u32..at as u32 + 1,
        });
        self.stats.samples += 1;
        Ok(())
    }

    fn read_families(&mut self) -> Result<(), PageError> {
        while let Some(message) = protobuf::next_message(&self.bytes, self.read_to)? {
            self.read_to = message.end;
            let mut reader = protobuf::Reader {
                page: &self.bytes,
                seed: self.seed,
                scraped_at_ms: self.scraped_at_ms,
                limit: self.limits.samples,
                batch: &mut self.batch,
                families: &mut self.families,
                stats: &mut self.stats,
            };
            reader.family(message)?;
        }
        Ok(())
    }
}

// === impl Known ===

impl Known {
    /// Reads `line` if its series is the next one, or the one after a series that is gone.
    #[inline]
    fn read(&mut self, line: &[u8], seed: u64, syntax: Syntax) -> Option<(Key, SampleLine)> {
        let likely = self.keys.get(self.next..)?;
        if likely.is_empty() {
            return None;
        }
        let end = text::guess_series_end(line)?;
        // The series was seen to be sound text; what follows it on this line was not. Values are ASCII.
        if !line.get(end..)?.is_ascii() {
            return None;
        }
        let key = Key::of(line.get(..end)?, seed);
        let skipped = likely.iter().take(2).position(|known| *known == key)?;
        self.next += skipped + 1;
        Some((key, text::read_known(line, end, syntax)?))
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl LabelSource for Page {
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        match self.format.syntax {
            Syntax::Protobuf => self.families.for_each_label(&self.bytes, labels, each),
            _ => {
                let range = labels.start as usize..labels.end as usize;
                text::for_each_label(self.bytes.get(range).unwrap_or_default(), each);
            }
        }
    }
}

/// Whether the text found at `at` is a whole name where a line names its series or family.
fn names_family(page: &[u8], at: usize, len: usize) -> bool {
    let part_of_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    if page.get(at + len).is_some_and(part_of_name) {
        return false;
    }
    let before = page.get(..at).unwrap_or_default();
    let line_start = memrchr(b'\n', before).map_or(0, |feed| feed + 1);
    let lead: Vec<&[u8]> = before
        .get(line_start..)
        .unwrap_or_default()
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
        .collect();
    matches!(lead.as_slice(), [] | [b"{\""] | [b"{", b"\""] | [b"#", b"TYPE" | b"HELP" | b"UNIT"])
        || matches!(lead.as_slice(), [b"#", b"TYPE" | b"HELP" | b"UNIT", b"\""])
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
