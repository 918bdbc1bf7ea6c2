//! A context is for some series, never for all of them.

use crate::rules::{Selector, SelectorError};

/// Why a selector is not taken for a context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooWide {
    /// It cannot be read.
    #[error("the selector {0:?} cannot be read: {1}")]
    Unreadable(String, SelectorError),
    /// It would take whatever comes.
    #[error(
        "the selector {0} would take nearly every series: a context silences what it is for. Name a metric or a label's value, \
         such as {{job=\"db\"}}"
    )]
    Everything(String),
}

/// Values that have nothing in common: what takes all of them takes whatever comes.
const WHATEVER: [&str; 6] = ["node_load1", "up", "zq7", "kube_pod_info", "http:requests:rate5m", "mx_a"];

/// The selector in `text`, if it narrows: one of its matchers says what a value is, not what it is not.
///
/// # Errors
///
/// What is wrong with it.
pub fn narrow(text: &str) -> Result<Selector, TooWide> {
    let selector: Selector = text.parse().map_err(|error| TooWide::Unreadable(text.to_owned(), error))?;
    let narrows = selector
        .matchers()
        .iter()
        .any(|matcher| !matcher.matches("") && WHATEVER.iter().any(|value| !matcher.matches(value)));
    if narrows { Ok(selector) } else { Err(TooWide::Everything(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_that_takes_nearly_everything_is_none_for_a_context() {
        for text in [
            "{__name__=~\".+\"}",
            "{__name__!=\"\"}",
            "{__name__=~\"[a-z].*\"}",
            "{job=~\".+\"}",
            "{job!=\"\",__name__=~\".*.\"}",
            "{__name__=~\".+\",job!=\"db\"}",
            "{__name__=~\".+\",job=\"\"}",
            "{__name__=~\".+\",job!~\"a|b\"}",
        ] {
            assert_eq!(narrow(text), Err(TooWide::Everything(text.to_owned())), "{text}");
        }
        assert!(matches!(narrow("{}"), Err(TooWide::Unreadable(..))));
        assert!(matches!(narrow(""), Err(TooWide::Unreadable(..))));
    }

    #[test]
    fn a_selector_that_names_something_is_taken() {
        for text in ["up", "{job=\"db\"}", "{__name__=~\"node_.*\"}", "{__name__=~\".+\",env=~\"stag.*\"}"] {
            assert_eq!(narrow(text).map(|selector| selector.to_string()).as_deref(), Ok(text));
        }
    }
}
