//! Rows of a CSV file: a timestamp and a value.

use std::io::{self, BufRead};

use super::{Row, milliseconds};
use crate::batch::Sample;

/// Reads `timestamp,value` line by line. A first line that holds no number is a header.
#[derive(Debug)]
pub struct CsvRows<R> {
    lines: io::Lines<R>,
    line: u64,
    bytes: u64,
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file itself.
    #[error("line {line} cannot be read")]
    Io {
        /// The line after the last that could be read.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A line that is no sample.
    #[error("line {line} is not timestamp,value: {text:?}")]
    Row {
        /// Its number, from 1.
        line: u64,
        /// The line, cut short.
        text: String,
    },
    /// A line that is no sample of a series.
    #[error("line {line} is not timestamp,series,value: {text:?}")]
    Series {
        /// Its number, from 1.
        line: u64,
        /// The line, cut short.
        text: String,
    },
}

// === impl CsvRows ===

impl<R: BufRead> CsvRows<R> {
    /// The rows of `file`.
    pub fn new(file: R) -> Self {
        Self { lines: file.lines(), line: 0, bytes: 0 }
    }

    /// How many bytes have been read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<R: BufRead> Iterator for CsvRows<R> {
    type Item = Result<Row, CsvError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.line += 1;
            let text = match self.lines.next()? {
                Ok(text) => text,
                Err(source) => return Some(Err(CsvError::Io { line: self.line, source })),
            };
            self.bytes += text.len() as u64 + 1;
            match row_of(&text) {
                Some(row) => return Some(Ok(row)),
                None if self.line == 1 || text.trim().is_empty() => {} // a header, or nothing
                None => {
                    let text = text.chars().take(60).collect();
                    return Some(Err(CsvError::Row { line: self.line, text }));
                }
            }
        }
    }
}

fn row_of(text: &str) -> Option<Row> {
    let mut fields = text.trim().split(',').map(str::trim);
    row(fields.next()?, fields.next()?)
}

/// A timestamp and a value as they are written, with what they mean.
pub(super) fn row(timestamp: &str, value: &str) -> Option<Row> {
    let time: f64 = timestamp.parse().ok().filter(|time: &f64| time.is_finite())?;
    let number = if value.is_empty() { f64::NAN } else { value.parse().ok()? };
    let sample = Sample { timestamp_ms: milliseconds(time), value: number };
    Some(Row { timestamp: timestamp.to_owned(), value: value.to_owned(), sample })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(text: &str) -> Vec<(i64, f64)> {
        let rows = CsvRows::new(text.as_bytes()).map(|row| row.unwrap().sample);
        rows.map(|sample| (sample.timestamp_ms, sample.value)).collect()
    }

    #[test]
    fn seconds_and_milliseconds_are_told_apart_and_a_header_is_passed_over() {
        let text = "timestamp,value\n1500000000,1.5\n1500000060.25,2\n1500000120000,-3e2\n";
        let want = [(1_500_000_000_000, 1.5), (1_500_000_060_250, 2.0), (1_500_000_120_000, -300.0)];
        assert_eq!(samples(text), want);
        assert_eq!(samples("1500000000,1\r\n\n"), [(1_500_000_000_000, 1.0)]);
    }

    #[test]
    fn an_empty_value_is_a_row_without_a_number() {
        assert!(samples("1500000000,\n")[0].1.is_nan());
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        let error = CsvRows::new("t,v\n1,2\nabc,1\n".as_bytes()).find_map(Result::err).unwrap();
        assert_eq!(error.to_string(), "line 3 is not timestamp,value: \"abc,1\"");
    }
}
