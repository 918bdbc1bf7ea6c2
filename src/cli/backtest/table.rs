//! Rows of scores as CSV.

use std::io::{self, Write};

use anyhow::bail;

use crate::backtest::source::Row;
use crate::backtest::{Said, Series};

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// Timestamp, value, score, expected value and band.
    All,
    /// The same, and how far the score is to be trusted.
    Confidence,
    /// Timestamp and the score squeezed into 0 to 1.
    Squeezed,
}

/// Writes a header and a row for each row.
#[derive(Debug)]
pub(super) struct Table<W> {
    out: W,
    columns: Columns,
    /// What is written into the column of the series; none while there is but one.
    prefix: Option<String>,
    /// The series of the rows so far.
    series: Option<Series>,
}

// === impl Table ===

impl<W: Write> Table<W> {
    /// A table in `out`.
    pub(super) fn new(out: W, columns: Columns) -> Self {
        Self { out, columns, prefix: None, series: None }
    }

    /// Gives the table a column for the series. Nothing may have been written yet.
    pub(super) fn name_series(&mut self) {
        self.prefix = Some(String::new());
    }

    /// The rows that follow are of `series`.
    pub(super) fn begin(&mut self, series: &Series) -> anyhow::Result<()> {
        match (&self.series, &mut self.prefix) {
            (Some(before), None) if before != series => {
                bail!(
                    "a second series, {series}, came when rows without a column for the series were written already: \
                     give --series-column"
                );
            }
            (None, _) => self.write_header()?,
            _ => {}
        }
        if let Some(prefix) = &mut self.prefix {
            *prefix = format!("\"{}\",", series.to_string().replace('"', "\"\""));
        }
        self.series = Some(series.clone());
        Ok(())
    }

    fn write_header(&mut self) -> io::Result<()> {
        let series = if self.prefix.is_some() { "series," } else { "" };
        match self.columns {
            Columns::All | Columns::Confidence => {
                let last = if self.columns == Columns::Confidence { ",anomaly_confidence" } else { "" };
                writeln!(self.out, "{series}timestamp,value,anomaly_score,yhat,yhat_lower,yhat_upper{last}")
            }
            Columns::Squeezed => writeln!(self.out, "{series}timestamp,anomaly_score"),
        }
    }

    /// Writes one row.
    pub(super) fn row(&mut self, row: &Row, said: &Said) -> io::Result<()> {
        let Row { timestamp, value, .. } = row;
        let prefix = self.prefix.as_deref().unwrap_or_default();
        match self.columns {
            Columns::All | Columns::Confidence => {
                let confidence =
                    (self.columns == Columns::Confidence).then_some(said.confidence.unwrap_or(f64::NAN));
                write!(self.out, "{prefix}{timestamp},{value},{}", said.score)?;
                // A forecast that does not exist yet is left empty.
                for number in [said.expected, said.lower, said.upper].into_iter().chain(confidence) {
                    if number.is_nan() {
                        write!(self.out, ",")?;
                    } else {
                        write!(self.out, ",{number}")?;
                    }
                }
                writeln!(self.out)
            }
            Columns::Squeezed => {
                writeln!(self.out, "{prefix}{timestamp},{}", said.score / (1.0 + said.score))
            }
        }
    }

    /// Writes what is left; of no rows the header alone.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.series.is_none() {
            self.write_header()?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}
