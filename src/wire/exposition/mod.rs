//! The exposition formats: what a target's page means, and how scores are added to it.
//!
//! A [`Page`] is fed while it streams through and fills a [`crate::batch::Batch`]; it is the batch's
//! [`crate::batch::LabelSource`] too. Bytes are never altered here: a line that is not understood is
//! counted, and the families of the scores come behind the page ([`ScoreFamilies`]).

mod format;
mod number;
mod page;
mod protobuf;
mod render;
mod text;

pub use format::{Format, Syntax, accepts_gzip, preferred};
pub use page::{Page, PageError, PageLimits, PageStats};
pub use render::{Room, ScoreFamilies};

/// What an OpenMetrics page ends in, but for its line feed (P12).
pub const EOF: &[u8] = b"# EOF";
