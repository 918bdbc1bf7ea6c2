//! An evaluation for people at a terminal.

use std::fmt::{self, Write as _};

use super::{Check, Evaluation, Family, Measures, Outcome, Sides};
use crate::backtest::Moment;

/// Families and incidents that are listed; the page has all of them.
const MOST: usize = 10;

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sides { champion, challenger } = &self.models;
        writeln!(f, "champion    {}", champion.name)?;
        writeln!(f, "challenger  {}", challenger.name)?;
        let span = self.data.judged_ms.map(|[first, last]| format!("{} to {}", Moment(first), Moment(last)));
        let (series, samples) = (self.data.series, self.data.samples);
        writeln!(f, "judged      {series} series, {samples} samples, {}\n", span.unwrap_or_default())?;
        let mut table = Table::new(&["", "champion", "challenger"]);
        for (name, [champion, challenger]) in rows(&self.measures) {
            table.row(&[name, &champion, &challenger]);
        }
        let Sides { champion, challenger } = self.time_ns.map(|ns| format!("{ns:.0} ns"));
        table.row(&["time a sample", &champion, &challenger]);
        writeln!(f, "{table}")?;
        if self.families.len() > 1 {
            writeln!(f, "{}", families(&self.families))?;
        }
        if !self.incidents.is_empty() {
            writeln!(f, "{}", incidents(&self.incidents))?;
        }
        let mut table = Table::new(&["gate", "", "found", "wanted"]);
        for Check { name, found, wanted, passed } in &self.checks {
            table.row(&[name, if *passed { "ok" } else { "NO" }, found, wanted]);
        }
        write!(f, "{table}\nverdict: {}\n", self.verdict)
    }
}

/// What is told of both sides.
pub(super) fn rows(measures: &Sides<Measures>) -> Vec<(&'static str, [String; 2])> {
    type Of = fn(&Measures) -> String;
    let rows: [(&'static str, Of); 9] = [
        ("incidents found", |of| format!("{} of {}", of.found, of.events)),
        ("recall", |of| number(of.recall)),
        ("precision", |of| number(of.precision)),
        ("F1", |of| number(of.f1)),
        ("range-based F1", |of| number(of.range_f1)),
        ("VUS-PR", |of| number(of.vus_pr)),
        ("detection delay, median", |of| of.delay_s.map_or_else(unknown, |delay_s| format!("{delay_s} s"))),
        ("alerts a series-week", |of| format!("{:.2}", of.alerts_a_series_week)),
        ("false of them", |of| format!("{:.2}", of.false_a_series_week)),
    ];
    let both = |(name, of): (&'static str, Of)| (name, [of(&measures.champion), of(&measures.challenger)]);
    rows.into_iter().map(both).collect()
}

/// A share, if it is known.
pub(super) fn number(share: Option<f64>) -> String {
    share.map_or_else(unknown, |share| format!("{share:.3}"))
}

fn unknown() -> String {
    "-".to_owned()
}

fn families(families: &[Family]) -> Table {
    let mut table =
        Table::new(&["family", "series", "incidents", "recall", "", "false alerts", "", "rank correlation"]);
    for Family { name, series, measures, rank_correlation } in families.iter().take(MOST) {
        let Sides { champion, challenger } = measures;
        table.row(&[
            name,
            &series.to_string(),
            &champion.events.to_string(),
            &number(champion.recall),
            &number(challenger.recall),
            &champion.false_alerts.to_string(),
            &challenger.false_alerts.to_string(),
            &number(*rank_correlation),
        ]);
    }
    table.more(families.len())
}

fn incidents(incidents: &[Outcome]) -> Table {
    let mut table = Table::new(&["incident", "series", "found by champion", "by challenger"]);
    for Outcome { name, series, found } in incidents.iter().take(MOST) {
        table.row(&[name, &series.to_string(), &found.champion.to_string(), &found.challenger.to_string()]);
    }
    table.more(incidents.len())
}

/// Columns as wide as what is in them.
struct Table {
    rows: Vec<Vec<String>>,
    more: usize,
}

// === impl Table ===

impl Table {
    fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(ToString::to_string).collect()], more: 0 }
    }

    fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(ToString::to_string).collect());
    }

    fn more(self, of: usize) -> Self {
        Self { more: of.saturating_sub(MOST), ..self }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                write!(line, "{cell:<width$}  ", width = width(column))?;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        if self.more > 0 {
            writeln!(f, "and {} more; --html has them", self.more)?;
        }
        Ok(())
    }
}
