//! Labelled windows: when something is known to have been wrong with a series.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::backtest::source::milliseconds;

/// A stretch of time in which something was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledWindow {
    /// Its first moment, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Its last moment.
    pub end_ms: i64,
    /// What was wrong; may be empty.
    pub kind: String,
}

/// A file of labelled windows, in one of the formats that are known.
#[derive(Clone, Debug)]
pub enum Labels {
    /// `start,end` or `start,end,kind` in each line, in seconds or milliseconds: windows of every series.
    Csv(Vec<LabelledWindow>),
    /// By the name of a file: windows as pairs of first and last second.
    ByFile(BTreeMap<String, Vec<LabelledWindow>>),
    /// What `sidelong synth write` says that it injected, by series.
    Events(Vec<Event>),
}

/// Why a file of labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The file itself.
    #[error("cannot read the labels")]
    Read(#[source] io::Error),
    /// A line that is no window.
    #[error("line {line} of the labels is not start,end or start,end,kind in Unix seconds: {text:?}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The line, cut short.
        text: String,
    },
    /// JSON of another shape.
    #[error(
        "the labels are neither a mapping of file names to windows nor what sidelong synth write leaves: {0}"
    )]
    Json(#[source] serde_json::Error),
    /// Labels of other files.
    #[error("the labels have no entry for {0}; they name files, and its path must end as one of them")]
    NoEntry(String),
}

/// An anomaly that was injected.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    kind: String,
    /// The first second of it, and the first after it.
    start: i64,
    end: i64,
    /// Every series it changes.
    series: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Events {
    events: Vec<Event>,
}

/// What stands under a file's name.
#[derive(Debug, Deserialize)]
struct Entry {
    windows: Vec<[f64; 2]>,
}

// === impl Labels ===

impl Labels {
    /// Reads the file at `path`: JSON where it begins as such, else CSV.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or holds something else.
    pub fn load(path: &Path) -> Result<Self, LabelsError> {
        Self::parse(&fs::read_to_string(path).map_err(LabelsError::Read)?)
    }

    fn parse(text: &str) -> Result<Self, LabelsError> {
        if !text.trim_start().starts_with('{') {
            return csv(text).map(Self::Csv);
        }
        if let Ok(Events { events }) = serde_json::from_str(text) {
            return Ok(Self::Events(events));
        }
        let entries: BTreeMap<String, Entry> = serde_json::from_str(text).map_err(LabelsError::Json)?;
        let windows = |entry: Entry| entry.windows.into_iter().map(LabelledWindow::of_seconds).collect();
        Ok(Self::ByFile(entries.into_iter().map(|(name, entry)| (name, windows(entry))).collect()))
    }

    /// The windows of the series called `series` that came from `input`, in order of time.
    ///
    /// # Errors
    ///
    /// Labels by file that do not know this one.
    pub fn windows(&self, input: &str, series: &str) -> Result<Vec<LabelledWindow>, LabelsError> {
        let mut windows = match self {
            Self::Csv(windows) => windows.clone(),
            Self::ByFile(entries) => by_file(entries, input)?,
            Self::Events(events) => of_series(events, series),
        };
        windows.sort_by_key(|window| (window.start_ms, window.end_ms));
        Ok(windows)
    }
}

fn csv(text: &str) -> Result<Vec<LabelledWindow>, LabelsError> {
    let mut windows = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match window(line) {
            Some(window) => windows.push(window),
            None if at == 0 => {} // a header
            None => {
                let text = line.chars().take(60).collect();
                return Err(LabelsError::Line { line: at + 1, text });
            }
        }
    }
    Ok(windows)
}

fn window(line: &str) -> Option<LabelledWindow> {
    let mut fields = line.splitn(3, ',').map(str::trim);
    let mut moment = || fields.next()?.parse().ok().filter(|time: &f64| time.is_finite()).map(milliseconds);
    let (start_ms, end_ms) = (moment()?, moment()?);
    let kind = fields.next().unwrap_or_default().to_owned();
    (start_ms <= end_ms).then_some(LabelledWindow { start_ms, end_ms, kind })
}

/// The entry whose name the path of the file ends with; the longest, where several do.
fn by_file(
    entries: &BTreeMap<String, Vec<LabelledWindow>>,
    input: &str,
) -> Result<Vec<LabelledWindow>, LabelsError> {
    let is_of = |name: &&String| Path::new(input).ends_with(name);
    let name = entries.keys().filter(is_of).max_by_key(|name| name.len());
    let windows = name.and_then(|name| entries.get(name));
    windows.cloned().ok_or_else(|| LabelsError::NoEntry(input.to_owned()))
}

/// What was injected into `series`. An event ends before its last second.
fn of_series(events: &[Event], series: &str) -> Vec<LabelledWindow> {
    let struck = events.iter().filter(|event| event.series.iter().any(|name| name == series));
    let window = |event: &Event| LabelledWindow {
        start_ms: event.start * 1_000,
        end_ms: event.end * 1_000 - 1,
        kind: event.kind.clone(),
    };
    struck.map(window).collect()
}

// === impl LabelledWindow ===

impl LabelledWindow {
    fn of_seconds([start, end]: [f64; 2]) -> Self {
        Self { start_ms: milliseconds(start), end_ms: milliseconds(end), kind: String::new() }
    }

    /// Whether the moment lies in it.
    pub fn holds(&self, at_ms: i64) -> bool {
        (self.start_ms..=self.end_ms).contains(&at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(labels: &str, input: &str) -> Vec<(i64, i64)> {
        let windows = Labels::parse(labels).unwrap().windows(input, "").unwrap();
        windows.iter().map(|window| (window.start_ms, window.end_ms)).collect()
    }

    #[test]
    fn lines_are_windows_with_or_without_a_kind() {
        let labels = "start,end,kind\n200,300,level shift, at night\n100,150\n";
        assert_eq!(spans(labels, "x.csv"), [(100_000, 150_000), (200_000, 300_000)]);
        let windows = Labels::parse(labels).unwrap().windows("", "").unwrap();
        assert_eq!(windows[1].kind, "level shift, at night");
        let error = Labels::parse("1,2\n3,x\n").unwrap_err().to_string();
        assert_eq!(error, "line 2 of the labels is not start,end or start,end,kind in Unix seconds: \"3,x\"");
        assert!(Labels::parse("1,2\n3,2\n").is_err(), "an end before its start");
    }

    #[test]
    fn an_entry_is_found_by_how_the_path_ends() {
        let labels =
            r#"{"a/x.csv": {"step": 60, "windows": [[1, 2]]}, "x.csv": {"windows": [[3, 4], [0, 1]]}}"#;
        assert_eq!(spans(labels, "/data/a/x.csv"), [(1_000, 2_000)]);
        assert_eq!(spans(labels, "x.csv"), [(0, 1_000), (3_000, 4_000)]);
        let error = Labels::parse(labels).unwrap().windows("/data/ax.cs", "").unwrap_err();
        assert!(error.to_string().contains("no entry for /data/ax.cs"), "{error}");
    }

    #[test]
    fn the_truth_of_the_synthetic_fleet_is_told_by_series() {
        let labels = r#"{"seed": 1, "instances": 1, "start": 0, "end": 99, "forgotten": 0, "events": [
            {"id": 0, "kind": "spike", "channel": "cpu", "target": "n", "start": 5, "end": 7, "series": ["up{a=\"b\"}"]}]}"#;
        let labels = Labels::parse(labels).unwrap();
        let windows = labels.windows("", "up{a=\"b\"}").unwrap();
        assert_eq!(
            (windows[0].start_ms, windows[0].end_ms, windows[0].kind.as_str()),
            (5_000, 6_999, "spike")
        );
        assert!(labels.windows("", "up").unwrap().is_empty());
    }
}
