//! A small HTTP client, and a raw one for what a good client would not send.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whatever goes wrong on the way.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, or "" without it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

pub(crate) async fn get(url: &str) -> Result<Answer, Error> {
    send(Request::get(url).body(Full::default())?).await
}

pub(crate) async fn get_with(url: &str, headers: &[(&str, &str)]) -> Result<Answer, Error> {
    send(with(Request::get(url), headers).body(Full::default())?).await
}

pub(crate) async fn post(
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, Error> {
    send(with(Request::post(url), headers).body(Full::new(body.into()))?).await
}

/// A client that keeps its connections, for very many requests; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Kept(Client<HttpConnector, Full<Bytes>>);

// === impl Kept ===

impl Kept {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    pub(crate) async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, Error> {
        send_by(&self.0, with(Request::post(url), headers).body(Full::new(body.into()))?).await
    }
}

/// Writes `request` as it stands to `address` and reads until the peer closes.
pub(crate) async fn raw(address: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an answer all the same.
    let _reset = stream.read_to_end(&mut answer).await;
    answer
}

fn with(mut request: http::request::Builder, headers: &[(&str, &str)]) -> http::request::Builder {
    for (name, value) in headers {
        // Not as text: a header may hold what is none.
        request = request.header(*name, value.as_bytes());
    }
    request
}

/// On a connection of its own: tests that share one would share its fate.
async fn send(request: Request<Full<Bytes>>) -> Result<Answer, Error> {
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    send_by(&client, request).await
}

async fn send_by(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Error> {
    let (head, body) = client.request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}
