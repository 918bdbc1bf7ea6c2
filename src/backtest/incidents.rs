//! Incidents: when something is known to have been wrong, with all series or with some.

use std::io::Read;

use crate::backtest::Moment;
use crate::rules::Selector;
use crate::simulate::truth::Truth;

/// What went wrong, and when.
#[derive(Clone, Debug, Default)]
pub struct Incidents(Vec<Incident>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Incident {
    /// In milliseconds since the epoch.
    pub from_ms: i64,
    /// The first moment after it.
    pub to_ms: i64,
    /// What it is called; may be empty.
    pub name: String,
    /// Which series; none: all.
    selectors: Vec<Selector>,
}

/// Why a file holds no incidents.
#[derive(Debug, thiserror::Error)]
pub enum IncidentsError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] std::io::Error),
    /// It is no CSV.
    #[error("the file is no CSV")]
    Csv(#[from] csv::Error),
    /// A line says nothing.
    #[error(
        "line {line} is not start,end or start,end,selector, in Unix seconds or dates, with or without a time, in UTC: {text:?}"
    )]
    Line {
        /// From 1.
        line: u64,
        /// What it says.
        text: String,
    },
    /// It looks like JSON and is not what `sidelong synth` writes.
    #[error("the file is neither CSV nor the truth that `sidelong synth write` writes beside its data")]
    Truth(#[from] serde_json::Error),
    /// A series of it is none.
    #[error("{0:?} is no series")]
    Series(String),
}

// === impl Incidents ===

impl Incidents {
    /// Reads CSV, `start,end` or `start,end,selector` in Unix seconds or dates, with the header `start,end` or without; or the truth of `sidelong synth`.
    ///
    /// # Errors
    ///
    /// [`IncidentsError`].
    pub fn read(mut from: impl Read) -> Result<Self, IncidentsError> {
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        let incidents = match text.trim_start().starts_with('{') {
            true => of_truth(&serde_json::from_str(&text)?)?,
            false => of_csv(&text)?,
        };
        Ok(Self(incidents))
    }

    /// Those of a series of these labels, by their numbers in the file.
    pub fn of<'a>(&'a self, labels: &[(&str, &str)]) -> impl Iterator<Item = (usize, &'a Incident)> {
        self.0.iter().enumerate().filter(|(_, incident)| incident.is_of(labels))
    }

    /// All of them, in the order of the file.
    pub fn all(&self) -> &[Incident] {
        &self.0
    }
}

// === impl Incident ===

impl Incident {
    /// Whether it is of a series of these labels.
    fn is_of(&self, labels: &[(&str, &str)]) -> bool {
        self.selectors.is_empty() || self.selectors.iter().any(|selector| selector.matches(labels))
    }
}

fn of_csv(text: &str) -> Result<Vec<Incident>, IncidentsError> {
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut windows = Vec::new();
    for (number, row) in rows.records().enumerate() {
        let row = row?;
        let line = row.position().map_or(0, csv::Position::line);
        let wrong = || IncidentsError::Line { line, text: row.iter().collect::<Vec<_>>().join(",") };
        // Only what says that it is one is a header: a first incident that cannot be read must not pass for it.
        if number == 0 && row.get(0) == Some("start") && row.get(1) == Some("end") {
            continue;
        }
        // Nothing that counts from the moment at which the file happens to be read.
        let is_fixed = |text: &&str| *text != "now" && !text.starts_with('-');
        let moment =
            |at: usize| row.get(at).filter(is_fixed).and_then(|text| Moment::read(text, Moment(0)).ok());
        let (Some(Moment(from_ms)), Some(Moment(to_ms))) = (moment(0), moment(1)) else {
            return Err(wrong());
        };
        // A selector has commas of its own, which nobody need quote.
        let selector = row.iter().skip(2).collect::<Vec<_>>().join(",");
        let selectors = match selector.as_str() {
            "" => Vec::new(),
            text => vec![text.parse().map_err(|_| wrong())?],
        };
        if from_ms > to_ms {
            return Err(wrong());
        }
        windows.push(Incident { from_ms, to_ms, name: selector, selectors });
    }
    Ok(windows)
}

fn of_truth(truth: &Truth) -> Result<Vec<Incident>, IncidentsError> {
    let selector = |series: &String| series.parse().map_err(|_| IncidentsError::Series(series.clone()));
    let windows = truth.events.iter().map(|event| {
        Ok(Incident {
            name: format!("{} of {}", event.kind.name(), event.target),
            from_ms: event.start.saturating_mul(1_000),
            to_ms: event.end.saturating_mul(1_000),
            selectors: event.series.iter().map(selector).collect::<Result<_, _>>()?,
        })
    });
    windows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(incidents: &Incidents, labels: &[(&str, &str)]) -> Vec<[i64; 2]> {
        incidents.of(labels).map(|(_, incident)| [incident.from_ms, incident.to_ms]).collect()
    }

    #[test]
    fn incidents_are_of_all_series_or_of_some() {
        let quoted = "start,end,series\n10,20\n\n30,40.5,\"up{job=\"\"a\"\",x!=\"\"1\"\"}\"\n";
        let plain = "10,20\n30,40.5,up{job=\"a\",x!=\"1\"}\n";
        for text in [quoted, plain] {
            let incidents = Incidents::read(text.as_bytes()).unwrap();
            let of = |job| times(&incidents, &[("__name__", "up"), ("job", job)]);
            assert_eq!(of("a"), [[10_000, 20_000], [30_000, 40_500]]);
            assert_eq!(of("b"), [[10_000, 20_000]]);
        }
    }

    #[test]
    fn times_are_dates_or_seconds() {
        let incidents = Incidents::read(&b"1970-01-01T00:00:10Z,1970-01-01 00:00:20\n"[..]).unwrap();
        assert_eq!(times(&incidents, &[("__name__", "up")]), [[10_000, 20_000]]);
    }

    #[test]
    fn the_truth_of_synthetic_metrics_is_a_list_of_incidents() {
        let event = r#"{"id":0,"kind":"spike","channel":"cpu","target":"n","start":5,"end":6,"series":["up{job=\"a\"}"]}"#;
        let text =
            format!(r#"{{"seed":1,"instances":1,"start":0,"end":9,"forgotten":0,"events":[{event}]}}"#);
        let incidents = Incidents::read(text.as_bytes()).unwrap();
        assert_eq!(times(&incidents, &[("__name__", "up"), ("job", "a")]), [[5_000, 6_000]]);
        assert!(times(&incidents, &[("__name__", "down")]).is_empty());
    }

    #[test]
    fn a_line_that_says_nothing_is_told() {
        for wrong in ["10", "a,b", "yesterday,today\n1,2", "20,10", "1,2,{", "1,x", "-1d,now"] {
            let error = Incidents::read(wrong.as_bytes()).unwrap_err();
            assert!(matches!(error, IncidentsError::Line { .. }), "{wrong:?}: {error}");
        }
        assert!(matches!(Incidents::read(&b"{}"[..]).unwrap_err(), IncidentsError::Truth(_)));
    }
}
