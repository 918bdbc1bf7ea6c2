//! Where a past series comes from: a file, or a Prometheus that is asked for a range.

mod api;
mod csv;
mod many;
#[cfg(feature = "archive")]
mod parquet;
mod prometheus;

use crate::batch::Sample;

pub use self::api::{Api, ApiError};
pub use self::csv::{CsvError, CsvRows};
pub use self::many::{ManyRows, is_many};
#[cfg(feature = "archive")]
pub use self::parquet::{ParquetError, ParquetRows};
pub use self::prometheus::{Range, RangeError, RangeQuery, Stretch, Window};

/// A timestamp at least as large is in milliseconds: as seconds it would lie beyond the year 5000.
const MILLISECONDS_FROM: f64 = 1e11;

/// A row as it stands in its source, with its sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The timestamp as it is written.
    pub timestamp: String,
    /// The value as it is written.
    pub value: String,
    /// What they mean. An empty value is not a number.
    pub sample: Sample,
}

// === impl Row ===

impl Row {
    /// The row of `sample` where it was written by nobody: its time in milliseconds.
    pub fn of(sample: Sample) -> Self {
        let value = if sample.value.is_nan() { String::new() } else { sample.value.to_string() };
        Self { timestamp: sample.timestamp_ms.to_string(), value, sample }
    }
}

/// A timestamp in seconds or milliseconds as milliseconds.
pub(super) fn milliseconds(time: f64) -> i64 {
    let milliseconds = if time.abs() >= MILLISECONDS_FROM { time } else { time * 1e3 };
    milliseconds.round() as i64
}
