//! Remote write 1.0 and 2.0: decoders that borrow, a receiver's checks, and encoders for the scores.
//!
//! The decoders fill a [`crate::batch::Batch`] and copy nothing but samples. They are laxer than prost
//! where an answer costs time on every sample and changes no score, and stricter in one place:
//!
//! - What stands *inside* labels, histograms, exemplars and metadata is not looked at while decoding, and
//!   whether strings are UTF-8 neither. A native histogram is read when something is made of it
//!   ([`crate::batch::LabelSource::read_histogram`]). Labels are checked when they are read, which is the first time the
//!   series table meets them: [`crate::batch::LabelSource::for_each_label`] hands out all labels of a series
//!   or, if anything is wrong with one of them, none. [`receive`] checks all of it.
//! - Groups, which proto3 does not have, are refused instead of skipped: they are the one way to nest deeply.

mod config;
mod decoded;
pub mod encode;
mod fields;
mod halves;
mod histogram;
pub mod receive;
mod score_block;
pub mod v1;
pub mod v2;
mod walked;

#[cfg(test)]
mod tests;

pub use config::ElementLimits;
pub use decoded::{DecodeError, Decoded, Element};
pub use halves::halves;
pub use score_block::{ScoreBlock, Tape};
pub use walked::Walked;
