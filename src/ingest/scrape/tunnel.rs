//! Tunnels (CONNECT): bytes pass unseen, so nothing in them is scored (H2, H3).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::metrics::ScrapeMetrics;

/// Time for a connection to the other end.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a tunnel holds while it is open.
pub(super) struct Tunnel {
    pub(super) idle_timeout: Duration,
    pub(super) shutdown: CancellationToken,
    pub(super) metrics: ScrapeMetrics,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A stream that notes when bytes last moved.
struct Watched<S> {
    stream: S,
    moved: Arc<Mutex<Instant>>,
}

/// Connects to the first of `addresses` that answers.
pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

// === impl Tunnel ===

impl Tunnel {
    /// Carries bytes both ways until an end closes, both fall silent, or we shut down.
    pub(super) async fn run(self, client: OnUpgrade, target: TcpStream) {
        self.metrics.tunnels.inc();
        if let Ok(client) = client.await {
            let moved = Arc::new(Mutex::new(Instant::now()));
            let mut near = Watched { stream: TokioIo::new(client), moved: Arc::clone(&moved) };
            let mut far = Watched { stream: target, moved: Arc::clone(&moved) };
            // However a tunnel ends, its ends have seen it themselves.
            tokio::select! {
                _ended = copy_bidirectional(&mut near, &mut far) => {}
                () = silence(&moved, self.idle_timeout) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
        self.metrics.tunnels.dec();
    }
}

/// Ends once nothing has moved for `limit`.
async fn silence(moved: &Mutex<Instant>, limit: Duration) {
    loop {
        let until = *moved.lock() + limit;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

// === impl Watched ===

impl<S> Watched<S> {
    fn note<T>(&self, poll: Poll<T>) -> Poll<T> {
        if poll.is_ready() {
            *self.moved.lock() = Instant::now();
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.note(poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
