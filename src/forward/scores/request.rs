//! A score request: scores, and how they are spelled.

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::budget::Held;
use super::lane::{Batch, Pending};
use crate::forward::Version;
use crate::inject::ScoreSample;
use crate::wire::compression::{Buffer, SnappyEncoder};
use crate::wire::remote_write::{ScoreBlock, encode, halves};

/// A request that may be sent more than once.
#[derive(Debug)]
pub(super) struct Request {
    scores: Spelled,
    pub(super) len: u64,
    /// When its oldest score came.
    pub(super) since: Instant,
    /// How often it was sent.
    pub(super) attempts: u32,
    /// How often it was cut in two because the downstream found it too large.
    pub(super) cuts: u32,
    /// What the scores take until their fate is known. Of halves the second has it.
    held: Option<Held>,
}

#[derive(Debug)]
enum Spelled {
    V1(Bytes),
    /// With its body once that is made, and the scores behind it, to be spelled as 1.0 if need be.
    V2(Vec<ScoreSample>, Option<Bytes>),
}

/// Label text for each byte that a request may have: 2.0 spells a text once however often it is met, and
/// snappy makes it shorter still. What holds more is cut before it is spelled, so that one request never takes
/// much memory.
const TEXT: usize = 32;

/// Encodes requests of version 2.0, with memory that is reused.
#[derive(Debug, Default)]
pub(super) struct Encoder(Mutex<Spelling>);

#[derive(Debug, Default)]
struct Spelling {
    v2: encode::V2,
    snappy: SnappyEncoder,
    raw: Vec<u8>,
    compressed: Buffer,
}

// === impl Request ===

impl Request {
    pub(super) fn new(batch: Batch) -> Self {
        let (len, since, held) = (batch.len() as u64, batch.since, Some(batch.held));
        let scores = match batch.scores {
            Pending::V1(mut block) => Spelled::V1(block.finish()),
            Pending::V2(samples) => Spelled::V2(samples, None),
        };
        Self { scores, len, since, attempts: 0, cuts: 0, held }
    }

    /// A request of version 2.0 without a score.
    pub(super) fn empty() -> Self {
        let scores = Spelled::V2(Vec::new(), None);
        Self { scores, len: 0, since: Instant::now(), attempts: 0, cuts: 0, held: None }
    }

    pub(super) fn version(&self) -> Version {
        match self.scores {
            Spelled::V1(_) => Version::V1,
            Spelled::V2(..) => Version::V2,
        }
    }

    pub(super) fn body(&mut self, encoder: &Encoder) -> Bytes {
        match &mut self.scores {
            Spelled::V1(body) => body.clone(),
            Spelled::V2(samples, body) => body.get_or_insert_with(|| encoder.body(samples)).clone(),
        }
    }

    /// Spells the request again if it is of version 2.0.
    pub(super) fn spell_as_v1(&mut self) {
        if let Spelled::V2(samples, _) = &self.scores {
            let mut block = ScoreBlock::default();
            block.extend(samples);
            self.scores = Spelled::V1(block.finish());
        }
    }

    /// Whether the request has no more than `max` bytes, or cannot be made shorter.
    pub(super) fn fits(&mut self, max: usize, encoder: &Encoder) -> bool {
        if let Spelled::V2(samples, None) = &self.scores
            && samples.len() > 1
            && samples.iter().map(text_len).sum::<usize>() > max.saturating_mul(TEXT)
        {
            return false;
        }
        self.len <= 1 || self.body(encoder).len() <= max
    }

    /// The request as two, in order. Each is as if it had not been sent yet.
    ///
    /// # Errors
    /// The whole if it has a single score.
    pub(super) fn halves(self) -> Result<[Self; 2], Self> {
        let halves = match self.scores {
            Spelled::V1(body) => match wire_halves(&body) {
                Some(halves) => halves,
                None => return Err(Self { scores: Spelled::V1(body), ..self }),
            },
            Spelled::V2(samples, body) if samples.len() < 2 => {
                return Err(Self { scores: Spelled::V2(samples, body), ..self });
            }
            Spelled::V2(mut samples, _) => {
                let second = samples.split_off(samples.len() / 2);
                [samples, second].map(|half| (half.len() as u64, Spelled::V2(half, None)))
            }
        };
        let [first, second] =
            halves.map(|(len, scores)| Self { scores, len, attempts: 0, held: None, ..self });
        Ok([first, Self { held: self.held, ..second }])
    }
}

fn wire_halves(body: &[u8]) -> Option<[(u64, Spelled); 2]> {
    Some(halves(body)?.map(|(body, len)| (len as u64, Spelled::V1(body.into()))))
}

/// Bytes of the label text of a score series.
fn text_len(score: &ScoreSample) -> usize {
    score.labels.pairs().iter().map(|pair| pair.name().len() + pair.value().len()).sum()
}

// === impl Encoder ===

impl Encoder {
    fn body(&self, samples: &[ScoreSample]) -> Bytes {
        let Spelling { v2, snappy, raw, compressed } = &mut *self.0.lock();
        raw.clear();
        v2.encode(samples, raw);
        // Snappy refuses more than 4 GiB; a batch of `scores.batch_size` is bounded far below.
        snappy.compress(raw, compressed).expect("less than 4 GiB");
        Bytes::copy_from_slice(compressed)
    }
}
