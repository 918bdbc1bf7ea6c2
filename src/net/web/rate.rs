//! How often requests may come (`rate_limit`).

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;

use super::config::WebConfigError;
use crate::config::units::PromDuration;

/// A token bucket before both listeners together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// The time in which one more request is allowed. Default: `0s`, no limit.
    pub interval: PromDuration,
    /// Requests that may come at once. Default: 0; at least 1 where there is an interval.
    pub burst: u32,
}

/// A token bucket, told by the moment at which it is full again.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    /// What the bucket holds, as the time in which it fills.
    room: Duration,
    full_at: Mutex<Instant>,
}

// === impl RateLimit ===

impl RateLimit {
    /// None where nothing is limited.
    pub(super) fn new(config: RateLimitConfig) -> Result<Option<Self>, WebConfigError> {
        let interval = config.interval.get();
        match (interval.is_zero(), config.burst) {
            (true, _) => Ok(None),
            (false, 0) => Err(WebConfigError::NoBurst),
            (false, burst) => {
                let room = interval.saturating_mul(burst);
                Ok(Some(Self { interval, room, full_at: Mutex::new(Instant::now()) }))
            }
        }
    }

    /// So many requests a second, as many of them at once; none where that is 0, and nothing is limited.
    pub(crate) fn per_second(requests: u32) -> Option<Self> {
        let room = Duration::from_secs(1);
        let interval = room.checked_div(requests)?;
        Some(Self { interval, room, full_at: Mutex::new(Instant::now()) })
    }

    /// Whether one more request may pass now.
    pub(crate) fn allows(&self) -> bool {
        self.has_room_at(Instant::now())
    }

    fn has_room_at(&self, now: Instant) -> bool {
        let mut full_at = self.full_at.lock();
        // How long filling takes once this request has its token.
        let missing = full_at.saturating_duration_since(now) + self.interval;
        if missing > self.room {
            return false;
        }
        *full_at = now + missing;
        true
    }
}

/// A 503 and not a 429, after which Prometheus drops a write request (decision 0008).
pub(super) fn refuse() -> Response<Bytes> {
    let text = "more requests than rate_limit of the web configuration allows; send fewer or raise it\n";
    let mut answer = Response::new(Bytes::from_static(text.as_bytes()));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_request_an_interval() {
        let config = RateLimitConfig { interval: PromDuration::from_secs(2), burst: 3 };
        let limit = RateLimit::new(config).unwrap().unwrap();
        let start = Instant::now();
        let at = |seconds: f64| limit.has_room_at(start + Duration::from_secs_f64(seconds));
        assert_eq!([at(1.0), at(1.0), at(1.0), at(1.0)], [true, true, true, false]);
        assert_eq!([at(2.9), at(3.0), at(3.0), at(5.5), at(5.5)], [false, true, false, true, false]);
        assert_eq!([at(99.0), at(99.0), at(99.0), at(99.0)], [true, true, true, false]);
    }

    #[test]
    fn so_many_requests_pass_in_a_second() {
        assert!(RateLimit::per_second(0).is_none());
        let limit = RateLimit::per_second(4).unwrap();
        let start = Instant::now() + Duration::from_secs(1);
        let passed = |seconds: f64| {
            let at = start + Duration::from_secs_f64(seconds);
            (0..9).filter(|_| limit.has_room_at(at)).count()
        };
        assert_eq!([passed(0.0), passed(0.5), passed(9.0)], [4, 2, 4]);
    }

    #[test]
    fn without_an_interval_nothing_is_limited_and_with_one_there_is_a_burst() {
        assert!(RateLimit::new(RateLimitConfig::default()).unwrap().is_none());
        let none_at_once = RateLimitConfig { interval: PromDuration::from_secs(1), burst: 0 };
        assert!(matches!(RateLimit::new(none_at_once), Err(WebConfigError::NoBurst)));
    }
}
