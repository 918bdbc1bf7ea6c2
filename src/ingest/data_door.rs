//! The data listener: which door a request belongs to.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use parking_lot::RwLock;

use super::remote_write::PushDoor;
use super::scores_page;
use super::scrape::ScrapeDoor;
use super::tenant::scope_name;
use crate::admin::Health;
use crate::net::body::BoxBody;
use crate::pipeline::Pipeline;

/// The doors of one configuration.
#[derive(Debug)]
pub struct Doors {
    /// Takes remote write.
    pub push: PushDoor,
    /// Fetches pages.
    pub scrape: ScrapeDoor,
    /// Whether scores are read at `/scores`, there being no downstream.
    pub serves_scores: bool,
    /// The header that names the tenant.
    pub tenant_header: HeaderName,
}

/// The service of the data listener. A clone shares everything; a reload puts other doors in place while
/// requests that are under way keep theirs.
#[derive(Clone, Debug)]
pub struct DataDoor {
    doors: Arc<RwLock<Arc<Doors>>>,
    pipeline: Arc<Pipeline>,
    health: Health,
}

// === impl DataDoor ===

impl DataDoor {
    /// The listener's service, with the doors of the first configuration.
    pub fn new(doors: Doors, pipeline: Arc<Pipeline>, health: Health) -> Self {
        Self { doors: Arc::new(RwLock::new(Arc::new(doors))), pipeline, health }
    }

    /// Puts the doors of another configuration in place.
    pub fn replace(&self, doors: Doors) {
        *self.doors.write() = Arc::new(doors);
    }

    async fn answer(self, request: Request<Incoming>) -> Response<BoxBody> {
        let doors = Arc::clone(&self.doors.read());
        // A write request may come in absolute form, as through a proxy (H10); any other such request is the
        // pull door's (H9).
        let path = request.uri().path();
        let pushes = request.uri().authority().is_none() || request.method() == Method::POST;
        if pushes && PushDoor::takes(path) {
            return whole(doors.push.answer(request).await);
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if doors.scrape.takes(&request) {
            return doors.scrape.handle(request).await;
        }
        if let Some(answer) = self.health.answer(path).filter(|_| reads) {
            return answer.map(|body| body.map_err(|never| match never {}).boxed_unsync());
        }
        match path {
            "/scores" if reads && doors.serves_scores => self.scores(&request, &doors),
            "/scores" if reads => text(
                StatusCode::NOT_FOUND,
                "scores are sent to the downstream; /scores is there in loop-back mode, without a downstream\n",
            ),
            _ => text(
                StatusCode::NOT_FOUND,
                "there is nothing here; see /-/ready, and the README for the paths\n",
            ),
        }
    }

    fn scores(&self, request: &Request<Incoming>, doors: &Doors) -> Response<BoxBody> {
        let tenant = scope_name(request.headers().get(&doors.tenant_header));
        let scope = self.pipeline.scopes().find(&tenant);
        let scores = scope.map(|scope| self.pipeline.newest(&scope)).unwrap_or_default();
        let (format, families) = scores_page::families(request.headers(), &scores);
        doors.scrape.left_out(&families);
        whole(scores_page::page(format, families))
    }
}

impl tower::Service<Request<Incoming>> for DataDoor {
    type Response = Response<BoxBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // each door has its own limit of requests, and says 503 itself
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.answer(request).await) })
    }
}

fn whole(response: Response<Bytes>) -> Response<BoxBody> {
    response.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync())
}

fn text(status: StatusCode, text: &'static str) -> Response<BoxBody> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    whole(response)
}
