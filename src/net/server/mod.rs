//! One HTTP/1.1 listener: accepts, sheds, times out, hands requests to a service and drains.
//!
//! A connection passes these stages:
//!
//! - `accept`: the cap on connections (the longest-idle is closed first), file descriptors, `TCP_NODELAY`;
//! - TLS, where the web configuration asks for it;
//! - `io`: bytes are counted, so that `connections` knows what each connection waits for;
//! - `head`: what hyper would let pass is looked at byte by byte (request smuggling);
//! - `gate`: size of the head, form of the path, authentication; then the door's own service.
//!
//! HTTP/2 is not offered: Prometheus and vmagent push and scrape over HTTP/1.1 just as well.

mod accept;
mod config;
mod connections;
mod gate;
mod head;
mod io;
mod metrics;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use accept::open_file_limit;
pub use config::ServerConfig;
pub use metrics::ServerMetrics;

use crate::net::body::BoxError;
use crate::net::web::WebGate;

/// A number that no two connections of this process share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Where a request came in; an extension of every request that a service sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The connection: requests of one sender come in order on it.
    pub id: ConnectionId,
    /// The sender's address.
    pub peer: SocketAddr,
    /// The listener's name, `data` or `admin`.
    pub listener: &'static str,
}

/// A listener before it is started.
#[derive(Clone, Debug)]
pub struct Server {
    name: &'static str,
    config: ServerConfig,
    metrics: Arc<ServerMetrics>,
    web: Option<Arc<WebGate>>,
}

/// What a door has to be: an infallible tower service over hyper requests that is always ready.
pub trait Door<B>:
    tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S, B> Door<B> for S where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

// === impl Server ===

impl Server {
    /// A listener called `name` in metrics and logs.
    pub fn new(name: &'static str, config: ServerConfig, metrics: Arc<ServerMetrics>) -> Self {
        Self { name, config, metrics, web: None }
    }

    /// Asks clients for what `web` says: TLS, and a user name with its password.
    pub fn with_web(self, web: Arc<WebGate>) -> Self {
        Self { web: Some(web), ..self }
    }

    /// Serves `door` on `listener` until `shutdown` is cancelled, then drains.
    ///
    /// Draining means: no new connection, idle ones are closed, each request in flight gets its answer
    /// with `Connection: close`, and what is left after `drain_timeout` is cut. Returns when the last
    /// connection is gone.
    pub async fn serve<S, B>(self, listener: TcpListener, door: S, shutdown: CancellationToken)
    where
        S: Door<B>,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        accept::run(self, listener, door, shutdown).await;
    }
}

/// Binds `address` with a backlog that outlasts a burst of reconnecting senders.
///
/// # Errors
///
/// What the operating system says, an address in use among others.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests;
