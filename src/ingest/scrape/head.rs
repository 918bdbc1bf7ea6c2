//! The heads of what goes upstream and of what goes back (H5, P10).

use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, EXPECT, HOST,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::net::headers::{HOP, strip_hop_by_hop};
use crate::wire::exposition::{Format, Syntax, accepts_gzip, preferred};

/// How long the scraper waits, in seconds (P1).
pub(super) const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// The part of the scraper's time that is left for everything after the upstream.
const MARGIN_PART: u32 = 10;
/// The most time that is left so.
const MAX_MARGIN: Duration = Duration::from_millis(500);
/// Headers that speak of the very bytes of a body, which do not hold once scores are appended.
const OF_EXACT_BYTES: [HeaderName; 7] = [
    CONTENT_LENGTH,
    ETAG,
    AGE,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// How the bytes of an answer are treated, by what its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    /// Anything else, `GZIP` among it, which Prometheus does not take for gzip (P7).
    Unknown,
}

/// The times of one scrape, measured from its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// When the upstream must be done.
    pub(super) upstream: Duration,
    /// When the scraper gives up.
    pub(super) scraper: Duration,
}

// === impl Times ===

impl Times {
    /// What the scraper says, at most `longest`; else `default`. The upstream gets a tenth less (P10).
    pub(super) fn of(headers: &HeaderMap, default: Duration, longest: Duration) -> Self {
        let named =
            headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
        let named = named.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let scraper = named.filter(|time| !time.is_zero()).unwrap_or(default).min(longest);
        Self { upstream: scraper - (scraper / MARGIN_PART).min(MAX_MARGIN), scraper }
    }
}

/// The headers of the request to the upstream: the scraper's own but for what is ours to say.
pub(super) fn upstream_headers(
    scraper: &HeaderMap,
    own: &HeaderMap,
    times: Times,
    instance: &HeaderValue,
) -> HeaderMap {
    let mut headers = scraper.clone();
    strip_hop_by_hop(&mut headers);
    for name in [HOST, CONTENT_LENGTH, CONTENT_TYPE, EXPECT] {
        headers.remove(name);
    }
    headers.insert(ACCEPT_ENCODING, encoding_to_ask(scraper));
    if headers.contains_key(SCRAPE_TIMEOUT) {
        // A decimal number is a header value.
        if let Ok(value) = HeaderValue::from_str(&times.upstream.as_secs_f64().to_string()) {
            headers.insert(SCRAPE_TIMEOUT, value);
        }
    }
    for (name, value) in own {
        headers.insert(name, value.clone());
    }
    headers.append(HOP, instance.clone());
    headers
}

/// The format and coding of an answer; no format if its page passes unscored.
pub(super) fn format_of(headers: &HeaderMap) -> (Option<Format>, Coding) {
    let format = headers.get(CONTENT_TYPE).and_then(|value| Format::from_content_type(value.to_str().ok()?));
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = match (codings.next().map(HeaderValue::as_bytes), codings.next()) {
        (None | Some(b"identity" | b""), None) => Coding::Identity,
        (Some(b"gzip"), None) => Coding::Gzip,
        _ => Coding::Unknown,
    };
    (format, coding)
}

/// Takes back what the head of an answer says of exact bytes, since scores may follow them (H6).
pub(super) fn forget_exact_bytes(headers: &mut HeaderMap) {
    for name in &OF_EXACT_BYTES {
        headers.remove(name);
    }
}

/// gzip where the scraper takes it; OpenMetrics must end in a line that no second member could follow.
fn encoding_to_ask(scraper: &HeaderMap) -> HeaderValue {
    let values = |name| scraper.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let openmetrics = preferred(values(ACCEPT)).is_some_and(|format| format.syntax == Syntax::OpenMetrics);
    let gzip = accepts_gzip(values(ACCEPT_ENCODING)) && !openmetrics;
    HeaderValue::from_static(if gzip { "gzip" } else { "identity" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::headers::is_loop;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn p10_the_upstream_gets_less_than_the_scraper_has() {
        let check = |value: Option<&'static str>, upstream: u64, scraper: u64| {
            let headers = value
                .map_or_else(HeaderMap::new, |value| map(&[("x-prometheus-scrape-timeout-seconds", value)]));
            let times = Times::of(&headers, Duration::from_secs(10), Duration::from_secs(60));
            let want =
                Times { upstream: Duration::from_millis(upstream), scraper: Duration::from_millis(scraper) };
            assert_eq!(times, want, "{value:?}");
        };
        check(None, 9_500, 10_000);
        check(Some("0.5"), 450, 500);
        check(Some("30"), 29_500, 30_000);
        check(Some("300"), 59_500, 60_000);
        for nonsense in ["", "-1", "0", "NaN", "inf", "soon", "1e300"] {
            check(Some(nonsense), 9_500, 10_000);
        }
    }

    #[test]
    fn h5_the_upstream_sees_the_scrapers_headers_but_for_those_of_the_hop() {
        let scraper = map(&[
            ("accept", "text/plain"),
            ("accept-encoding", "gzip"),
            ("user-agent", "Prometheus/3.16"),
            ("x-prometheus-scrape-timeout-seconds", "10"),
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("connection", "x-private"),
            ("x-private", "1"),
            ("host", "sidelong:10990"),
            ("x-token", "theirs"),
            ("sidelong-hop", "other"),
        ]);
        let times = Times { upstream: Duration::from_millis(9500), scraper: Duration::from_secs(10) };
        let own = map(&[("x-token", "ours")]);
        let got = upstream_headers(&scraper, &own, times, &HeaderValue::from_static("me"));
        let want = map(&[
            ("accept", "text/plain"),
            ("accept-encoding", "gzip"),
            ("user-agent", "Prometheus/3.16"),
            ("x-prometheus-scrape-timeout-seconds", "9.5"),
            ("x-token", "ours"),
            ("sidelong-hop", "other"),
            ("sidelong-hop", "me"),
        ]);
        assert_eq!(got, want);
    }

    #[test]
    fn openmetrics_is_asked_for_as_identity() {
        let check = |accept, encoding, want: &str| {
            let headers = map(&[("accept", accept), ("accept-encoding", encoding)]);
            assert_eq!(encoding_to_ask(&headers), want, "{accept} {encoding}");
        };
        check("text/plain", "gzip", "gzip");
        check("text/plain", "identity", "identity");
        check("application/openmetrics-text,text/plain;q=0.5", "gzip", "identity");
        check("application/vnd.google.protobuf,application/openmetrics-text;q=0.5", "gzip", "gzip");
    }

    #[test]
    fn f37_a_request_that_comes_back_is_a_loop() {
        let check = |hops: &[(&'static str, &'static str)], want| {
            assert_eq!(is_loop(&map(hops), &HeaderValue::from_static("me")), want, "{hops:?}");
        };
        check(&[], false);
        check(&[("sidelong-hop", "other")], false);
        check(&[("sidelong-hop", "other"), ("sidelong-hop", "me")], true);
        check(&[("sidelong-hop", "other, me")], true);
        check(&[("sidelong-hop", "a,b,c,d,e,f,g,h")], true);
    }

    #[test]
    fn p7_only_the_literal_gzip_is_gzip() {
        let check =
            |headers: &[(&'static str, &'static str)], want| assert_eq!(format_of(&map(headers)).1, want);
        check(&[], Coding::Identity);
        check(&[("content-encoding", "gzip")], Coding::Gzip);
        check(&[("content-encoding", "GZIP")], Coding::Unknown);
        check(&[("content-encoding", "zstd")], Coding::Unknown);
        check(&[("content-encoding", "gzip"), ("content-encoding", "gzip")], Coding::Unknown);
    }
}
