//! The table of series and their scores.

use super::drawing::{Drawing, Style, fit, short};

/// One series in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The series in PromQL's spelling.
    pub series: String,
    /// Its anomaly score.
    pub score: f64,
    /// The value that was scored: a counter's is its rate. `None` while there is no rate yet.
    pub value: Option<f64>,
    /// The value expected, and its band.
    pub expected: Option<Expected>,
    /// Whether `value` is a rate, per second.
    pub is_rate: bool,
    /// Whether an injected event strikes it now.
    pub is_struck: bool,
}

/// What was expected of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The forecast.
    pub value: f64,
    /// The lower end of the band.
    pub lower: f64,
    /// The upper end of the band.
    pub upper: f64,
}

/// Cells of a score bar; the score 1 stands at a third of it.
const BAR: usize = 12;
const FULL_BAR_SCORE: f64 = 3.0;
/// Columns of a row besides its series.
const FIGURES: usize = 64;

// === impl Drawing ===

impl Drawing {
    /// The table, below its heading.
    pub fn rows(&mut self, rows: &[Row]) {
        let width = self.series_width();
        self.title(&format!(
            " SCORE {:<BAR$}   {:<width$} {:>10} {:>10}  {}",
            "", "SERIES", "VALUE", "EXPECTED", "BAND"
        ));
        for row in rows {
            self.row(row, width);
        }
    }

    fn row(&mut self, row: &Row, width: usize) {
        let style = match (row.score >= 1.0, row.is_struck) {
            (true, true) => Style::Red,
            (true, false) => Style::Yellow,
            _ => Style::Plain,
        };
        let mark = if row.is_struck { '*' } else { ' ' };
        let series = fit(&row.series, width);
        self.line(&[
            (style, &format!("{:>6.2} {}", row.score, bar(row.score))),
            (Style::Plain, &format!(" {mark} {series:<width$} {}", figures(row))),
        ]);
    }

    fn series_width(&self) -> usize {
        self.canvas.width.saturating_sub(FIGURES).max(20)
    }
}

fn bar(score: f64) -> String {
    let cells = (score.clamp(0.0, FULL_BAR_SCORE) / FULL_BAR_SCORE * BAR as f64).round() as usize;
    let threshold = (BAR as f64 / FULL_BAR_SCORE) as usize;
    let cell = |at: usize| match at {
        at if at < cells => '█',
        at if at == threshold => '┊',
        _ => '·',
    };
    (0..BAR).map(cell).collect()
}

fn figures(row: &Row) -> String {
    let unit = if row.is_rate { "/s" } else { "" };
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{}{unit}", short(value)));
    let expected = row.expected;
    let band = expected.map_or("-".to_owned(), |e| format!("{} .. {}", short(e.lower), short(e.upper)));
    format!("{:>10} {:>10}  {band}", number(row.value), number(expected.map(|e| e.value)))
}
