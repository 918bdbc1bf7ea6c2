//! Our own metrics as a page: OpenMetrics for who asks for it, plain text for everybody else.

use std::borrow::Cow;
use std::fmt;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, VARY};
use http::{HeaderMap, HeaderValue};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page and its headers.
pub(super) fn answer(
    registry: &Registry,
    headers: &HeaderMap,
) -> Result<([(HeaderName, HeaderValue); 2], String), fmt::Error> {
    let mut page = String::with_capacity(32 << 10);
    encode(&mut page, registry)?;
    let vary = (VARY, HeaderValue::from_static("accept"));
    if takes_open_metrics(headers) {
        return Ok(([(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS)), vary], page));
    }
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(TEXT)), vary], as_text(&page)))
}

fn takes_open_metrics(headers: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("application/openmetrics-text"))
    };
    headers.get_all(ACCEPT).iter().any(named)
}

/// The page in the older format: a counter's family is named as its sample, and there is no end mark.
fn as_text(page: &str) -> String {
    let counters: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(page.len());
    for line in page.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        text.push_str(&text_line(line, &counters));
        text.push('\n');
    }
    text
}

fn text_line<'a>(line: &'a str, counters: &[&str]) -> Cow<'a, str> {
    for keyword in ["# TYPE ", "# HELP "] {
        let Some((name, rest)) = line.strip_prefix(keyword).and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        if counters.contains(&name) {
            return format!("{keyword}{name}_total {rest}").into();
        }
    }
    // An exemplar has no place in the older format.
    line.split_once(" # ").map_or(Cow::Borrowed(line), |(sample, _)| sample.into())
}

/// The series on a page of metrics. Ours has at most 500, whatever came in (safety B-21).
pub fn count_series(page: &str) -> usize {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    fn page(accept: &'static str) -> (String, String) {
        let mut registry = Registry::default();
        let counter = Counter::<u64>::default();
        counter.inc();
        registry.register("things", "Things seen", counter);
        registry.register("level", "Level", Gauge::<i64>::default());
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        let ([(_, kind), _], page) = answer(&registry, &headers).unwrap();
        (kind.to_str().unwrap().to_owned(), page)
    }

    #[test]
    fn open_metrics_is_for_who_asks() {
        let (kind, page) = page("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1");
        assert_eq!(kind, OPEN_METRICS);
        assert!(
            page.contains("# TYPE things counter\nthings_total 1\n") && page.ends_with("# EOF\n"),
            "{page}"
        );
    }

    #[test]
    fn everybody_else_gets_the_older_text() {
        let (kind, page) = page("*/*");
        assert_eq!(kind, TEXT);
        let want = "# HELP things_total Things seen.\n# TYPE things_total counter\nthings_total 1\n\
                    # HELP level Level.\n# TYPE level gauge\nlevel 0\n";
        assert_eq!(page, want);
        assert_eq!(count_series(&page), 2);
    }
}
