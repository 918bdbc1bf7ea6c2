//! Which series a MetricsQL expression judges, where it is no more than a selector or its rate.

use crate::config::units::PromDuration;
use crate::rules::Selector;

/// What an expression that can be translated says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) selector: Selector,
    /// Whether it asks for the rate.
    pub(super) is_rate: bool,
    /// The seconds by which values must be divided to be per second: 1 but for `increase`.
    pub(super) seconds: f64,
}

/// The functions that are a counter's rate.
const RATES: [&str; 3] = ["rate", "irate", "increase"];

/// Functions that join several series.
const AGGREGATIONS: [&str; 13] = [
    "sum", "avg", "min", "max", "count", "quantile", "topk", "bottomk", "stddev", "stdvar", "median", "any",
    "group",
];

/// Reads `selector`, `rate(selector[5m])` or `increase(selector[5m])`; else says why not.
pub(super) fn judged(expr: &str) -> Result<Judged, String> {
    let expr = unwrapped(expr.trim());
    if let Ok(selector) = expr.parse() {
        return Ok(Judged { selector, is_rate: false, seconds: 1.0 });
    }
    match call(expr) {
        Some((function, inside)) if RATES.contains(&function) => rate(function, inside.trim()),
        Some((function, _)) => Err(why_not(function)),
        None => Err(reason_without_call(expr)),
    }
}

fn rate(function: &str, inside: &str) -> Result<Judged, String> {
    let (selector, window) = inside
        .strip_suffix(']')
        .and_then(|inside| inside.rsplit_once('['))
        // MetricsQL may leave the window out.
        .map_or((inside, None), |(selector, window)| (selector, Some(window)));
    let selector = selector.parse().map_err(|_| format!("{function}() of more than a series selector"))?;
    let window = match window {
        Some(window) if window.contains(':') => return Err("a subquery".to_owned()),
        Some(window) => {
            Some(window.parse::<PromDuration>().map_err(|_| format!("{window:?} is not a plain duration"))?)
        }
        None => None,
    };
    let seconds = match (function, window) {
        ("increase", Some(window)) => window.get().as_secs_f64(),
        ("increase", None) => return Err("increase() without a window".to_owned()),
        _ => 1.0,
    };
    Ok(Judged { selector, is_rate: true, seconds })
}

fn why_not(function: &str) -> String {
    if AGGREGATIONS.contains(&function) {
        format!("{function}() joins several series; Sidelong judges each series alone")
    } else {
        format!("{function}() has no counterpart; record it as a series of its own and select that")
    }
}

fn reason_without_call(expr: &str) -> String {
    let aggregation = AGGREGATIONS
        .iter()
        .find(|name| expr.strip_prefix(**name).is_some_and(|rest| rest.starts_with([' ', '('])));
    match aggregation {
        Some(name) => why_not(name),
        None => "more than a series selector or its rate; record it as a series of its own and select that"
            .to_owned(),
    }
}

/// `name(inside)`, where that is the whole expression.
fn call(expr: &str) -> Option<(&str, &str)> {
    let (name, rest) = expr.split_once('(')?;
    let inside = rest.strip_suffix(')')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && is_balanced(inside)).then_some((name, inside))
}

/// The expression without parentheses around the whole of it.
fn unwrapped(expr: &str) -> &str {
    match expr.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inside) if is_balanced(inside) => unwrapped(inside.trim()),
        _ => expr,
    }
}

/// Whether every parenthesis outside of quotes is closed in here.
fn is_balanced(text: &str) -> bool {
    let (mut depth, mut quote, mut escaped) = (0i32, None, false);
    for c in text.chars() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}
