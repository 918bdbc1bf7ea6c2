//! Remote write 1.0 as a snappy block that is spelled, not compressed.
//!
//! What a compressor would search for is known here: a label pair was written before, at a place that we
//! remember. Pairs written within the last 64 KiB are spelled as copies of there, all else as literals;
//! neighbours that were neighbours there too become one copy.

use super::{TIMESERIES, entries, label_field_len, sample_field_len, write_label_field, write_sample_field};
use crate::batch::Sample;
use crate::inject::ScoreSample;
use crate::series::labels::Pair;
use crate::wire::varint;

/// Encodes scores as `prometheus.WriteRequest` in a snappy block. Keeps its memory between requests.
#[derive(Debug)]
pub struct V1Snappy {
    /// By [`Pair::id`]; pairs that share a place push each other out.
    placed: Box<[Placed; PLACES]>,
    /// Position in the uncompressed output of everything this encoder ever wrote.
    at: u64,
    runs: Vec<Run>,
    block: Block,
}

/// Where the label field of a pair was written last.
#[derive(Clone, Copy, Debug)]
struct Placed {
    pair: usize,
    at: u64,
    len: u32,
}

/// Label fields of one series that are spelled alike.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where they can be copied from, or [`LITERAL`].
    from: u64,
    len: u32,
    /// Which pair of the series comes first.
    first: u32,
}

/// The labels of one series while it is found out how to spell them.
struct Plan<'a> {
    placed: &'a mut [Placed; PLACES],
    runs: &'a mut Vec<Run>,
    /// Where the series entry begins: only what was written before can be copied.
    entry: u64,
    at: u64,
    next: u32,
}

/// Snappy elements.
#[derive(Debug, Default)]
struct Block {
    elements: Vec<u8>,
    /// Where the tag of the literal stands that is still growing.
    literal: Option<usize>,
}

const PLACES: usize = 4096;
/// How far back a copy of three bytes reaches.
const WINDOW: u64 = (1 << 16) - 1;
/// How far back a copy is planned: a header that is longer than guessed moves what comes after it.
const REACH: u64 = WINDOW - 8;
const LITERAL: u64 = u64::MAX;
/// The length of a series entry is guessed to take two bytes, as 128 to 16383 do.
const GUESSED_LEN: usize = 2;
const NOWHERE: Placed = Placed { pair: 0, at: 0, len: 0 };

// === impl V1Snappy ===

impl Default for V1Snappy {
    fn default() -> Self {
        Self::new()
    }
}

impl V1Snappy {
    /// An encoder that has written nothing.
    pub fn new() -> Self {
        let placed = Box::new([NOWHERE; PLACES]);
        Self { placed, at: WINDOW + 1, runs: Vec::new(), block: Block::default() }
    }

    /// Appends `scores` to `out` as one snappy block.
    pub fn encode(&mut self, scores: &[ScoreSample], out: &mut Vec<u8>) {
        // Places of earlier requests are out of reach by that.
        self.at += WINDOW + 1;
        let start = self.at;
        self.block.clear();
        for entry in entries(scores) {
            self.entry(entry);
        }
        self.block.close_literal();
        varint::write(out, self.at - start);
        out.extend_from_slice(&self.block.elements);
    }

    #[inline]
    fn entry(&mut self, entry: &[ScoreSample]) {
        let labels = self.plan(&entry[0]);
        let samples: usize = entry.iter().map(|score| sample_field_len(&score.sample)).sum();
        let len = labels + samples as u64;
        let header = 1 + varint::len(len);
        if header != 1 + GUESSED_LEN {
            self.replan(&entry[0], header);
        }
        self.block.header(len);
        self.at += header as u64;
        self.spell(&entry[0]);
        for score in entry {
            self.block.sample(&score.sample);
        }
        self.at += samples as u64;
    }

    /// Finds out how to spell the labels of `score`, and how many bytes they are.
    #[inline]
    fn plan(&mut self, score: &ScoreSample) -> u64 {
        self.runs.clear();
        let start = self.at + 1 + GUESSED_LEN as u64;
        let (before, after) = score.labels.around_name();
        let (placed, runs) = (&mut *self.placed, &mut self.runs);
        let mut plan = Plan { placed, runs, entry: self.at, at: start, next: 0 };
        before.iter().for_each(|pair| plan.add(pair));
        plan.add(score.name);
        after.iter().for_each(|pair| plan.add(pair));
        plan.at - start
    }

    /// Moves the places where [`Self::plan`] put the labels of `score`, whose header is not as long as guessed.
    #[cold]
    fn replan(&mut self, score: &ScoreSample, header: usize) {
        let guessed = 1 + GUESSED_LEN as u64;
        for pair in super::all_pairs(score) {
            let placed = &mut self.placed[pair.id() as usize % PLACES];
            if placed.pair == std::ptr::from_ref(pair).addr() && placed.at >= self.at + guessed {
                placed.at = placed.at - guessed + header as u64;
            }
        }
    }

    #[inline]
    fn spell(&mut self, score: &ScoreSample) {
        let mut runs = std::mem::take(&mut self.runs);
        for run in &runs {
            match run.from {
                LITERAL => self.block.label(pair_at(score, run.first as usize)),
                from => self.block.copy(self.at - from, run.len as usize),
            }
            self.at += u64::from(run.len);
        }
        runs.clear();
        self.runs = runs;
    }
}

/// Pair `index` of the injected series, counted as [`V1Snappy::plan`] counts.
fn pair_at(score: &ScoreSample, index: usize) -> &Pair {
    let (before, after) = score.labels.around_name();
    match index.checked_sub(before.len()) {
        None => &before[index],
        Some(0) => score.name,
        Some(behind) => &after[behind - 1],
    }
}

// === impl Plan ===

impl Plan<'_> {
    #[inline(always)]
    fn add(&mut self, pair: &Pair) {
        let index = self.next;
        self.next += 1;
        // The scores hold their pairs while this runs, so an address stands for one pair.
        let address = std::ptr::from_ref(pair).addr();
        let placed = &mut self.placed[pair.id() as usize % PLACES];
        if placed.pair != address || self.at - placed.at > REACH || placed.at >= self.entry {
            return self.add_literal(pair, index);
        }
        match self.runs.last_mut() {
            Some(run) if run.from != LITERAL && run.from + u64::from(run.len) == placed.at => {
                run.len += placed.len;
            }
            _ => self.runs.push(Run { from: placed.at, len: placed.len, first: index }),
        }
        placed.at = self.at;
        self.at += u64::from(placed.len);
    }

    #[cold]
    fn add_literal(&mut self, pair: &Pair, index: u32) {
        if pair.value().is_empty() {
            return;
        }
        let len = label_field_len(pair) as u32;
        self.runs.push(Run { from: LITERAL, len, first: index });
        self.placed[pair.id() as usize % PLACES] =
            Placed { pair: std::ptr::from_ref(pair).addr(), at: self.at, len };
        self.at += u64::from(len);
    }
}

// === impl Block ===

impl Block {
    fn clear(&mut self) {
        self.elements.clear();
        self.literal = None;
    }

    #[inline]
    fn header(&mut self, len: u64) {
        self.open_literal();
        self.elements.push(TIMESERIES);
        varint::write(&mut self.elements, len);
    }

    fn label(&mut self, pair: &Pair) {
        self.open_literal();
        write_label_field(&mut self.elements, pair);
    }

    #[inline]
    fn sample(&mut self, sample: &Sample) {
        self.open_literal();
        write_sample_field(&mut self.elements, sample);
    }

    #[inline]
    fn open_literal(&mut self) {
        if self.literal.is_none() {
            self.literal = Some(self.elements.len());
            self.elements.push(0);
        }
    }

    #[inline]
    fn close_literal(&mut self) {
        let Some(tag) = self.literal.take() else { return };
        let last = self.elements.len() - tag - 2;
        if last < 60 { self.elements[tag] = (last as u8) << 2 } else { self.close_long_literal(tag, last) }
    }

    /// Puts the length behind the tag, in as few bytes as hold it.
    #[cold]
    fn close_long_literal(&mut self, tag: usize, last: usize) {
        let bytes = (last as u32).to_le_bytes();
        let width = bytes.iter().rposition(|&byte| byte != 0).map_or(1, |at| at + 1);
        self.elements[tag] = (59 + width as u8) << 2;
        self.elements.splice(tag + 1..tag + 1, bytes.into_iter().take(width));
    }

    #[inline]
    fn copy(&mut self, offset: u64, mut len: usize) {
        self.close_literal();
        let [low, high, ..] = offset.to_le_bytes();
        while len > 64 {
            self.elements.extend_from_slice(&[63 << 2 | 2, low, high]);
            len -= 64;
        }
        if offset < 2048 && (4..12).contains(&len) {
            self.elements.extend_from_slice(&[high << 5 | ((len - 4) as u8) << 2 | 1, low]);
        } else {
            self.elements.extend_from_slice(&[((len - 1) as u8) << 2 | 2, low, high]);
        }
    }
}
