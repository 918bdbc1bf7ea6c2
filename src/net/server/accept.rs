//! Takes connections in, and lets them go.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::config::ServerConfig;
use super::connections::{Connections, Place};
use super::gate::Gate;
use super::io::Watched;
use super::metrics::{Closed, ListenerMetrics};
use super::{ConnectionId, ConnectionInfo, Door, Server};
use crate::net::body::BoxError;
use crate::net::web::WebGate;

/// How often connections are looked at for used-up time.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long accepting rests when there are no files left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Files kept out of the reach of connections: upstreams, reload, logs and what the runtime needs.
const RESERVED_FILES: u64 = 32;

/// The largest buffer of one connection: bodies are read in pieces of at most this.
const MAX_BUFFER: usize = 64 << 10;

/// Numbers the connections of all listeners.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Everything that the tasks of one listener share.
#[derive(Debug)]
struct Acceptor<S> {
    name: &'static str,
    config: Arc<ServerConfig>,
    metrics: Arc<ListenerMetrics>,
    web: Option<Arc<WebGate>>,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    door: S,
}

/// A file held back, to be given up for closing a connection when there are no files left.
#[derive(Debug)]
struct ReserveFile(Option<File>);

pub(super) async fn run<S, B>(server: Server, listener: TcpListener, door: S, shutdown: CancellationToken)
where
    S: Door<B>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let Server { name, config, metrics, web } = server;
    let metrics = metrics.of(name);
    let limit = connection_limit(config.max_connections, open_file_limit());
    let connections = Connections::new(limit, config.clone(), Arc::clone(&metrics));
    let tasks = TaskTracker::new();
    let acceptor = Acceptor { name, config: Arc::new(config), metrics, web, connections, tasks, door };
    acceptor.accept_until(listener, &shutdown).await;
    acceptor.drain().await;
}

/// Connections that a process with `open_files` files can serve: each may need one upstream as well.
fn connection_limit(configured: u32, open_files: Option<u64>) -> usize {
    let affordable = open_files.map_or(u64::MAX, |files| (files.saturating_sub(RESERVED_FILES) / 2).max(4));
    u64::from(configured.max(1)).min(affordable) as usize
}

/// The soft limit of open files, none if the system does not tell or sets none.
pub(crate) fn open_file_limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

// === impl Acceptor ===

impl<S> Acceptor<S> {
    /// Accepts until `shutdown`; the listener is closed on return.
    async fn accept_until<B>(&self, listener: TcpListener, shutdown: &CancellationToken)
    where
        S: Door<B>,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let mut reserve = ReserveFile::take();
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = sweep.tick() => self.connections.sweep(),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer),
                    Err(error) => self.accept_failed(&error, &listener, &mut reserve).await,
                },
            }
        }
    }

    fn admit<B>(&self, stream: TcpStream, peer: SocketAddr)
    where
        S: Door<B>,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        self.metrics.accepted.inc();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let Some(place) = self.connections.admit(id) else {
            self.metrics.closed(Closed::Shed);
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection was gone before it was served");
            return;
        }
        let gate = Gate {
            info: ConnectionInfo { id: ConnectionId(id), peer, listener: self.name },
            connection: Arc::clone(place.connection()),
            config: Arc::clone(&self.config),
            metrics: Arc::clone(&self.metrics),
            web: self.web.clone(),
        };
        let task = self.tasks.spawn(serve(stream, place, gate, self.door.clone()));
        self.connections.attach(id, task.abort_handle());
    }

    /// Rests after an error that the next accept would meet again.
    async fn accept_failed(&self, error: &io::Error, listener: &TcpListener, reserve: &mut ReserveFile) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        self.metrics.accept_errors.inc();
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return;
        }
        let shed = reserve.shed(listener).await;
        warn!(%error, shed, "cannot accept connections");
        for _ in 0..shed {
            self.metrics.closed(Closed::FileLimit);
        }
        tokio::time::sleep(ACCEPT_BACKOFF).await;
    }

    /// Lets requests in flight end, and cuts what is left after `drain_timeout`.
    async fn drain(self) {
        self.tasks.close();
        self.connections.close_gently();
        let drained = tokio::time::timeout(self.config.drain_timeout.into(), self.tasks.wait()).await;
        if drained.is_err() {
            warn!(listener = self.name, "cut the requests that outlasted drain_timeout");
            self.connections.cut();
            self.tasks.wait().await;
        }
    }
}

/// Serves one connection to its end.
async fn serve<S, B>(stream: TcpStream, place: Place, gate: Gate, door: S)
where
    S: Door<B>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let Some(tls) = gate.web.as_ref().and_then(|web| web.tls()) else {
        return serve_http(Watched::new(stream, place), gate, door).await;
    };
    // The sweep ends a handshake that takes longer than the first byte may.
    match TlsAcceptor::from(tls).accept(stream).await {
        Ok(stream) => serve_http(Watched::new(stream, place), gate, door).await,
        Err(error) => {
            gate.metrics.closed(Closed::Tls);
            debug!(%error, "a TLS handshake failed");
        }
    }
}

async fn serve_http<T, S, B>(io: Watched<T>, gate: Gate, door: S)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Door<B>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let close = gate.connection.close.clone();
    let mut http = http1::Builder::new();
    http.max_headers(usize::from(gate.config.max_headers))
        .max_header_size(gate.config.max_header_size.as_usize())
        .max_buf_size(MAX_BUFFER.max(gate.config.max_header_size.as_usize()))
        // The sweep ends slow connections; a timer for each request would cost more.
        .header_read_timeout(None);
    let pass = service_fn(move |request| {
        let (gate, door) = (gate.clone(), door.clone());
        async move { Ok::<_, std::convert::Infallible>(gate.pass(request, door).await) }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(io), pass).with_upgrades());
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = close.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

// === impl ReserveFile ===

impl ReserveFile {
    /// Opens the file; without one, connections wait in the backlog when files run out.
    fn take() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Gives the file up to accept and close what waits in the backlog, then takes it back. Clients learn
    /// at once that they are not served. Returns how many were closed.
    async fn shed(&mut self, listener: &TcpListener) -> usize {
        const AT_ONCE: usize = 64;
        if self.0.take().is_none() {
            *self = Self::take();
            return 0;
        }
        let mut shed = 0;
        while shed < AT_ONCE && matches!(now(listener.accept()).await, Some(Ok(_))) {
            shed += 1;
        }
        *self = Self::take();
        shed
    }
}

/// The output of `future` if it is there without waiting.
async fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f22_few_files_leave_room_for_upstreams_and_reload() {
        let check = |files, want| assert_eq!(connection_limit(512, files), want, "{files:?}");
        check(None, 512);
        check(Some(1 << 20), 512);
        check(Some(256), 112);
        check(Some(64), 16);
        check(Some(20), 4);
    }

    #[test]
    fn f22_the_limit_of_open_files_is_read_from_the_system() {
        assert!(open_file_limit().is_some_and(|files| files > 0));
    }

    #[tokio::test]
    async fn f22_without_files_waiting_clients_learn_at_once_that_they_are_not_served() {
        use tokio::io::AsyncReadExt;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        let mut reserve = ReserveFile::take();
        assert_eq!(reserve.shed(&listener).await, 2);
        assert!(reserve.0.is_some(), "the file is held back again");
        assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
    }
}
