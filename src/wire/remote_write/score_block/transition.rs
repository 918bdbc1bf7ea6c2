//! What stands between the values of two neighbouring entries, spelled as snappy.

use super::elements::{write_copy, write_literal};
use super::{SERIES, VALUE};
use crate::series::labels::{Pair, SeriesLabels};
use crate::wire::remote_write::encode::{label_field_len, pairs, write_label_field};
use crate::wire::varint;

/// Bytes of the time that an entry ends in: key and timestamp.
pub(super) const TIME: usize = 7;
/// What stands between the labels and the value: the sample's key and length, and the value's key.
pub(super) const SAMPLE_HEAD: [u8; 3] = [0x12, 0x10, 0x09];
/// The longest entry that is copied from: a two-byte offset must reach across two of them.
pub(super) const LONGEST: usize = u16::MAX as usize / 2;
/// Shorter matches are not worth an element of their own.
const SHORTEST_MATCH: usize = 6;
/// Bits of the hash by which matches are found.
const HASH_BITS: u32 = 10;

/// From the time of one entry to the value of the next. Everything in it depends on the labels of the two
/// alone, provided that both times are of the common length.
///
/// Its first copy begins with the time of the first entry, if the entry before that has the same time: it
/// reaches back by the length of the first entry, as a copy of the labels behind it does.
#[derive(Debug)]
pub(super) struct Transition {
    /// Snappy elements, those of the time before among them.
    pub(super) elements: Vec<u8>,
    /// How many of them spell the first copy.
    pub(super) joined: u8,
    /// Bytes behind the time that the first copy spells.
    pub(super) lead: u16,
    /// Bytes from the beginning of the second entry to its value.
    pub(super) raw_len: u16,
}

/// The labels and the name of a series.
pub(super) type Series<'a> = (&'a SeriesLabels, &'a Pair);

/// Finds in two entries, side by side as in the stream, what the second may copy.
struct Matcher {
    /// The first entry but for its value and time, a gap for those, and the second up to its value.
    bytes: Vec<u8>,
    gap: std::ops::Range<usize>,
    /// Where the bytes that hash to a number were last seen; 0 is nowhere, and nothing starts there alike.
    seen: [u16; 1 << HASH_BITS],
    hashed: usize,
}

/// Snappy elements under way.
struct Writer {
    out: Vec<u8>,
    literal: Vec<u8>,
    /// Offset and length of the copy that is not written yet.
    copy: (usize, usize),
    /// Bytes of elements, and decompressed ones, of the first copy.
    lead: Option<(usize, usize)>,
}

// === impl Transition ===

impl Transition {
    /// Spells what stands between the entries of `last` and `next`, unless one of them is too long to be copied
    /// from.
    #[cold]
    pub(super) fn between(last: Series<'_>, next: Series<'_>) -> Option<Self> {
        let (known, next) = (up_to_value(last), up_to_value(next));
        let last_len = known.len() + VALUE + TIME;
        if last_len > LONGEST || next.len() > LONGEST {
            return None;
        }
        let mut writer = Writer::after(last_len);
        let mut matcher = Matcher::new(&known, &next);
        let mut at = matcher.gap.end;
        while at < matcher.bytes.len() {
            match matcher.longest(at, writer.copy.0) {
                Some((from, len)) => {
                    writer.copy(at - from, len);
                    at += len;
                }
                None => {
                    writer.literal(&matcher.bytes[at..at + 1]);
                    at += 1;
                }
            }
        }
        writer.finish(next.len())
    }
}

/// Bytes of all label fields.
pub(super) fn labels_len(labels: &SeriesLabels, name: &Pair) -> usize {
    pairs(labels, name).map(label_field_len).sum()
}

/// An entry of a sample with a common time, up to its value.
fn up_to_value((labels, name): Series<'_>) -> Vec<u8> {
    let mut entry = vec![SERIES];
    varint::write(&mut entry, (labels_len(labels, name) + SAMPLE_HEAD.len() + VALUE + TIME) as u64);
    pairs(labels, name).for_each(|pair| write_label_field(&mut entry, pair));
    entry.extend_from_slice(&SAMPLE_HEAD);
    entry
}

// === impl Matcher ===

impl Matcher {
    fn new(known: &[u8], next: &[u8]) -> Self {
        let gap = known.len()..known.len() + VALUE + TIME;
        let bytes = [known, &[0; VALUE + TIME], next].concat();
        Self { bytes, gap, seen: [0; 1 << HASH_BITS], hashed: 0 }
    }

    /// Where the longest match of the bytes at `at` stands, and how long it is: at `offset` back, where the
    /// last copy came from, or where they were last seen.
    fn longest(&mut self, at: usize, offset: usize) -> Option<(usize, usize)> {
        self.hash_up_to(at);
        let seen = self.word(at).map_or(0, |word| usize::from(self.seen[word]));
        // Entries of one length are alike place by place.
        let aligned = self.gap.end;
        [at.checked_sub(offset), at.checked_sub(aligned), Some(seen)]
            .into_iter()
            .flatten()
            .map(|from| (from, self.alike(from, at)))
            .filter(|(_, len)| *len >= SHORTEST_MATCH)
            .max_by_key(|(_, len)| *len)
    }

    /// How many bytes from `from` on are those from `at` on. Nothing matches in the gap.
    fn alike(&self, from: usize, at: usize) -> usize {
        if from >= at || self.gap.contains(&from) {
            return 0;
        }
        let end = if from < self.gap.start { self.gap.start } else { at };
        std::iter::zip(&self.bytes[from..end], &self.bytes[at..]).take_while(|(a, b)| a == b).count()
    }

    fn hash_up_to(&mut self, at: usize) {
        while self.hashed < at {
            if let Some(word) = self.word(self.hashed).filter(|_| !self.gap.contains(&self.hashed)) {
                self.seen[word] = self.hashed as u16;
            }
            self.hashed += 1;
        }
    }

    fn word(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..)?.first_chunk::<4>()?;
        Some((u32::from_le_bytes(*bytes).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize)
    }
}

// === impl Writer ===

impl Writer {
    /// Begins with the time of an entry of `last_len` bytes, copied from the entry before it.
    fn after(last_len: usize) -> Self {
        Self { out: Vec::with_capacity(64), literal: Vec::new(), copy: (last_len, TIME), lead: None }
    }

    fn copy(&mut self, offset: usize, len: usize) {
        if self.copy.0 != offset || !self.literal.is_empty() {
            self.flush();
            self.copy = (offset, 0);
        }
        self.copy.1 += len;
    }

    fn literal(&mut self, bytes: &[u8]) {
        if self.copy.1 > 0 {
            self.flush();
        }
        self.literal.extend_from_slice(bytes);
    }

    /// Writes what waits: a copy or a literal, never both.
    fn flush(&mut self) {
        let (offset, len) = (self.copy.0, std::mem::take(&mut self.copy.1));
        write_copy(&mut self.out, offset, len);
        write_literal(&mut self.out, &self.literal);
        self.literal.clear();
        // Whatever is written first is the copy that the time begins.
        self.lead.get_or_insert((self.out.len(), len));
    }

    fn finish(mut self, raw_len: usize) -> Option<Transition> {
        self.flush();
        let (joined, lead) = self.lead?;
        Some(Transition {
            elements: self.out,
            joined: u8::try_from(joined).ok()?,
            lead: u16::try_from(lead - TIME).ok()?,
            raw_len: u16::try_from(raw_len).ok()?,
        })
    }
}
