//! A CSV file of many series: the columns `timestamp`, `series` and `value`, as `sidelong synth write` makes it.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use super::csv::row;
use super::{CsvError, Row};
use crate::backtest::Series;

/// Rows that are held at once: the series of so many are led on one after the other.
const WINDOW: usize = 200_000;

/// Reads a file window by window.
pub struct ManyRows<R> {
    records: csv::StringRecordsIntoIter<R>,
    bytes: u64,
}

/// Whether a file that begins with `line` is one of many series.
pub fn is_many(line: &str) -> bool {
    let columns: Vec<&str> = line.trim().split(',').map(str::trim).collect();
    columns == ["timestamp", "series", "value"]
}

// === impl ManyRows ===

impl<R> fmt::Debug for ManyRows<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyRows").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<R: Read> ManyRows<R> {
    /// The rows of `file`, whose header has been read.
    pub fn new(file: R) -> Self {
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
        Self { records: reader.into_records(), bytes: 0 }
    }

    /// How many bytes have been read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next rows by series, in the order in which series first come; nothing at the end of the file.
    ///
    /// # Errors
    ///
    /// A line that is no sample of a series.
    pub fn window(&mut self) -> Result<Vec<(Series, Vec<Row>)>, CsvError> {
        let mut window: Vec<(Series, Vec<Row>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for _ in 0..WINDOW {
            // The header is the line before the first.
            let line = self.records.reader().position().line() + 1;
            let Some(record) = self.records.next() else { break };
            let wrong = |text: String| CsvError::Series { line, text };
            let record = record.map_err(|error| wrong(error.to_string()))?;
            self.bytes = record.position().map_or(self.bytes, |position| position.byte());
            let text = || record.iter().collect::<Vec<_>>().join(",").chars().take(60).collect();
            let [Some(timestamp), Some(name), Some(value)] = [0, 1, 2].map(|at| record.get(at)) else {
                return Err(wrong(text()));
            };
            let row = row(timestamp.trim(), value.trim()).ok_or_else(|| wrong(text()))?;
            let place = match places.get(name) {
                Some(place) => *place,
                None => {
                    let series = name.parse().map_err(|_| wrong(text()))?;
                    window.push((series, Vec::new()));
                    places.insert(name.to_owned(), window.len() - 1);
                    window.len() - 1
                }
            };
            window[place].1.push(row);
        }
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_by_series_in_the_order_of_their_first() {
        let text =
            "1500000000,\"up{job=\"\"a\"\"}\",1\n1500000000,up,2\n1500000060,\"up{job=\"\"a\"\"}\",3\n";
        let mut rows = ManyRows::new(text.as_bytes());
        let window = rows.window().unwrap();
        let told: Vec<(String, Vec<f64>)> = window
            .iter()
            .map(|(series, rows)| (series.to_string(), rows.iter().map(|row| row.sample.value).collect()))
            .collect();
        assert_eq!(told, [("up{job=\"a\"}".to_owned(), vec![1.0, 3.0]), ("up".to_owned(), vec![2.0])]);
        assert!(rows.window().unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_no_sample_of_a_series_is_named() {
        // The header is the line before.
        for (text, line) in [("1,up,1\nabc,up,1\n", 2), ("1,up\n", 1), ("1,{{{,1\n", 1)] {
            let error = ManyRows::new(text.as_bytes()).window().unwrap_err();
            assert!(error.to_string().contains(&format!("line {}", line + 1)), "{error}");
        }
    }

    #[test]
    fn the_header_says_what_it_is() {
        assert!(is_many("timestamp,series,value\r\n") && is_many("timestamp, series, value"));
        assert!(!is_many("timestamp,value") && !is_many("1500000000,1"));
    }
}
