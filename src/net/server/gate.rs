//! What every request passes before its door sees it: framing, size and form of the target.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::ServiceExt;

use super::config::ServerConfig;
use super::connections::{Connection, Phase};
use super::head::Framing;
use super::metrics::{ListenerMetrics, Refused};
use super::{ConnectionInfo, Door};
use crate::net::web::WebGate;

/// The gate of one connection.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) info: ConnectionInfo,
    pub(super) connection: Arc<Connection>,
    pub(super) config: Arc<ServerConfig>,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) web: Option<Arc<WebGate>>,
}

/// The body of an answer; tells the connection when the request is over.
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: AnswerBody<B>,
    _request: InFlight,
}

#[derive(Debug)]
enum AnswerBody<B> {
    Door(B),
    /// The text of a refusal.
    Own(Option<Bytes>),
}

/// A request from its head to the end of its answer.
#[derive(Debug)]
struct InFlight {
    connection: Arc<Connection>,
    /// Whether the connection now is a tunnel and no longer ours.
    tunnel: bool,
}

/// Why a request goes no further.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("the request says the length of its body in more than one way")]
    AmbiguousFraming,
    #[error("a chunked request must not be pipelined behind another one")]
    PipelinedChunked,
    #[error("the request target is longer than {0} bytes (max_uri_length)")]
    UriTooLong(u64),
    #[error("the path must begin with a slash and have no empty, dot or encoded-slash segment")]
    Path,
}

// === impl Gate ===

impl Gate {
    /// Checks `request`, hands it to `door` and marks the answer with the configured headers.
    pub(super) async fn pass<S, B>(self, request: Request<Incoming>, door: S) -> Response<Answer<B>>
    where
        S: Door<B>,
    {
        let web = self.web.clone();
        let mut answer = self.answer(request, door).await;
        if let Some(web) = web {
            web.add_headers(&mut answer);
        }
        answer
    }

    async fn answer<S, B>(self, mut request: Request<Incoming>, door: S) -> Response<Answer<B>>
    where
        S: Door<B>,
    {
        let framing = self.connection.request_begins(body_length(request.headers()));
        let mut in_flight = InFlight { connection: Arc::clone(&self.connection), tunnel: false };
        if let Err(refusal) = self.check(framing, &request) {
            self.metrics.refused(refusal.metric());
            return refusal.answer().map(|text| Answer::own(text, in_flight));
        }
        // Before credentials, which are dear to check.
        if let Some(refusal) = self.web.as_ref().and_then(|web| web.limit_rate()) {
            self.metrics.refused(Refused::RateLimit);
            return refusal.map(|text| Answer::own(text, in_flight));
        }
        // Before a byte of the body is read (safety B-17).
        if let Some(web) = &self.web
            && let Err(refusal) = web.authorize(&mut request).await
        {
            self.metrics.refused(Refused::Unauthorized);
            return refusal.map(|text| Answer::own(text, in_flight));
        }
        request.extensions_mut().insert(self.info);
        let connect = request.method() == Method::CONNECT;
        let answer = match door.oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        in_flight.tunnel =
            answer.status() == StatusCode::SWITCHING_PROTOCOLS || (connect && answer.status().is_success());
        answer.map(|body| Answer { body: AnswerBody::Door(body), _request: in_flight })
    }

    fn check<T>(&self, framing: Framing, request: &Request<T>) -> Result<(), Refusal> {
        match framing {
            Framing::Ambiguous => return Err(Refusal::AmbiguousFraming),
            Framing::Unseen if request.headers().contains_key(TRANSFER_ENCODING) => {
                return Err(Refusal::PipelinedChunked);
            }
            Framing::Plain | Framing::Unseen => {}
        }
        let limit = self.config.max_uri_length.as_bytes();
        if target_len(request.uri()) as u64 > limit {
            return Err(Refusal::UriTooLong(limit));
        }
        // The path of an absolute-form target is another server's business.
        if request.uri().authority().is_none() && !is_canonical(request.uri().path()) {
            return Err(Refusal::Path);
        }
        Ok(())
    }
}

/// The length of a request target as it was sent.
fn target_len(uri: &Uri) -> usize {
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    scheme + authority + uri.path_and_query().map_or(0, |path| path.as_str().len())
}

/// Whether `path` can be read in one way only, so that authentication and routing see the same
/// (safety B-16). `*` is the target of `OPTIONS *`.
fn is_canonical(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else { return path == "*" };
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let empty = segment.is_empty() && segments.peek().is_some();
        if empty || is_dots(segment) || has_encoded_slash(segment) {
            return false;
        }
    }
    true
}

/// Whether `segment` is `.` or `..`, with either dot percent-encoded.
fn is_dots(segment: &str) -> bool {
    // The common case first: no segment of ours starts with a dot or an escape.
    if !segment.starts_with(['.', '%']) {
        return false;
    }
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    plain == "." || plain == ".."
}

fn has_encoded_slash(segment: &str) -> bool {
    segment.as_bytes().windows(3).any(|escape| {
        escape.eq_ignore_ascii_case(b"%2f") || escape.eq_ignore_ascii_case(b"%5c") || escape == b"%00"
    })
}

/// The declared length of a request's body, none if it is chunked.
fn body_length(headers: &HeaderMap) -> Option<u64> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    (!chunked).then_some(declared.unwrap_or(0))
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.tunnel {
            self.connection.enter(Phase::Tunnel);
        } else {
            self.connection.request_ends();
        }
    }
}

// === impl Answer ===

impl<B> Answer<B> {
    fn own(text: Bytes, in_flight: InFlight) -> Self {
        Self { body: AnswerBody::Own(Some(text)), _request: in_flight }
    }
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.body {
            AnswerBody::Door(body) => Pin::new(body).poll_frame(cx),
            AnswerBody::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            AnswerBody::Door(body) => body.is_end_stream(),
            AnswerBody::Own(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            AnswerBody::Door(body) => body.size_hint(),
            AnswerBody::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::AmbiguousFraming | Self::PipelinedChunked | Self::Path => StatusCode::BAD_REQUEST,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
        }
    }

    fn metric(&self) -> Refused {
        match self {
            Self::AmbiguousFraming | Self::PipelinedChunked => Refused::Framing,
            Self::UriTooLong(_) => Refused::UriLength,
            Self::Path => Refused::Path,
        }
    }

    /// Says why, and ends the connection: what follows on it cannot be trusted.
    fn answer(&self) -> Response<Bytes> {
        let mut answer = Response::new(Bytes::from(format!("{self}\n")));
        *answer.status_mut() = self.status();
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b16_a_path_has_one_reading_only() {
        let check = |path, want| assert_eq!(is_canonical(path), want, "{path}");
        for good in
            ["/", "*", "/api/v1/write", "/scrape/node", "/api/v1/write/", "/a.b/..c", "/%41", "/-/ready"]
        {
            check(good, true);
        }
        for bad in [
            "",
            "api",
            "//",
            "//api",
            "/api//v1",
            "/..",
            "/a/../b",
            "/a/.",
            "/./a",
            "/%2e%2e/a",
            "/.%2E/a",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%00",
        ] {
            check(bad, false);
        }
    }
}
