//! Receiving 1.0.

use std::ops::Range;

use prost::Message as _;

use super::labels::LabelCheck;
use super::{Entry, Keeper, Receipt, ReceiveError, Refusal, histogram};
use crate::batch::Batch;
use crate::wire::generated::io::prometheus::write::v2::Histogram;
use crate::wire::generated::prometheus::{Exemplar, MetricMetadata};
use crate::wire::remote_write::ElementLimits;
use crate::wire::remote_write::fields::Fields;
use crate::wire::remote_write::v1::{self as decoder, EXEMPLAR, HISTOGRAM, LABEL, METADATA, SAMPLE, SERIES};

/// Decodes `raw` into `batch` as [`decoder::decode`] does, and leaves in it the series that keep all rules.
///
/// Samples later than `latest_ms` (milliseconds since the Unix epoch) are refused with their series.
///
/// # Errors
///
/// If nothing of the request can be kept.
pub fn v1(
    raw: &[u8],
    seed: u64,
    limits: &ElementLimits,
    latest_ms: i64,
    batch: &mut Batch,
) -> Result<Receipt, ReceiveError> {
    let decoded = decoder::decode(raw, seed, limits, None, batch)?;
    let mut receipt = Receipt { decoded, ..Receipt::default() };
    let (mut keeper, mut labels, mut number) = (Keeper::new(batch), LabelCheck::default(), 0);
    let mut fields = Fields::of(raw)?;
    while !fields.is_done() {
        match fields.key()? {
            SERIES => {
                let entry = check(raw, &fields.delimited()?, latest_ms, &mut labels)?;
                number += 1;
                receipt.add(number, &entry);
                keeper.take(&entry);
            }
            METADATA => drop(MetricMetadata::decode(&raw[fields.delimited()?])?),
            other => fields.skip(other, &[])?,
        }
    }
    keeper.finish();
    Ok(receipt)
}

fn check<'a>(
    raw: &'a [u8],
    body: &Range<usize>,
    latest_ms: i64,
    labels: &mut LabelCheck<'a>,
) -> Result<Entry, ReceiveError> {
    let mut entry = Entry::default();
    labels.start();
    let mut fields = Fields::within(raw, body);
    while !fields.is_done() {
        match fields.key()? {
            LABEL => {
                let label = decoder::label(raw, &fields.delimited()?)?;
                labels.add(&raw[label.name], &raw[label.value]);
            }
            SAMPLE => {
                let message = fields.delimited()?;
                entry.sample(fields.sample(&message, &[1, 2])?.timestamp_ms, latest_ms);
            }
            EXEMPLAR => {
                let exemplar = Exemplar::decode(&raw[fields.delimited()?])?;
                entry.exemplar(exemplar.timestamp != 0);
            }
            HISTOGRAM => entry.histogram(&raw[fields.delimited()?], latest_ms)?,
            other => fields.skip(other, &[])?,
        }
    }
    if let Some(refusal) = labels.finish() {
        entry.refuse(refusal);
    }
    Ok(entry)
}

// === impl Entry ===

impl Entry {
    pub(super) fn sample(&mut self, timestamp_ms: i64, latest_ms: i64) {
        self.samples += 1;
        if timestamp_ms > latest_ms {
            self.refuse(Refusal::TooFarAhead);
        }
    }

    /// Takes a histogram of either version: 2.0 only has one field more.
    pub(super) fn histogram(&mut self, message: &[u8], latest_ms: i64) -> Result<(), ReceiveError> {
        self.histograms += 1;
        let histogram = Histogram::decode(message)?;
        if let Err(refusal) = histogram::check(&histogram) {
            self.refuse(refusal);
        }
        if histogram.timestamp > latest_ms {
            self.refuse(Refusal::TooFarAhead);
        }
        Ok(())
    }
}
