//! Connections that wait for their next request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::Authority;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection::Connection;

/// Which connections may carry a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tls: bool,
    authority: Authority,
    /// The address that the caller resolved and checked, where it did.
    pub(super) address: Option<SocketAddr>,
}

/// Idle connections by where they lead.
#[derive(Debug)]
pub(super) struct Pool {
    idle_timeout: Duration,
    max_idle_per_host: usize,
    /// The newest connection of each host is the last.
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
    reaping: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

// === impl Key ===

impl Key {
    pub(super) fn new(tls: bool, authority: Authority) -> Self {
        Self { tls, authority, address: None }
    }

    /// Host and port as in the URL.
    pub(super) fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// The host alone, an IPv6 address without its brackets.
    pub(super) fn name(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls { 443 } else { 80 })
    }
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(idle_timeout: Duration, max_idle_per_host: usize) -> Arc<Self> {
        Arc::new(Self {
            idle_timeout,
            max_idle_per_host,
            idle: Mutex::default(),
            reaping: AtomicBool::new(false),
        })
    }

    /// The most recently used connection for `key` that its peer has not closed yet.
    pub(super) async fn take(&self, key: &Key) -> Option<Box<Connection>> {
        std::future::poll_fn(|cx| {
            while let Some(mut idle) = self.pop(key) {
                if idle.since.elapsed() < self.idle_timeout && idle.connection.poll_usable(cx) {
                    return Poll::Ready(Some(idle.connection));
                }
            }
            Poll::Ready(None)
        })
        .await
    }

    fn pop(&self, key: &Key) -> Option<Idle> {
        self.idle.lock().get_mut(key)?.pop()
    }

    /// Keeps `connection` if its last exchange is complete and the peer keeps it open.
    pub(super) fn put(self: &Arc<Self>, key: &Key, mut connection: Box<Connection>, cx: &mut Context<'_>) {
        if connection.poll_drive(cx).is_ready() {
            return;
        }
        let idle = Idle { connection, since: Instant::now() };
        let mut hosts = self.idle.lock();
        match hosts.get_mut(key) {
            // The oldest gives way; it is the most likely to be closed by its peer soon.
            Some(kept) if kept.len() >= self.max_idle_per_host => {
                kept.remove(0);
                kept.push(idle);
            }
            Some(kept) => kept.push(idle),
            None => {
                hosts.insert(key.clone(), vec![idle]);
            }
        }
        drop(hosts);
        self.reap_later();
    }

    /// Starts the task that closes what nobody came back for.
    fn reap_later(self: &Arc<Self>) {
        if !self.reaping.swap(true, Ordering::Relaxed) {
            tokio::spawn(reap(Arc::downgrade(self), self.idle_timeout));
        }
    }

    fn close_expired(&self) {
        self.idle.lock().retain(|_, kept| {
            kept.retain(|idle| idle.since.elapsed() < self.idle_timeout);
            !kept.is_empty()
        });
    }
}

/// Ends with the pool.
async fn reap(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match pool.upgrade() {
            Some(pool) => pool.close_expired(),
            None => return,
        }
    }
}
