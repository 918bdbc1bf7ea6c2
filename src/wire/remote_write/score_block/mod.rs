//! Score series of remote write 1.0, compressed as they are made.
//!
//! Neighbouring score series share nearly all of their labels, and a sender repeats its series in the same
//! order. So what stands between the values of two neighbours is spelled as a snappy stream once, a
//! [`Transition`], and put on a [`Tape`]: from then on a score costs that stream, copied, and the eight bytes of
//! its value. That skips the assembly of about 300 bytes a series, and the compressor's search through them.
//!
//! Copies reach back only into the block that they stand in, so blocks concatenate as snappy streams do
//! once their lengths are summed, and as protobuf messages do (snappy format description, section 2.2).

mod elements;
mod tape;
#[cfg(test)]
mod tests;
mod transition;

use std::sync::Arc;

use bytes::Bytes;

use super::encode::{pairs, write_label_field, write_sample_field};
use crate::batch::Sample;
use crate::inject::ScoreSample;
use crate::series::labels::{Pair, SeriesLabels};
use crate::wire::varint;
use elements::{write_copy, write_literal};
pub use tape::Tape;
use tape::Whom;
use transition::{SAMPLE_HEAD, TIME, Transition, labels_len};

/// A growing block of score series.
#[derive(Debug, Default)]
pub struct ScoreBlock {
    /// Room for the length that a stream begins with, then snappy elements.
    elements: Vec<u8>,
    /// Bytes that the elements decompress to.
    raw_len: usize,
    series: usize,
    /// The entry that the next one may be a copy of. Its time is not written yet.
    last: Option<Last>,
    /// Bytes on their way into one literal.
    literal: Vec<u8>,
}

#[derive(Debug)]
struct Last {
    whom: Whom,
    name: &'static Pair,
    origin: Origin,
    /// Bytes of the entry, its time among them.
    len: usize,
    timestamp_ms: i64,
    /// Whether the entry before it has the same time.
    repeats: bool,
}

/// Where the labels of an entry are to be had, should they be needed.
#[derive(Debug)]
enum Origin {
    /// It began the block, or began anew within it.
    Began(Arc<SeriesLabels>),
    /// The place of the transition to it.
    Tape(usize),
}

/// The most bytes that a stream's length takes.
const HEADER: usize = 5;
/// Bytes that most series add at the most.
const ROOM: usize = 64;

// === impl ScoreBlock ===

impl ScoreBlock {
    /// An empty block with room for about `series` entries.
    pub fn with_capacity(series: usize) -> Self {
        Self { elements: Vec::with_capacity(HEADER + series * ROOM), ..Self::default() }
    }

    /// Number of series entries; each carries one sample.
    pub fn len(&self) -> usize {
        self.series
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.series == 0
    }

    /// Bytes of memory that the block's content takes.
    pub fn bytes(&self) -> usize {
        self.elements.len()
    }

    /// Adds one series with one sample. `tape` may be any, and is best the one of the scores before.
    #[inline]
    pub fn push(&mut self, tape: &mut Tape, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        self.series += 1;
        if self.elements.is_empty() {
            self.elements.extend_from_slice(&[0; HEADER]);
        }
        let last = match self.last.take() {
            Some(last) if is_common(sample.timestamp_ms) => {
                match self.follow(last, tape, labels, name, sample) {
                    None => return,
                    last => last,
                }
            }
            last => last,
        };
        self.write_time(last);
        self.begin(labels, name, sample);
    }

    /// Writes an entry behind `last`, which is given back if it cannot be copied from.
    #[inline]
    fn follow(
        &mut self,
        last: Last,
        tape: &mut Tape,
        labels: &Arc<SeriesLabels>,
        name: &'static Pair,
        sample: Sample,
    ) -> Option<Last> {
        let whom = Whom::of(labels, name);
        let found = match tape.find(whom, last.whom) {
            Some(found) => found,
            None => match last.spell(tape, labels, name) {
                Some(found) => found,
                None => return Some(last),
            },
        };
        if last.repeats {
            self.elements.extend_from_slice(found.with_time);
        } else {
            self.write_literal_of(|out| write_time(out, last.timestamp_ms));
            write_copy(&mut self.elements, last.len, found.lead);
            self.elements.extend_from_slice(found.behind_lead);
        }
        let [v0, v1, v2, v3, v4, v5, v6, v7] = sample.value.to_bits().to_le_bytes();
        self.elements.extend_from_slice(&[VALUE_TAG, v0, v1, v2, v3, v4, v5, v6, v7]);
        let len = found.raw_len + VALUE + TIME;
        self.raw_len += len;
        self.last = Some(Last {
            whom,
            name,
            origin: Origin::Tape(found.place),
            len,
            timestamp_ms: sample.timestamp_ms,
            repeats: sample.timestamp_ms == last.timestamp_ms,
        });
        None
    }

    /// Writes an entry that has nothing before it to be copied.
    #[cold]
    fn begin(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        let common = is_common(sample.timestamp_ms);
        let len = self.write_literal_of(|out| {
            let mut field = Vec::with_capacity(20);
            write_sample_field(&mut field, &sample);
            out.push(SERIES);
            varint::write(out, (labels_len(labels, name) + field.len()) as u64);
            pairs(labels, name).for_each(|pair| write_label_field(out, pair));
            let written = if common { SAMPLE_HEAD.len() + VALUE } else { field.len() };
            out.extend_from_slice(&field[..written]);
        });
        self.raw_len += len;
        if common {
            self.raw_len += TIME;
            self.last = Some(Last {
                whom: Whom::of(labels, name),
                name,
                origin: Origin::Began(Arc::clone(labels)),
                len: len + TIME,
                timestamp_ms: sample.timestamp_ms,
                repeats: false,
            });
        }
    }

    /// Adds all of `other`, which is left empty.
    pub fn append(&mut self, other: &mut Self) {
        self.flush();
        other.flush();
        if self.elements.is_empty() {
            std::mem::swap(&mut self.elements, &mut other.elements);
        } else {
            self.elements.extend_from_slice(other.elements.get(HEADER..).unwrap_or_default());
        }
        other.elements.clear();
        self.raw_len += std::mem::take(&mut other.raw_len);
        self.series += std::mem::take(&mut other.series);
    }

    /// The block as a snappy-compressed write request; the block is left empty.
    pub fn finish(&mut self) -> Bytes {
        self.flush();
        let mut len = Vec::with_capacity(HEADER);
        varint::write(&mut len, std::mem::take(&mut self.raw_len) as u64);
        self.series = 0;
        let mut body = std::mem::take(&mut self.elements);
        if body.is_empty() {
            return len.into();
        }
        let start = HEADER - len.len();
        body[start..HEADER].copy_from_slice(&len);
        Bytes::from(body).slice(start..)
    }

    /// Completes the last entry. What follows is no longer at a known distance from it.
    fn flush(&mut self) {
        let last = self.last.take();
        self.write_time(last);
    }

    /// Writes the time of `last`, which its entry still lacks.
    fn write_time(&mut self, last: Option<Last>) {
        match last {
            None => {}
            Some(last) if last.repeats => write_copy(&mut self.elements, last.len, TIME),
            Some(last) => drop(self.write_literal_of(|out| write_time(out, last.timestamp_ms))),
        }
    }

    /// Writes one literal of what `write` appends, and returns its length.
    fn write_literal_of(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.literal.clear();
        write(&mut self.literal);
        write_literal(&mut self.elements, &self.literal);
        self.literal.len()
    }
}

// === impl Last ===

impl Last {
    /// Puts on `tape` how a series is spelled behind this one.
    #[cold]
    fn spell<'t>(
        &self,
        tape: &'t mut Tape,
        labels: &Arc<SeriesLabels>,
        name: &Pair,
    ) -> Option<tape::Found<'t>> {
        let mine = match &self.origin {
            Origin::Began(labels) => Arc::clone(labels),
            Origin::Tape(place) => tape.labels(*place)?,
        };
        let transition = Transition::between((&mine, self.name), (labels, name))?;
        tape.add((labels, name), (&mine, self.name), &transition)
    }
}

/// Field 1 of a request: a series entry.
const SERIES: u8 = 0x0a;
/// Field 2 of a sample: its timestamp.
const TIMESTAMP: u8 = 0x10;
/// Bytes of a value.
const VALUE: usize = 8;
/// The snappy tag of a literal of a value.
const VALUE_TAG: u8 = ((VALUE - 1) << 2) as u8;

/// Whether the timestamp takes six bytes, as any between 1971 and 2109 does.
#[inline]
fn is_common(timestamp_ms: i64) -> bool {
    varint::len(timestamp_ms as u64) + 1 == TIME
}

fn write_time(out: &mut Vec<u8>, timestamp_ms: i64) {
    out.push(TIMESTAMP);
    varint::write(out, timestamp_ms as u64);
}

impl<'a> Extend<&'a ScoreSample> for ScoreBlock {
    fn extend<I: IntoIterator<Item = &'a ScoreSample>>(&mut self, scores: I) {
        let mut tape = Tape::default();
        for score in scores {
            self.push(&mut tape, &score.labels, score.name, score.sample);
        }
    }
}
