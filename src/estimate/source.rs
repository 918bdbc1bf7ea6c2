//! Where the series come from: a page of an exposition, or what a Prometheus holds now.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::census::Census;
use crate::backtest::source::{Api, ApiError};
use crate::batch::LabelSource;
use crate::wire::exposition::{Format, Page, PageError, PageLimits, Syntax};

/// The names of all series that a Prometheus holds now, asked for in pieces.
#[derive(Debug)]
pub struct Vectors {
    api: Api,
    /// Metric names that were not asked for yet, the last one first.
    names: Vec<String>,
    /// How many are asked for at a time.
    piece: usize,
}

/// Why series cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A page that cannot be read.
    #[error("it is no exposition in a text format")]
    Page(#[from] PageError),
    /// A page without a series.
    #[error("there is no series in it; give an exposition in a text format, or the URL of a Prometheus")]
    Empty,
    /// A Prometheus that does not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A value that is none.
    #[error("the answer holds {0:?}, which is no number")]
    NoNumber(String),
}

#[derive(Debug, Deserialize)]
struct Names {
    data: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Element>,
}

#[derive(Debug, Deserialize)]
struct Element {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
    histogram: Option<IgnoredAny>,
}

/// The longest page that is read.
const MAX_PAGE_BYTES: usize = 1 << 30;
/// Metric names that are asked for at a time, at first.
const PIECE: usize = 64;

/// Counts the series of a page, each with the labels `more`, and gives the number of lines that were not understood.
///
/// # Errors
///
/// A page that holds no series.
pub fn read_page(bytes: &[u8], more: &[(String, String)], census: &mut Census) -> Result<usize, SourceError> {
    let is_open_metrics = bytes.trim_ascii_end().ends_with(b"# EOF");
    let syntax = if is_open_metrics { Syntax::OpenMetrics } else { Syntax::Text };
    let mut page = Page::new();
    let limits = PageLimits { body_size: MAX_PAGE_BYTES, samples: usize::MAX };
    page.start(Format { syntax, utf8_names: true }, limits, 0, 0);
    page.push(bytes)?;
    page.finish()?;
    let batch = page.batch();
    for span in &batch.series {
        let mut labels: BTreeMap<String, String> = more.iter().cloned().collect();
        page.for_each_label(&span.labels, &mut |name, value| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            labels.insert(text(name), text(value));
        });
        let value = batch.samples_of(span).first().map_or(f64::NAN, |sample| sample.value);
        count(&labels, value, false, census);
    }
    if batch.series.is_empty() { Err(SourceError::Empty) } else { Ok(page.stats().lines_unparsed) }
}

fn count(labels: &BTreeMap<String, String>, value: f64, is_histogram: bool, census: &mut Census) {
    let labels: Vec<_> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    let labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    census.count(&labels, value, is_histogram);
}

// === impl Vectors ===

impl Vectors {
    /// Asks `api` for the names of its metrics.
    ///
    /// # Errors
    ///
    /// A server that does not answer as a Prometheus does.
    pub async fn open(api: Api) -> Result<Self, SourceError> {
        let (_, body) = api.get("/api/v1/label/__name__/values").await?;
        let Names { data: mut names } = serde_json::from_slice(&body).map_err(ApiError::from)?;
        names.reverse();
        Ok(Self { api, names, piece: PIECE })
    }

    /// Metric names that are still to be asked for.
    pub fn left(&self) -> usize {
        self.names.len()
    }

    /// Counts the series of some more names, each with the labels `more`. A piece that is too much for the server or
    /// for an answer is asked for in halves.
    ///
    /// # Errors
    ///
    /// A server that does not answer as a Prometheus does.
    pub async fn next(&mut self, more: &[(String, String)], census: &mut Census) -> Result<(), SourceError> {
        let from = self.names.len().saturating_sub(self.piece);
        match self.ask(&self.names[from..]).await {
            Ok(elements) => {
                self.names.truncate(from);
                elements.into_iter().try_for_each(|element| element.count(more, census))
            }
            Err(ApiError::TooLarge | ApiError::Refused { .. }) if self.names.len() - from > 1 => {
                self.piece = ((self.names.len() - from) / 2).max(1);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn ask(&self, names: &[String]) -> Result<Vec<Element>, ApiError> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("query", &selector(names));
        let body = self.api.post("/api/v1/query", form.finish()).await?;
        let answer: Answer = serde_json::from_slice(&body)?;
        Ok(answer.data.result)
    }
}

/// The selector of all series with these names.
fn selector(names: &[String]) -> String {
    let escaped = |name: &String| {
        let mut text = String::new();
        for letter in name.chars() {
            if r"\.+*?()|[]{}^$".contains(letter) {
                text.push('\\');
            }
            text.push(letter);
        }
        text
    };
    let names: Vec<String> = names.iter().map(escaped).collect();
    format!("{{__name__=~\"{}\"}}", names.join("|").replace('\\', "\\\\").replace('"', "\\\""))
}

// === impl Element ===

impl Element {
    fn count(mut self, more: &[(String, String)], census: &mut Census) -> Result<(), SourceError> {
        let number = |text: String| text.parse().map_err(|_| SourceError::NoNumber(text));
        let value = self.value.map_or(Ok(f64::NAN), |(_, text)| number(text))?;
        for (name, value) in more {
            self.metric.entry(name.clone()).or_insert_with(|| value.clone());
        }
        count(&self.metric, value, self.histogram.is_some(), census);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_as_they_are_whatever_letters_they_have() {
        let names = ["up", "a.b", "q\"\\"].map(String::from);
        assert_eq!(selector(&names), r#"{__name__=~"up|a\\.b|q\"\\\\"}"#);
    }
}
