//! A downstream without a network: with sockets a stopped clock would run ahead of the answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Answer, DownstreamError};

/// Answers requests by a function, and remembers them. A clone is the same downstream.
#[derive(Clone)]
pub(super) struct Script {
    say: Arc<Mutex<Say>>,
    seen: watch::Sender<Vec<Seen>>,
}

/// A request as it came, and when.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What the script does with a request.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    answer: Option<Answer>,
    after: Duration,
}

type Say = Box<dyn FnMut(&Seen) -> Reply + Send>;

// === impl Script ===

impl Script {
    pub(super) fn new(say: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self { say: Arc::new(Mutex::new(Box::new(say))), seen: watch::Sender::default() }
    }

    /// Another function from the next request on.
    pub(super) fn set(&self, say: impl FnMut(&Seen) -> Reply + Send + 'static) {
        *self.say.lock() = Box::new(say);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until `wanted` holds of all requests so far, and gives them.
    pub(super) async fn until(&self, wanted: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let mut seen = self.seen.subscribe();
        seen.wait_for(|seen| wanted(seen)).await.expect("the script lives").clone()
    }

    pub(super) async fn answer(&self, headers: HeaderMap, body: Bytes) -> Result<Answer, DownstreamError> {
        let seen = Seen { at: Instant::now(), headers, body };
        let Reply { answer, after } = (self.say.lock())(&seen);
        self.seen.send_modify(|all| all.push(seen));
        if !after.is_zero() {
            sleep(after).await;
        }
        let lost = || DownstreamError::Cut("the script says so".into());
        answer.ok_or_else(lost)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

// === impl Seen ===

impl Seen {
    /// The value of a header, or "" without it.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

// === impl Reply ===

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::new() };
        Self { answer: Some(answer), after: Duration::ZERO }
    }

    /// The connection breaks.
    pub(super) fn lost() -> Self {
        Self { answer: None, after: Duration::ZERO }
    }

    /// With one header more.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.headers.insert(name, value.parse().expect("a header value"));
        }
        self
    }

    pub(super) fn text(mut self, text: &'static str) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.body = Bytes::from_static(text.as_bytes());
        }
        self
    }

    /// So much later.
    pub(super) fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }
}
