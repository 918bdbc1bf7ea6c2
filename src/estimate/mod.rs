//! What it would cost to score some series, said before it is paid.
//!
//! The series are read from an exposition or from a Prometheus and put to the very rules and signals of a
//! configuration ([`Census`]). Those that something asks for then go through the very corridor, with values made up
//! around those that were read, until it has settled; what it holds is counted, and what it takes is measured, on the
//! machine and by the binary that is asked ([`rehearse`]).

mod census;
mod rehearsal;
mod source;
mod stock;
mod text;
mod told;

pub use census::{Census, Prospects};
pub use rehearsal::{RehearsalError, Rehearsed, rehearse};
pub use source::{SourceError, Vectors, read_page};
pub use told::{Estimate, Over, PresetCost, RuleCost, SignalCost, Total, Unselected, Unsettled};

#[cfg(test)]
mod tests;
