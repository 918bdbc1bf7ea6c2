//! What a past series is called.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::rules::{MatchOp, Matcher, Selector, SelectorError};
use crate::series::labels::METRIC_NAME;

/// A series by its labels, the metric name among them.
///
/// ```
/// use sidelong::backtest::Series;
///
/// let series: Series = r#"node_load1{instance="a"}"#.parse()?;
/// assert_eq!(series.metric_name(), "node_load1");
/// assert_eq!(series.to_string(), r#"node_load1{instance="a"}"#);
/// # Ok::<(), sidelong::backtest::SeriesError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series(BTreeMap<String, String>);

/// Why a text names no series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// It cannot be read.
    #[error(transparent)]
    Syntax(#[from] SelectorError),
    /// It selects many series instead of naming one.
    #[error("{0} selects series; name one by its labels with = only")]
    Selects(String),
}

// === impl Series ===

impl Series {
    /// The metric name; empty where the series has none.
    pub fn metric_name(&self) -> &str {
        self.0.get(METRIC_NAME).map_or("", String::as_str)
    }

    /// All labels, sorted by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether it is called nothing at all.
    pub fn is_nameless(&self) -> bool {
        self.0.is_empty()
    }

    /// This series with the labels of `base` that it lacks.
    #[must_use]
    pub fn on(mut self, base: &Self) -> Self {
        for (name, value) in base.labels() {
            self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        self
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Series {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(labels: I) -> Self {
        let filled = labels.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(filled.filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl FromStr for Series {
    type Err = SeriesError;

    fn from_str(text: &str) -> Result<Self, SeriesError> {
        let selector: Selector = text.parse()?;
        let names = |matcher: &Matcher| matcher.op() == MatchOp::Equal;
        if !selector.matchers().iter().all(names) {
            return Err(SeriesError::Selects(text.to_owned()));
        }
        Ok(selector.matchers().iter().map(|matcher| (matcher.label(), matcher.value())).collect())
    }
}

impl fmt::Display for Series {
    /// As PromQL spells it: what [`FromStr`] reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        f.write_str(name)?;
        let mut labels = self.labels().filter(|(label, _)| *label != METRIC_NAME).peekable();
        if labels.peek().is_none() {
            return if name.is_empty() { f.write_str("{}") } else { Ok(()) };
        }
        let mut between = "{";
        for (label, value) in labels {
            let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{between}{label}=\"{escaped}\"")?;
            between = ",";
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_read_back_as_it_is_written() {
        for text in ["node_load1", r#"up{instance="a:1",job="x"}"#, r#"{job="a\\b\"c\nd"}"#] {
            let series: Series = text.parse().unwrap();
            assert_eq!(series.to_string(), text);
        }
        assert_eq!(Series::default().to_string(), "{}");
    }

    #[test]
    fn what_selects_many_names_none() {
        let error = r#"up{job=~"a|b"}"#.parse::<Series>().unwrap_err();
        assert!(error.to_string().contains("with = only"), "{error}");
        assert!("up[5m]".parse::<Series>().is_err());
    }

    #[test]
    fn own_labels_stand_over_those_of_the_base() {
        let base: Series = r#"load{instance="a",job="x"}"#.parse().unwrap();
        let series: Series = r#"{instance="b"}"#.parse().unwrap();
        assert_eq!(series.on(&base).to_string(), r#"load{instance="b",job="x"}"#);
    }
}
