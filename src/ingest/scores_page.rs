//! `/scores`: the newest scores, for Prometheus to scrape where no downstream takes them (loop-back mode).

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};

use crate::inject::ScoreSample;
use crate::wire::exposition::{EOF, Format, Page, PageLimits, Room, ScoreFamilies, Syntax, preferred};

/// The families of `scores` in the format that `request` asks for. Every score carries the timestamp of the
/// sample that it judges, so the scrape job sets `track_timestamps_staleness: true`.
pub(super) fn families(request: &HeaderMap, scores: &[ScoreSample]) -> (Format, ScoreFamilies) {
    let accept = request.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = preferred(accept).unwrap_or(Format { syntax: Syntax::Text, utf8_names: false });
    let mut empty = Page::new();
    // No score was scraped at this time, so each is written with its own.
    let never = i64::MIN;
    empty.start(format, PageLimits { body_size: 0, samples: 0 }, 0, never);
    (format, ScoreFamilies::render(scores, &empty, Room::ENDLESS))
}

/// The page of `families`, which are spelled in `format`.
pub(super) fn page(format: Format, families: ScoreFamilies) -> Response<bytes::Bytes> {
    let mut body = families.bytes;
    if format.syntax == Syntax::OpenMetrics {
        body.extend_from_slice(EOF);
        body.push(b'\n');
    }
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    response
}
