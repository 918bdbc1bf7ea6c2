//! PromQL series selectors: `node_load1`, `{__name__=~"node_.*",job="x"}`, `http_requests_total{code!~"2.."}`.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

/// The label that holds the metric name.
pub const NAME: &str = "__name__";

/// The largest selector text, in bytes.
pub const MAX_SELECTOR_BYTES: usize = 16 << 10;

/// The largest compiled regular expression, in bytes of the `regex` crate's program.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// How deep groups of a regular expression may nest.
const MAX_REGEX_DEPTH: u32 = 64;

/// Selects series by their labels; all matchers must match.
///
/// As in Prometheus, a label that a series does not have is the empty text, a regular expression is
/// anchored at both ends and its dot matches line feeds too, and a selector that matches series
/// without any label is refused. One difference to Go's syntax remains: `\d`, `\w` and `\s` also take
/// the digits, letters and spaces beyond ASCII.
///
/// ```
/// use sidelong::rules::Selector;
///
/// let selector: Selector = r#"node_cpu_seconds_total{mode!="idle"}"#.parse()?;
/// assert!(selector.matches(&[("__name__", "node_cpu_seconds_total"), ("mode", "user")]));
/// assert_eq!(selector.to_string(), r#"node_cpu_seconds_total{mode!="idle"}"#);
/// # Ok::<(), sidelong::rules::SelectorError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    matchers: Vec<Matcher>,
}

/// One comparison of a label's value.
#[derive(Clone, Debug)]
pub struct Matcher {
    label: String,
    op: MatchOp,
    value: String,
    /// The anchored expression of `=~` and `!~`.
    regex: Option<Regex>,
}

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// Why a text is not a selector. Positions count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Something else was expected here.
    #[error("at position {at}: expected {wanted}, found {found}")]
    Unexpected {
        /// Where.
        at: usize,
        /// What could stand here.
        wanted: &'static str,
        /// What stands here.
        found: String,
    },
    /// A range or other part of PromQL that selects samples rather than series.
    #[error(
        "at position {at}: {found} is more than a series selector; write only a metric name and \
         matchers, such as http_requests_total{{code=\"500\"}}"
    )]
    NotASelector {
        /// Where.
        at: usize,
        /// What stands here.
        found: String,
    },
    /// A quoted text has no end.
    #[error("at position {at}: the quoted text that begins here has no end")]
    UnterminatedString {
        /// Where the quote stands.
        at: usize,
    },
    /// A backslash is followed by something that Go's string syntax does not know.
    #[error("at position {at}: unknown escape; write a backslash as \\\\")]
    BadEscape {
        /// Where the backslash stands.
        at: usize,
    },
    /// The metric name is given before the braces and again inside.
    #[error("at position {at}: the metric name is set twice")]
    NameTwice {
        /// Where the second stands.
        at: usize,
    },
    /// The regular expression is malformed or too large.
    #[error("at position {at}: the regular expression {pattern:?} is not usable: {reason}")]
    BadRegex {
        /// Where it stands.
        at: usize,
        /// The expression.
        pattern: String,
        /// One line of explanation.
        reason: String,
    },
    /// Every matcher also matches the empty text.
    #[error(
        "the selector {selector} would match every series; give a metric name or one matcher that does \
         not match the empty text, such as {{__name__=~\".+\"}}"
    )]
    MatchesEverything {
        /// The selector.
        selector: String,
    },
    /// The text is longer than [`MAX_SELECTOR_BYTES`].
    #[error("the selector has {bytes} bytes, more than {MAX_SELECTOR_BYTES}; split it into several")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

// === impl Selector ===

impl Selector {
    /// Joins matchers; refuses those that would match series without labels.
    fn try_new(matchers: Vec<Matcher>) -> Result<Self, SelectorError> {
        let selector = Self { matchers };
        if selector.matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(SelectorError::MatchesEverything { selector: selector.to_string() });
        }
        Ok(selector)
    }

    /// Whether the series with these labels is selected. `labels` may be in any order.
    pub fn matches(&self, labels: &[(&str, &str)]) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(value_of(labels, &matcher.label)))
    }

    /// Whether some series of this metric name could be selected, whatever its other labels.
    pub fn may_match_name(&self, name: &str) -> bool {
        self.matchers.iter().filter(|matcher| matcher.label == NAME).all(|matcher| matcher.matches(name))
    }

    /// Whether nothing but the metric name decides.
    pub fn is_name_only(&self) -> bool {
        self.matchers.iter().all(|matcher| matcher.label == NAME)
    }

    /// The matchers in the order they were written.
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        parse::selector(text)
    }
}

impl fmt::Display for Selector {
    /// Writes what [`FromStr`] reads back to the same selector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = match self.matchers.split_first() {
            Some((first, rest)) if first.is_plain_name() => {
                f.write_str(&first.value)?;
                if rest.is_empty() {
                    return Ok(());
                }
                rest
            }
            _ => &self.matchers,
        };
        f.write_str("{")?;
        for (at, matcher) in rest.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            matcher.fmt(f)?;
        }
        f.write_str("}")
    }
}

fn value_of<'a>(labels: &[(&str, &'a str)], name: &str) -> &'a str {
    labels.iter().find(|(label, _)| *label == name).map_or("", |(_, value)| value)
}

// === impl Matcher ===

impl Matcher {
    /// Compares `label` with `value`, a regular expression where `op` says so; `at` is for the error.
    fn try_new(label: String, op: MatchOp, value: String, at: usize) -> Result<Self, SelectorError> {
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(anchored(&value, at)?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Self { label, op, value, regex })
    }

    /// Whether a label of this value passes; an absent label is the empty text.
    pub fn matches(&self, value: &str) -> bool {
        let found = self.regex.as_ref().map_or(self.value == value, |regex| regex.is_match(value));
        match self.op {
            MatchOp::Equal | MatchOp::Regex => found,
            MatchOp::NotEqual | MatchOp::NotRegex => !found,
        }
    }

    /// The label that is compared.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How it is compared.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value, or the expression as it was written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether this is a metric name that can stand before the braces.
    fn is_plain_name(&self) -> bool {
        self.label == NAME && self.op == MatchOp::Equal && parse::is_metric_name(&self.value)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.label, self.op, &self.value) == (&other.label, other.op, &other.value)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if parse::is_label_name(&self.label) {
            f.write_str(&self.label)?;
        } else {
            write_quoted(f, &self.label)?;
        }
        f.write_str(self.op.as_str())?;
        write_quoted(f, &self.value)
    }
}

fn anchored(pattern: &str, at: usize) -> Result<Regex, SelectorError> {
    let compile = |pattern: &str| {
        RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).nest_limit(MAX_REGEX_DEPTH).build()
    };
    // Alone first: `a)|(b` is no expression, but would be one between our own parentheses.
    compile(pattern).and_then(|_| compile(&format!("^(?s:{pattern})$"))).map_err(|error| {
        SelectorError::BadRegex { at, pattern: pattern.to_owned(), reason: one_line(&error) }
    })
}

/// The regex crate draws its errors over several lines; the last says what is wrong.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or(&text);
    last.trim_start_matches("error: ").to_owned()
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

// === impl MatchOp ===

impl MatchOp {
    /// The operator as PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}
