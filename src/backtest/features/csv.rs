//! Features as CSV.

use std::io::{self, Write};

use super::{Cell, cells};
use crate::backtest::Series;
use crate::detect::Explanation;

/// Writes a header, and a row for each sample. What does not exist is left empty.
#[derive(Debug)]
pub struct CsvFeatures<W> {
    out: W,
    has_header: bool,
    /// Whether a column names the series.
    names_series: bool,
}

// === impl CsvFeatures ===

impl<W: Write> CsvFeatures<W> {
    /// A table in `out`, with a column for the series where `names_series` is set.
    pub fn new(out: W, names_series: bool) -> Self {
        Self { out, has_header: false, names_series }
    }

    /// Writes a row.
    ///
    /// # Errors
    ///
    /// Whatever the output refuses to take.
    pub fn write(&mut self, series: &Series, seen: &Explanation) -> io::Result<()> {
        let cells = cells(seen);
        if !self.has_header {
            self.has_header = true;
            let names: Vec<_> = cells.iter().map(|(name, _)| *name).collect();
            let series = if self.names_series { "series," } else { "" };
            writeln!(self.out, "{series}{}", names.join(","))?;
        }
        if self.names_series {
            write!(self.out, "\"{}\",", series.to_string().replace('"', "\"\""))?;
        }
        let texts: Vec<_> = cells.iter().map(|(_, cell)| text(cell)).collect();
        writeln!(self.out, "{}", texts.join(","))
    }

    /// Writes what is left.
    ///
    /// # Errors
    ///
    /// As [`CsvFeatures::write`].
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A number with all its digits: what it is read back to is the same number.
fn text(cell: &Cell) -> String {
    match cell {
        Cell::Integer(number) => number.to_string(),
        Cell::Double(number) if number.is_nan() => String::new(),
        Cell::Double(number) => number.to_string(),
        // Widened, as /api/v1/explain shows it.
        Cell::Single(number) => number.map_or_else(String::new, |number| f64::from(number).to_string()),
        Cell::Word(word) => word.clone(),
    }
}
