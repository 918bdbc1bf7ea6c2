//! What was said of past series as a page for people: value, band, score and labelled windows.
//!
//! [`Record`] is a series with all that was said of it, [`alerts`] finds where it was anomalous, [`columns`]
//! makes it as wide as a screen without losing an extreme, [`chart`] draws, and [`page`] writes the HTML. The page
//! needs nothing but itself: no script, no font, no network. [`ahead`] does the same with forecasts.

mod ahead;
mod alerts;
mod axis;
mod chart;
mod columns;
mod labels;
mod numbers;
mod page;
#[cfg(test)]
mod testing;

pub use self::ahead::AheadPage;
pub use self::labels::{LabelledWindow, Labels, LabelsError};
pub(super) use self::numbers::{duration, short};
pub use self::page::Page;
pub(crate) use self::page::{STYLE, escape};

use super::{Said, Series};

/// A series with all that was said of it, in the order in which it came.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What it is called.
    pub series: Series,
    /// Its samples, each with a later time than the one before.
    pub points: Vec<Point>,
    /// Where something is known to have been wrong, in order of time.
    pub windows: Vec<LabelledWindow>,
}

/// One sample by what was said of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What was said of it, and the value that was judged.
    pub said: Said,
}
