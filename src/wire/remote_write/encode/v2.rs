//! Remote write 2.0.

use hashbrown::HashMap;

use super::{SAMPLES, entries, pairs, sample_field_len, write_sample_field};
use crate::inject::ScoreSample;
use crate::series::labels::Pair;
use crate::wire::varint;

const SYMBOLS: u8 = 0x22;
const TIMESERIES: u8 = 0x2a;
const LABELS_REFS: u8 = 0x0a;
/// Field 5 of a series: `Metadata { type: METRIC_TYPE_GAUGE }`.
const GAUGE: [u8; 4] = [0x2a, 0x02, 0x08, 0x02];

// Samples have the same number and layout in both versions.
const _: () = assert!(SAMPLES == 0x12);

/// Encodes scores as `io.prometheus.write.v2.Request`, uncompressed. Keeps its memory between requests.
#[derive(Debug, Default)]
pub struct V2 {
    /// By [`Pair::id`]: what the pair refers to, where `request` is the number of this request.
    known: Vec<Known>,
    request: u64,
    references: Vec<u8>,
    series: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    pair: usize,
    request: u64,
    name: u32,
    value: u32,
}

/// The strings of one request.
struct Symbols<'a, 'o> {
    references: HashMap<&'a str, u32, foldhash::fast::RandomState>,
    out: &'o mut Vec<u8>,
}

/// The table by pair is not longer than this; pairs beyond share places and are looked up by their text.
const KNOWN: usize = 1 << 14;

// === impl V2 ===

impl V2 {
    /// An encoder with no memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `scores` to `out`: the symbols as they are met, the first of them empty, then the series,
    /// each with metadata that says gauge. Scores of one series that follow one another share an entry.
    pub fn encode(&mut self, scores: &[ScoreSample], out: &mut Vec<u8>) {
        self.request += 1;
        self.series.clear();
        self.known.resize(KNOWN, Known::default());
        let mut symbols = Symbols { references: HashMap::default(), out };
        symbols.reference("");
        for entry in entries(scores) {
            self.entry(entry, &mut symbols);
        }
        out.extend_from_slice(&self.series);
    }

    fn entry<'a>(&mut self, entry: &'a [ScoreSample], symbols: &mut Symbols<'a, '_>) {
        self.references.clear();
        for pair in pairs(&entry[0].labels, entry[0].name) {
            let [name, value] = self.references_of(pair, symbols);
            varint::write(&mut self.references, name.into());
            varint::write(&mut self.references, value.into());
        }
        let labels = 1 + varint::len(self.references.len() as u64) + self.references.len();
        let samples: usize = entry.iter().map(|score| sample_field_len(&score.sample)).sum();
        self.series.push(TIMESERIES);
        varint::write(&mut self.series, (labels + samples + GAUGE.len()) as u64);
        self.series.push(LABELS_REFS);
        varint::write(&mut self.series, self.references.len() as u64);
        self.series.extend_from_slice(&self.references);
        entry.iter().for_each(|score| write_sample_field(&mut self.series, &score.sample));
        self.series.extend_from_slice(&GAUGE);
    }

    #[inline]
    fn references_of<'a>(&mut self, pair: &'a Pair, symbols: &mut Symbols<'a, '_>) -> [u32; 2] {
        // The scores hold their pairs while this runs, so an address stands for one pair.
        let (address, request) = (std::ptr::from_ref(pair).addr(), self.request);
        let known = &mut self.known[pair.id() as usize % KNOWN];
        if known.pair != address || known.request != request {
            let (name, value) = (symbols.reference(pair.name()), symbols.reference(pair.value()));
            *known = Known { pair: address, request, name, value };
        }
        [known.name, known.value]
    }
}

// === impl Symbols ===

impl<'a> Symbols<'a, '_> {
    fn reference(&mut self, text: &'a str) -> u32 {
        let next = self.references.len() as u32;
        *self.references.entry(text).or_insert_with(|| {
            self.out.push(SYMBOLS);
            varint::write(self.out, text.len() as u64);
            self.out.extend_from_slice(text.as_bytes());
            next
        })
    }
}
