//! Score series of remote write 1.0, compressed as they are made.
//!
//! Neighbouring score series share nearly all of their labels, and which ones is known without looking at
//! a byte: equal pairs are the same [`Pair`]. So a series is spelled as a snappy stream directly, a copy
//! of the previous series for each run of pairs that it shares with it and a literal for the rest. That
//! skips both the assembly of about 300 bytes a series and the compressor's search through them.
//!
//! Copies reach back only into the block that they stand in, so blocks concatenate as snappy streams do
//! once their lengths are summed, and as protobuf messages do (snappy format description, section 2.2).

use std::sync::Arc;

use super::encode::{label_field_len, pairs, sample_field_len, write_label_field, write_sample_field};
use crate::batch::Sample;
use crate::inject::{Emit, ScoreSample};
use crate::series::labels::{Pair, SeriesLabels};
use crate::wire::varint;

/// A growing block of score series.
#[derive(Debug, Default)]
pub struct ScoreBlock {
    /// Snappy elements, without the length that a stream begins with.
    elements: Vec<u8>,
    /// Bytes that the elements decompress to.
    raw_len: usize,
    series: usize,
    /// Bytes that the labels of the previous series take.
    labels_len: usize,
    /// Bytes that are not written yet: they join into one literal.
    literal: Vec<u8>,
    /// The copy that is not written yet: where its source begins, and how long it is.
    copy: (usize, usize),
    /// The previous series, kept alive so that a pair in it cannot be mistaken for another.
    last: Option<(Arc<SeriesLabels>, &'static Pair)>,
    /// Where the pairs of the previous series stand in the decompressed bytes, its name among them.
    places: Vec<Place>,
    next_places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    len: usize,
    /// Index in the previous series' places, if the pair stands there too.
    same: Option<usize>,
}

/// The farthest that a two-byte offset reaches back.
const REACH: usize = u16::MAX as usize;
/// The longest copy of one element.
const COPY: usize = 64;
/// How many pairs of the previous series are tried for one of the next: labels may come and go.
const AHEAD: usize = 4;
/// Bytes that a series adds at the least, to begin with: two copies, a literal of a pair, the sample.
const ROOM: usize = 96;

// === impl ScoreBlock ===

impl ScoreBlock {
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

    /// Adds one series with one sample.
    pub fn push(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        self.elements.reserve(ROOM);
        let sample_len = sample_field_len(&sample);
        if let Some(same) = self.same_pairs(labels, name) {
            self.push_alike(labels, same, sample_len);
        } else {
            self.labels_len = self.place(labels, name);
            self.write_head(self.labels_len + sample_len);
            self.write_labels(labels, name);
            std::mem::swap(&mut self.places, &mut self.next_places);
        }
        self.literal(|out| write_sample_field(out, &sample));
        self.last = Some((Arc::clone(labels), name));
        self.series += 1;
    }

    /// Which pairs the series shares with the previous one, a bit each, where the two have the same name and
    /// as many labels around it: nearly always. Equal pairs are one pair, so no text is compared.
    #[inline]
    fn same_pairs(&self, labels: &SeriesLabels, name: &'static Pair) -> Option<u64> {
        let (last, last_name) = self.last.as_ref()?;
        let (pairs, known) = (labels.pairs(), last.pairs());
        let alike = pairs.len() == known.len()
            && pairs.len() < 63
            && labels.around_name().0.len() == last.around_name().0.len()
            && std::ptr::eq(*last_name, name)
            && self.places.len() == pairs.len() + 1
            && self.labels_len < REACH / 4;
        let bits = pairs.iter().zip(known).enumerate().map(|(at, (a, b))| u64::from(Arc::ptr_eq(a, b)) << at);
        alike.then(|| bits.fold(0, |all, bit| all | bit))
    }

    /// Writes the labels of a series that is like the previous one but for the pairs that are not in `same`.
    #[inline]
    fn push_alike(&mut self, labels: &SeriesLabels, same: u64, sample_len: usize) {
        let pairs = labels.pairs();
        let name_at = labels.around_name().0.len();
        // The name has a place between those of the pairs, and is shared.
        let below = (1_u64 << name_at) - 1;
        let shared = (same & below) | (1 << name_at) | ((same & !below) << 1);
        let pair_of = |place: usize| &pairs[place - usize::from(place > name_at)];
        let mut changed = !shared & ((1 << self.places.len()) - 1);
        while changed != 0 {
            let at = changed.trailing_zeros() as usize;
            let len = label_field_len(pair_of(at));
            self.labels_len = self.labels_len - self.places[at].len + len;
            self.places[at].len = len;
            changed &= changed - 1;
        }
        // The far end of a long series is out of reach of the previous one.
        let shared = if self.labels_len < REACH / 2 { shared } else { 0 };
        self.write_head(self.labels_len + sample_len);
        let mut at = 0;
        while at < self.places.len() {
            let run = (shared >> at).trailing_ones() as usize;
            if run == 0 {
                self.places[at].at = self.raw_len;
                self.literal(|out| write_label_field(out, pair_of(at)));
            } else {
                self.copy_run(at, run);
            }
            at += run.max(1);
        }
    }

    /// Copies `run` pairs of the previous series from place `at` on: they stand side by side there.
    #[inline]
    fn copy_run(&mut self, at: usize, run: usize) {
        let places = &mut self.places[at..at + run];
        let start = places[0].at;
        let moved = self.raw_len - start;
        let mut len = 0;
        for place in places {
            place.at += moved;
            len += place.len;
        }
        self.copy_from(start, len);
    }

    /// Adds all of `other`, which is left empty.
    pub fn append(&mut self, other: &mut Self) {
        self.flush();
        other.flush();
        self.elements.append(&mut other.elements);
        self.raw_len += std::mem::take(&mut other.raw_len);
        self.series += std::mem::take(&mut other.series);
        // What stood last in either block is no longer at a known distance.
        (self.last, other.last) = (None, None);
    }

    /// The block as a snappy-compressed write request; the block is left empty.
    pub fn finish(&mut self) -> Vec<u8> {
        self.flush();
        let mut body = Vec::with_capacity(self.elements.len() + 5);
        varint::write(&mut body, self.raw_len as u64);
        body.append(&mut self.elements);
        (self.raw_len, self.series, self.last) = (0, 0, None);
        body
    }

    /// Finds where the pairs of the next series stand in the previous one. Returns the encoded length of
    /// all labels; where they will stand themselves is known once the head is written.
    fn place(&mut self, labels: &SeriesLabels, name: &Pair) -> usize {
        self.next_places.clear();
        let (mut total, mut from) = (0, 0);
        for pair in pairs(labels, name) {
            let same = self.find(pair, from);
            let len = match same {
                Some(index) => self.places[index].len,
                None => label_field_len(pair),
            };
            from = same.map_or(from, |index| index + 1);
            total += len;
            self.next_places.push(Place { at: 0, len, same });
        }
        if total > REACH / 2 {
            // The far end of so long a series is out of reach of the previous one.
            self.next_places.iter_mut().for_each(|place| place.same = None);
        }
        total
    }

    /// The index of `pair` in the previous series, at `from` or a little behind.
    #[inline]
    fn find(&self, pair: &Pair, from: usize) -> Option<usize> {
        let (labels, name) = self.last.as_ref()?;
        let (before, after) = labels.around_name();
        let to = (from + AHEAD).min(self.places.len());
        (from..to).find(|&index| {
            let known = match index.checked_sub(before.len()) {
                None => &*before[index],
                Some(0) => *name,
                Some(behind) => &*after[behind - 1],
            };
            // Copies reach only so far back; the previous series is always near, unless it was huge.
            std::ptr::eq(known, pair) && self.raw_len - self.places[index].at < REACH / 2
        })
    }

    /// `TimeSeries` begins: field 1 of the request, and its length.
    fn write_head(&mut self, len: usize) {
        self.literal(|out| {
            out.push(0x0a);
            varint::write(out, len as u64);
        });
    }

    fn write_labels(&mut self, labels: &SeriesLabels, name: &Pair) {
        for (index, pair) in pairs(labels, name).enumerate() {
            let place = self.next_places[index];
            self.next_places[index].at = self.raw_len;
            match place.same {
                Some(same) => self.copy_from(self.places[same].at, place.len),
                None => self.literal(|out| write_label_field(out, pair)),
            }
        }
    }

    fn copy_from(&mut self, at: usize, len: usize) {
        let (start, length) = self.copy;
        if length > 0 && start + length == at {
            self.copy.1 += len;
        } else {
            self.end_copy();
            self.end_literal();
            self.copy = (at, len);
        }
        self.raw_len += len;
    }

    /// Lets `write` append bytes that are spelled out.
    #[inline]
    fn literal(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.end_copy();
        let before = self.literal.len();
        write(&mut self.literal);
        self.raw_len += self.literal.len() - before;
    }

    fn flush(&mut self) {
        self.end_copy();
        self.end_literal();
    }

    /// Writes the waiting copy: elements with two-byte offsets (tag 10), of up to 64 bytes each.
    #[inline]
    fn end_copy(&mut self) {
        let (start, mut left) = std::mem::take(&mut self.copy);
        if left == 0 {
            return;
        }
        // The offset is the same for all elements of a copy: source and target move on together.
        let offset = self.raw_len - left - start;
        let [low, high] = (offset as u16).to_le_bytes();
        while left > 0 {
            let len = left.min(COPY);
            self.elements.extend_from_slice(&[((len - 1) << 2) as u8 | 2, low, high]);
            left -= len;
        }
    }

    /// Writes the waiting literal (tag 00): its length less one in the tag up to 60, else in bytes behind.
    #[inline]
    fn end_literal(&mut self) {
        if self.literal.is_empty() {
            return;
        }
        let len = self.literal.len() - 1;
        if len < 60 {
            self.elements.push((len << 2) as u8);
        } else {
            let bytes = (len as u32).to_le_bytes();
            let used = 4 - len.leading_zeros().saturating_sub(usize::BITS - 32) as usize / 8;
            self.elements.push(((59 + used) << 2) as u8);
            self.elements.extend_from_slice(&bytes[..used]);
        }
        self.elements.append(&mut self.literal);
    }
}

impl Emit for ScoreBlock {
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        self.push(labels, name, sample);
    }
}

impl<'a> Extend<&'a ScoreSample> for ScoreBlock {
    fn extend<I: IntoIterator<Item = &'a ScoreSample>>(&mut self, scores: I) {
        for score in scores {
            self.push(&score.labels, score.name, score.sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::Names;
    use crate::series::labels::Interner;
    use crate::wire::compression::{Buffer, Cap, decompress_snappy};
    use crate::wire::generated::prometheus::WriteRequest;
    use proptest::prelude::*;
    use prost::Message;

    type Series = (Vec<(String, String)>, bool, Sample);

    fn series() -> impl Strategy<Value = Series> {
        let label = ("[A-Za-z_]{1,3}", "[a-c]{1,2}|[a-z]{100,300}");
        let labels = proptest::collection::btree_map(label.0, label.1, 0..6);
        (labels, any::<bool>(), any::<i64>(), any::<u64>()).prop_map(
            |(labels, second, timestamp_ms, bits)| {
                let sample = Sample { timestamp_ms, value: f64::from_bits(bits) };
                (labels.into_iter().collect(), second, sample)
            },
        )
    }

    fn scores(series: &[Series], interner: &Interner) -> Vec<ScoreSample> {
        let names = Names::new("$VAR", interner).expect("a fine template");
        let outputs = [crate::inject::Output::AnomalyScore, crate::inject::Output::Yhat];
        let made = series.iter().map(|(labels, second, sample)| {
            let mut pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            pairs.push(("__name__", "up"));
            let labels = Arc::new(SeriesLabels::of_scored(&pairs, interner));
            ScoreSample { labels, name: names.of(outputs[usize::from(*second)]), sample: *sample }
        });
        made.collect()
    }

    fn decoded(body: &[u8]) -> WriteRequest {
        let mut raw = Buffer::new();
        decompress_snappy(body, Cap { bytes: 32 << 20, ratio: 1 << 20 }, &mut raw).expect("sound snappy");
        WriteRequest::decode(&*raw).expect("sound protobuf")
    }

    fn check(request: &WriteRequest, scores: &[ScoreSample]) {
        assert_eq!(request.timeseries.len(), scores.len());
        for (got, want) in request.timeseries.iter().zip(scores) {
            let labels: Vec<_> = got.labels.iter().map(|l| (l.name.as_str(), l.value.as_str())).collect();
            let expected: Vec<_> =
                pairs(&want.labels, want.name).map(|pair| (pair.name(), pair.value())).collect();
            assert_eq!(labels, expected);
            assert!(labels.is_sorted(), "F12: labels are sorted");
            assert_eq!(got.samples.len(), 1);
            assert_eq!(got.samples[0].timestamp, want.sample.timestamp_ms);
            assert_eq!(got.samples[0].value.to_bits(), want.sample.value.to_bits());
        }
    }

    proptest! {
        #[test]
        fn a_block_decompresses_and_decodes_to_what_was_pushed(series in proptest::collection::vec(series(), 1..40)) {
            let scores = scores(&series, &Interner::default());
            let mut block = ScoreBlock::default();
            block.extend(&scores);
            prop_assert_eq!(block.len(), scores.len());
            check(&decoded(&block.finish()), &scores);
            prop_assert!(block.is_empty());
        }

        #[test]
        fn blocks_append(first in proptest::collection::vec(series(), 0..9), second in proptest::collection::vec(series(), 0..9)) {
            let interner = Interner::default();
            let (first, second) = (scores(&first, &interner), scores(&second, &interner));
            let (mut one, mut two) = (ScoreBlock::default(), ScoreBlock::default());
            one.extend(&first);
            two.extend(&second);
            one.append(&mut two);
            one.extend(&first);
            check(&decoded(&one.finish()), &[first.clone(), second, first].concat());
        }
    }

    #[test]
    fn series_longer_than_a_copy_reaches_are_spelled_out() {
        let huge = |i: u32| -> Series {
            let labels = (0..20).map(|l| (format!("l{l:02}"), "v".repeat(8_000))).collect();
            (labels, false, Sample { timestamp_ms: i64::from(i), value: 1.0 })
        };
        let small =
            |i| (vec![("a".to_owned(), "b".to_owned())], false, Sample { timestamp_ms: i, value: 2.0 });
        let scores = scores(&[small(0), huge(1), huge(2), small(3), small(4)], &Interner::default());
        let mut block = ScoreBlock::default();
        block.extend(&scores);
        check(&decoded(&block.finish()), &scores);
    }

    #[test]
    fn shared_labels_are_copied_not_spelled() {
        let long = "x".repeat(200);
        let series: Vec<Series> = (0..1000)
            .map(|i| {
                (
                    vec![("a".into(), long.clone()), ("i".into(), i.to_string())],
                    false,
                    Sample { timestamp_ms: 1_700_000_000_000, value: 0.5 },
                )
            })
            .collect();
        let mut block = ScoreBlock::default();
        block.extend(&scores(&series, &Interner::default()));
        assert!(block.finish().len() < 1000 * 80);
    }
}
