//! Loop-back mode: Sidelong is the receiver, and all of a receiver's duties are its own.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::refusal::Refusal;
use crate::config::sections::Limits;
use crate::forward::{Answer, Version};
use crate::ingest::Desk;
use crate::wire::compression::{Cap, decompress_snappy};
use crate::wire::remote_write::receive::{self, Written};

/// Receives `body` as the end of the line: checks all of it and says what was taken (R6 to R24); and whether
/// any sample was.
pub(super) fn receive(
    version: Version,
    body: &[u8],
    limits: &Limits,
    now_ms: i64,
    desk: &mut Desk,
) -> Result<(Answer, bool), Refusal> {
    let cap = Cap { bytes: limits.max_decoded_size.as_usize(), ratio: limits.max_decoded_ratio as usize };
    decompress_snappy(body, cap, &mut desk.raw)
        .map_err(|error| if error.is_limit() { Refusal::Length(error) } else { Refusal::Snappy(error) })?;
    let latest_ms = now_ms.saturating_add(limits.max_future.as_millis() as i64);
    let received = match version {
        Version::V1 => receive::v1(&desk.raw, 0, &limits.elements, latest_ms, &mut desk.batch),
        Version::V2 => {
            receive::v2(&desk.raw, 0, &limits.elements, latest_ms, &mut desk.symbols, &mut desk.batch)
        }
    };
    let receipt = received.map_err(|error| Refusal::Content(error.to_string()))?;
    let mut headers = HeaderMap::new();
    if version == Version::V2 {
        say_written(&mut headers, &receipt.written);
    }
    let Some(reason) = receipt.reason() else {
        return Ok((Answer { status: StatusCode::NO_CONTENT, headers, body: Default::default() }, true));
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let answer = Answer { status: StatusCode::BAD_REQUEST, headers, body: reason.into() };
    Ok((answer, receipt.written.samples > 0))
}

/// R9: the three headers of a 2.0 answer, whatever its status.
pub(super) fn say_written(headers: &mut HeaderMap, written: &Written) {
    let counts = [
        ("x-prometheus-remote-write-samples-written", written.samples),
        ("x-prometheus-remote-write-histograms-written", written.histograms),
        ("x-prometheus-remote-write-exemplars-written", written.exemplars),
    ];
    for (name, count) in counts {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(count));
    }
}
