//! A score request: scores, and how they are spelled.

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::budget::Held;
use super::lane::{Batch, Pending};
use crate::forward::Version;
use crate::inject::ScoreSample;
use crate::wire::compression::{Buffer, SnappyEncoder};
use crate::wire::remote_write::{ScoreBlock, encode};

/// A request that may be sent more than once.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) version: Version,
    pub(super) body: Bytes,
    /// The scores behind a 2.0 body, to be spelled as 1.0 if need be.
    samples: Vec<ScoreSample>,
    pub(super) len: u64,
    /// When its oldest score came.
    pub(super) since: Instant,
    /// How often it was sent.
    pub(super) attempts: u32,
    /// What the scores take until their fate is known.
    _held: Option<Held>,
}

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
    pub(super) fn new(batch: Batch, encoder: &Encoder) -> Self {
        let (len, since, _held) = (batch.len() as u64, batch.since, Some(batch.held));
        match batch.scores {
            Pending::V1(mut block) => {
                let body = block.finish().into();
                Self { version: Version::V1, body, samples: Vec::new(), len, since, attempts: 0, _held }
            }
            Pending::V2(samples) => Self { since, _held, ..Self::v2(samples, encoder) },
        }
    }

    /// A request of version 2.0 without a score.
    pub(super) fn empty(encoder: &Encoder) -> Self {
        Self::v2(Vec::new(), encoder)
    }

    fn v2(samples: Vec<ScoreSample>, encoder: &Encoder) -> Self {
        let (body, len, since) = (encoder.body(&samples), samples.len() as u64, Instant::now());
        Self { version: Version::V2, body, len, samples, since, attempts: 0, _held: None }
    }

    /// Spells the request again if it is of version 2.0.
    pub(super) fn spell_as_v1(&mut self) {
        if self.version == Version::V2 {
            let mut block = ScoreBlock::default();
            block.extend(&std::mem::take(&mut self.samples));
            self.body = block.finish().into();
            self.version = Version::V1;
        }
    }
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
