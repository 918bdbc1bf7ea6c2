//! `/scores`: the newest scores, for Prometheus to scrape where no downstream takes them (loop-back mode).

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};

use crate::inject::ScoreSample;
use crate::wire::exposition::{EOF, Format, Page, PageLimits, Room, ScoreFamilies, Syntax, preferred};

/// The page of `scores` in the format that `request` asks for. Every score carries the timestamp of the
/// sample that it judges, so the scrape job sets `track_timestamps_staleness: true`.
pub(super) fn page(request: &HeaderMap, scores: &[ScoreSample]) -> Response<bytes::Bytes> {
    let accept = request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let syntax = preferred(accept).unwrap_or(Syntax::Text);
    let mut empty = Page::new();
    // No score was scraped at this time, so each is written with its own.
    let never = i64::MIN;
    empty.start(Format { syntax, utf8_names: false }, PageLimits { body_size: 0, samples: 0 }, 0, never);
    let mut body = ScoreFamilies::render(scores, &empty, Room::ENDLESS).bytes;
    if syntax == Syntax::OpenMetrics {
        body.extend_from_slice(EOF);
        body.push(b'\n');
    }
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, content_type(syntax));
    response
}

fn content_type(syntax: Syntax) -> HeaderValue {
    HeaderValue::from_static(match syntax {
        Syntax::Text => "text/plain; version=0.0.4; charset=utf-8",
        Syntax::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        Syntax::Protobuf => {
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
        }
    })
}
