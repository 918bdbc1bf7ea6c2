//! What a receiver owes its senders (R15 to R24), for loop-back mode, where there is no downstream to judge.
//!
//! A request is decoded as in gateway mode and then checked series by series. What is sound is kept, the rest
//! is counted by reason: such a request is answered 400 with [`Receipt::reason`], and a 2.0 one with the
//! counts of [`Receipt::written`], which say what was kept (R9, R12). Unsorted labels are sound (R17), and so
//! is a 2.0 series with nothing but exemplars, which real senders make.

mod histogram;
mod labels;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::fmt::Write as _;

pub use histogram::HistogramFault;
pub use v1::v1;
pub use v2::v2;

use super::{DecodeError, Decoded};
use crate::batch::Batch;

/// How much of a request was kept: the three numbers of the 2.0 answer headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// `X-Prometheus-Remote-Write-Samples-Written`.
    pub samples: u64,
    /// `X-Prometheus-Remote-Write-Histograms-Written`.
    pub histograms: u64,
    /// `X-Prometheus-Remote-Write-Exemplars-Written`.
    pub exemplars: u64,
}

/// Why a series entry was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A label name or value that is not UTF-8.
    NotText,
    /// A label without a name.
    EmptyLabelName,
    /// A label without a value, which is no label.
    EmptyLabelValue,
    /// Two labels of one name.
    RepeatedLabel,
    /// No `__name__`.
    NoMetricName,
    /// A 2.0 series with nothing to write (R19).
    Empty,
    /// A 2.0 series with both samples and histograms (R19).
    SamplesAndHistograms,
    /// A histogram that contradicts itself (R24).
    Histogram(HistogramFault),
    /// A timestamp further ahead than accepted (R28).
    TooFarAhead,
    /// Metadata of a 2.0 series that refers beyond the symbol table (R20).
    MetadataReference,
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// What the request held.
    pub decoded: Decoded,
    /// What was kept of it.
    pub written: Written,
    /// How many series were refused, by reason, in the order in which the reasons first occurred.
    refused: Vec<(Refusal, u32)>,
    refused_exemplars: u32,
    first_refused: u32,
}

/// One series entry as the checks left it.
#[derive(Debug, Default)]
struct Entry {
    samples: u32,
    histograms: u32,
    exemplars: u32,
    refused_exemplars: u32,
    refusal: Option<Refusal>,
}

/// Keeps those series of a batch whose entries are sound.
struct Keeper<'a> {
    batch: &'a mut Batch,
    read: usize,
    kept: usize,
}

// === impl Receipt ===

impl Receipt {
    /// Whether all of the request was kept: then the answer is 204.
    pub fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.refused_exemplars == 0
    }

    /// How many elements were not kept and why, for the body of a 400; `None` if all were.
    pub fn reason(&self) -> Option<String> {
        if self.is_complete() {
            return None;
        }
        let mut text = String::new();
        let refused: u32 = self.refused.iter().map(|(_, count)| count).sum();
        if refused > 0 {
            // Writing to a string does not fail.
            let _written = write!(text, "{refused} of {} series were not written: ", self.decoded.series);
            let reasons = self.refused.iter().map(|(refusal, count)| format!("{count} {}", refusal.text()));
            text.push_str(&reasons.collect::<Vec<_>>().join(", "));
            let _written = write!(text, " (the first is series {})", self.first_refused);
        }
        if self.refused_exemplars > 0 {
            let separator = if text.is_empty() { "" } else { "; " };
            let _written = write!(
                text,
                "{separator}{} of {} exemplars were not written: they lack a timestamp or sound labels",
                self.refused_exemplars, self.decoded.exemplars
            );
        }
        Some(text)
    }

    fn add(&mut self, number: u32, entry: &Entry) {
        let Some(refusal) = entry.refusal else {
            self.written.samples += u64::from(entry.samples);
            self.written.histograms += u64::from(entry.histograms);
            self.written.exemplars += u64::from(entry.exemplars - entry.refused_exemplars);
            self.refused_exemplars += entry.refused_exemplars;
            return;
        };
        if self.refused.is_empty() {
            self.first_refused = number;
        }
        match self.refused.iter_mut().find(|(known, _)| *known == refusal) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((refusal, 1)),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// What is wrong, to stand behind a number of series.
    fn text(self) -> &'static str {
        match self {
            Self::NotText => "with a label that is not UTF-8",
            Self::EmptyLabelName => "with an empty label name",
            Self::EmptyLabelValue => "with an empty label value",
            Self::RepeatedLabel => "with a repeated label name",
            Self::NoMetricName => "without a metric name",
            Self::Empty => "with neither samples nor histograms",
            Self::SamplesAndHistograms => "with both samples and histograms",
            Self::Histogram(fault) => fault.text(),
            Self::TooFarAhead => "with a timestamp too far in the future",
            Self::MetadataReference => "with metadata that refers beyond the symbol table",
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Remembers the first reason only.
    fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    fn exemplar(&mut self, sound: bool) {
        self.exemplars += 1;
        self.refused_exemplars += u32::from(!sound);
    }
}

// === impl Keeper ===

impl<'a> Keeper<'a> {
    fn new(batch: &'a mut Batch) -> Self {
        Self { batch, read: 0, kept: 0 }
    }

    /// Takes the next entry of the request, which has a series in the batch if it has samples.
    fn take(&mut self, entry: &Entry) {
        if entry.samples == 0 {
            return;
        }
        if entry.refusal.is_none() {
            self.batch.series.swap(self.kept, self.read);
            self.kept += 1;
        }
        self.read += 1;
    }

    fn finish(self) {
        self.batch.series.truncate(self.kept);
    }
}

/// Why nothing of a request was kept. All of it is 400.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ReceiveError {
    /// Damaged bytes, or more elements than are decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A damaged histogram, exemplar or metadata entry.
    #[error("a histogram, an exemplar or metadata is damaged: {0}")]
    Inside(#[from] prost::DecodeError),
    /// A 2.0 request whose first symbol is not the empty string (R20).
    #[error("the first symbol is not the empty string")]
    FirstSymbol,
    /// A 2.0 request with a symbol that is not UTF-8.
    #[error("symbol {index} is not UTF-8")]
    SymbolNotText {
        /// Which.
        index: u32,
    },
}
