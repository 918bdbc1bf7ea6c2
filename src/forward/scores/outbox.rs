//! The scores of one batch, in the form in which they will travel.

use std::sync::Arc;

use super::super::Version;
use super::restraint::SHARES;
use crate::batch::Sample;
use crate::config::sections;
use crate::inject::{Emit, ScoreSample};
use crate::series::labels::{Pair, SeriesLabels};
use crate::wire::remote_write::{ScoreBlock, Tape};

/// Collects the scores of one batch on a scorer thread.
#[derive(Debug)]
pub struct Outbox {
    pub(super) scores: Scores,
    tape: Tape,
    batch_size: usize,
    max_bytes: usize,
    /// Of [`SHARES`] parts of the series, as many may send.
    share: u32,
    withheld: u64,
    pub(super) urgent: bool,
}

/// Scores in the form of their version.
#[derive(Debug)]
pub(super) enum Scores {
    /// Compressed as they come, each block no longer than a request may be.
    V1(Vec<ScoreBlock>),
    /// Encoded when the request is made: its symbols stand before its series.
    V2(Vec<ScoreSample>),
}

// === impl Outbox ===

impl Outbox {
    /// A box for about `expected` scores.
    pub(super) fn new(
        version: Version,
        config: &sections::Scores,
        share: u32,
        expected: usize,
        tape: Tape,
    ) -> Self {
        let (batch_size, max_bytes) = (config.batch_size as usize, config.max_request_size.as_usize());
        let expected = expected.min(batch_size);
        let scores = match version {
            Version::V1 => Scores::V1(vec![ScoreBlock::with_capacity(expected)]),
            Version::V2 => Scores::V2(Vec::with_capacity(expected)),
        };
        Self { scores, tape, batch_size, max_bytes, share, withheld: 0, urgent: false }
    }

    /// Takes back the tape that the box was made with.
    pub fn take_tape(&mut self) -> Tape {
        std::mem::take(&mut self.tape)
    }

    /// Scores in the box.
    pub fn len(&self) -> usize {
        match &self.scores {
            Scores::V1(blocks) => blocks.iter().map(ScoreBlock::len).sum(),
            Scores::V2(samples) => samples.len(),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scores that were not collected because scores are giving way to samples.
    pub(super) fn withheld(&self) -> u64 {
        self.withheld
    }

    /// Whether the series may send. While scores come back after a refusal, whole series do, so that the
    /// downstream sees few series with all their samples rather than all with gaps.
    #[inline]
    fn may_send(&self, labels: &Arc<SeriesLabels>) -> bool {
        let address = Arc::as_ptr(labels) as usize as u64;
        self.share == SHARES || (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) < u64::from(self.share)
    }
}

impl Emit for Outbox {
    #[inline]
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        if !self.may_send(labels) {
            self.withheld += 1;
            return;
        }
        match &mut self.scores {
            Scores::V1(blocks) => {
                let full =
                    |block: &ScoreBlock| block.len() >= self.batch_size || block.bytes() >= self.max_bytes;
                if blocks.last().is_none_or(full) {
                    blocks.push(ScoreBlock::default());
                }
                if let Some(block) = blocks.last_mut() {
                    block.push(&mut self.tape, labels, name, sample);
                }
            }
            Scores::V2(samples) => samples.push(ScoreSample { labels: Arc::clone(labels), name, sample }),
        }
    }
}

impl Outbox {
    /// Marks the box as holding an anomaly: it leaves at once.
    pub fn urgent(&mut self) {
        self.urgent = true;
    }
}
