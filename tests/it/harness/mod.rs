//! What every test against running processes stands on: processes that end with their test, free ports, readiness by
//! condition, servers that misbehave on demand, and a report of which real parts took part.

#[macro_use]
pub(crate) mod tools;
pub(crate) mod cpu;
pub(crate) mod dns;
pub(crate) mod examples;
pub(crate) mod fault;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod netns;
pub(crate) mod nginx;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod remote_write;
pub(crate) mod scratch;
pub(crate) mod scripted;
pub(crate) mod sidelong;

use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long a condition that should come may take on a busy machine. Never the thing measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until `ask` has an answer; the one place of all tests that waits by the clock.
///
/// Panics with `what` when [`PATIENCE`] is over.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "after {PATIENCE:?} still not so: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A loopback port that nothing listens on, from a range of this test process alone.
///
/// It lies below the ports that the kernel hands out by itself, so that no connection takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // A block of 200 ports by process id, between 12,000 and 32,000.
    let block = 12_000 + (std::process::id() % 100) as u16 * 200;
    loop {
        let port = block + NEXT.fetch_add(1, Ordering::Relaxed) % 200;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
