//! Champion against challenger on metrics of the past: how well each finds what is known to have gone wrong, and whether the
//! challenger may take the champion's place.
//!
//! [`Trial`] is one series with what both said of it. [`Measures`] sums trials up: alerts ([`alerts`]), ranges ([`ranges`]),
//! the volume under the precision-recall surface ([`vus`]). The [`Gate`] is written down and decides by figures alone. An
//! [`Evaluation`] is all of it, as text, as JSON and as a page; its JSON is what `sidelong model promote` asks for ([`Receipt`]).

mod alerts;
mod evaluation;
mod gate;
mod measures;
mod page;
mod ranges;
mod rank;
mod receipt;
mod text;
mod trial;
mod vus;

pub use evaluation::{Data, Day, Evaluation, Family, Outcome, Party};
pub use gate::{Check, Gate, Verdict};
pub use measures::{Measures, Working};
pub use receipt::{Receipt, ReceiptError};
pub use trial::{Event, Sides, Trial};

/// A score of at least this is an anomaly.
pub const ANOMALY: f32 = 1.0;

#[cfg(test)]
mod tests;
