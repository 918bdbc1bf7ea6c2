//! What an answer to a score request means.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use super::super::{Answer, Version};

/// The longest that a `Retry-After` is believed.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What to do after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The scores are where they belong.
    Written,
    /// The downstream does not speak this version (F8, F9).
    OtherVersion,
    /// The user's limits are reached: scores give way.
    Limited(Option<Duration>),
    /// All at once is too much for it; less may not be (T6).
    TooLarge,
    /// It may work later (F2).
    Later(Option<Duration>),
    /// It never will.
    Refused,
}

/// The meaning of `answer` to a request of `version`.
pub(super) fn meaning(answer: &Answer, version: Version) -> Meaning {
    let wait = retry_after(&answer.headers);
    match answer.status {
        status if status.is_success() => match version {
            Version::V2 if !says_written(&answer.headers) => Meaning::OtherVersion,
            _ => Meaning::Written,
        },
        StatusCode::UNSUPPORTED_MEDIA_TYPE if version == Version::V2 => Meaning::OtherVersion,
        StatusCode::PAYLOAD_TOO_LARGE => Meaning::TooLarge,
        StatusCode::TOO_MANY_REQUESTS => Meaning::Limited(wait),
        status if status.is_server_error() => Meaning::Later(wait),
        status if status.is_client_error() && speaks_of_limit(&answer.body) => Meaning::Limited(wait),
        _ => Meaning::Refused,
    }
}

/// Whether the downstream refused a *sample* for a limit, so that scores must give way; and for how long.
pub(crate) fn limited(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Option<Duration>> {
    let limited =
        status == StatusCode::TOO_MANY_REQUESTS || (status.is_client_error() && speaks_of_limit(body));
    limited.then(|| retry_after(headers))
}

/// A 2.0 receiver says how much it has written; one of 1.0 that decoded nothing does not.
fn says_written(headers: &HeaderMap) -> bool {
    headers.contains_key("x-prometheus-remote-write-samples-written")
}

/// Receivers have no common code for a user's limits: Mimir answers 400 or 429, Thanos 413, and all of
/// them say "limit" (`per-user series limit`, `max-series`). A 413 for scores is first taken at its word.
fn speaks_of_limit(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&body[..body.len().min(1_024)]).to_ascii_lowercase();
    ["limit", "max-series", "max_series", "quota"].iter().any(|word| text.contains(word))
}

/// What of an answer's body is worth a line in the log: as it is, but not all of it (F7, B-20).
pub(super) fn excerpt(body: &[u8]) -> String {
    const SHOWN: usize = 256;
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() { shown + "..." } else { shown }
}

/// `Retry-After` in seconds or as an HTTP date (F4); a past date says nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok()?,
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn answer(status: u16, header: Option<(&'static str, &str)>, body: &'static str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers, body: body.into() }
    }

    #[test]
    fn every_status_has_one_meaning() {
        let written = ("x-prometheus-remote-write-samples-written", "3");
        let check = |status, header, body, version, want| {
            assert_eq!(meaning(&answer(status, header, body), version), want, "{status} {body}");
        };
        let wait = |seconds| Some(Duration::from_secs(seconds));
        check(204, None, "", Version::V1, Meaning::Written);
        check(202, None, "", Version::V1, Meaning::Written);
        check(204, Some(written), "", Version::V2, Meaning::Written);
        check(204, None, "", Version::V2, Meaning::OtherVersion);
        check(415, None, "", Version::V2, Meaning::OtherVersion);
        check(415, None, "", Version::V1, Meaning::Refused);
        check(429, Some(("retry-after", "7")), "", Version::V1, Meaning::Limited(wait(7)));
        check(400, None, "per-user series limit of 5 exceeded", Version::V1, Meaning::Limited(None));
        check(400, None, "out of order sample", Version::V1, Meaning::Refused);
        for status in [500, 502, 503, 504, 529] {
            check(status, Some(("retry-after", "2")), "", Version::V1, Meaning::Later(wait(2)));
        }
        check(413, None, "the limit is 1 MB", Version::V1, Meaning::TooLarge);
        check(413, None, "", Version::V2, Meaning::TooLarge);
        for status in [300, 401, 404, 409] {
            check(status, None, "", Version::V1, Meaning::Refused);
        }
    }

    #[test]
    fn b20_a_line_of_the_log_holds_a_part_of_an_answer() {
        assert_eq!(excerpt(b"out of order"), "out of order");
        assert_eq!(excerpt("ä".repeat(70_000).as_bytes()), "ä".repeat(256) + "...");
        assert_eq!(excerpt(&[b'x'; 256]), "x".repeat(256));
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn f4_a_past_date_says_nothing_and_a_far_one_is_cut() {
        let wait = |value| retry_after(&answer(503, Some(("retry-after", value)), "").headers);
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("999999"), Some(LONGEST));
    }
}
