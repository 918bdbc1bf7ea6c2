//! Receiving 2.0.

use std::ops::Range;

use prost::Message as _;

use super::labels::LabelCheck;
use super::{Entry, Keeper, Receipt, ReceiveError, Refusal};
use crate::batch::Batch;
use crate::wire::generated::io::prometheus::write::v2::{Exemplar, Metadata};
use crate::wire::remote_write::ElementLimits;
use crate::wire::remote_write::fields::Fields;
use crate::wire::remote_write::v2::{
    self as decoder, EXEMPLAR, HISTOGRAM, Labels, METADATA, SAMPLE, SERIES, SymbolTable,
};

struct Check<'a, 's> {
    raw: &'a [u8],
    symbols: &'s SymbolTable,
    latest_ms: i64,
    labels: LabelCheck<'a>,
}

/// Decodes `raw` into `batch` and `symbols` as [`decoder::decode`] does, and leaves in the batch the series
/// that keep all rules.
///
/// Samples later than `latest_ms` (milliseconds since the Unix epoch) are refused with their series.
///
/// # Errors
///
/// If nothing of the request can be kept.
pub fn v2(
    raw: &[u8],
    seed: u64,
    limits: &ElementLimits,
    latest_ms: i64,
    symbols: &mut SymbolTable,
    batch: &mut Batch,
) -> Result<Receipt, ReceiveError> {
    let decoded = decoder::decode(raw, seed, limits, symbols, batch)?;
    check_symbols(raw, symbols)?;
    let mut receipt = Receipt { decoded, ..Receipt::default() };
    let mut check = Check { raw, symbols, latest_ms, labels: LabelCheck::default() };
    let (mut keeper, mut number) = (Keeper::new(batch), 0);
    let mut fields = Fields::of(raw)?;
    while !fields.is_done() {
        match fields.key()? {
            SERIES => {
                let entry = check.series(&fields.delimited()?)?;
                number += 1;
                receipt.add(number, &entry);
                keeper.take(&entry);
            }
            other => fields.skip(other, &[])?,
        }
    }
    keeper.finish();
    Ok(receipt)
}

fn check_symbols(raw: &[u8], symbols: &SymbolTable) -> Result<(), ReceiveError> {
    if symbols.get(raw, 0).is_some_and(|first| !first.is_empty()) {
        return Err(ReceiveError::FirstSymbol);
    }
    let not_text =
        |index: &u32| symbols.get(raw, *index).is_some_and(|text| std::str::from_utf8(text).is_err());
    match (0..symbols.len() as u32).find(not_text) {
        Some(index) => Err(ReceiveError::SymbolNotText { index }),
        None => Ok(()),
    }
}

// === impl Check ===

impl<'a> Check<'a, '_> {
    fn series(&mut self, body: &Range<usize>) -> Result<Entry, ReceiveError> {
        let mut entry = Entry::default();
        let mut fields = Fields::within(self.raw, body);
        while !fields.is_done() {
            match fields.key()? {
                SAMPLE => {
                    let message = fields.delimited()?;
                    entry.sample(fields.sample(&message, &[1, 2, 3])?.timestamp_ms, self.latest_ms);
                }
                HISTOGRAM => entry.histogram(&self.raw[fields.delimited()?], self.latest_ms)?,
                EXEMPLAR => {
                    let exemplar = Exemplar::decode(&self.raw[fields.delimited()?])?;
                    entry.exemplar(self.is_sound(&exemplar));
                }
                METADATA => {
                    let metadata = Metadata::decode(&self.raw[fields.delimited()?])?;
                    if !self.within_table(metadata.help_ref) || !self.within_table(metadata.unit_ref) {
                        entry.refuse(Refusal::MetadataReference);
                    }
                }
                other => fields.skip(other, &[])?,
            }
        }
        self.check_content(&mut entry);
        self.check_labels(body, &mut entry)?;
        Ok(entry)
    }

    fn check_content(&self, entry: &mut Entry) {
        if entry.samples > 0 && entry.histograms > 0 {
            entry.refuse(Refusal::SamplesAndHistograms);
        }
        if entry.samples == 0 && entry.histograms == 0 && entry.exemplars == 0 {
            entry.refuse(Refusal::Empty);
        }
    }

    fn check_labels(&mut self, body: &Range<usize>, entry: &mut Entry) -> Result<(), ReceiveError> {
        let Self { raw, symbols, labels, .. } = self;
        labels.start();
        Labels { raw, symbols }.each_pair(&(body.start as u32..body.end as u32), |name, value| {
            let text = |reference| symbols.get(raw, reference).unwrap_or_default();
            labels.add(text(name), text(value));
        })?;
        if let Some(refusal) = labels.finish() {
            entry.refuse(refusal);
        }
        Ok(())
    }

    /// A value of 0 cannot be told from a missing one, a timestamp of 0 stands for one (R22).
    fn is_sound(&self, exemplar: &Exemplar) -> bool {
        let refs = &exemplar.labels_refs;
        exemplar.timestamp != 0
            && refs.len().is_multiple_of(2)
            && refs.iter().all(|reference| self.within_table(*reference))
    }

    fn within_table(&self, reference: u32) -> bool {
        reference == 0 || (reference as usize) < self.symbols.len()
    }
}
