//! Who is connected, what each connection waits for, and who has to go.
//!
//! A connection's state is a few atomics that its own task writes. One sweep a second looks at all of
//! them, so that no request pays for a timer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::ServerConfig;
use super::head::{Framing, HeadWatch};
use super::metrics::{Closed, ListenerMetrics};

/// What a connection is doing. The order is that of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Accepted; nothing has come yet.
    Fresh,
    /// A request has begun and its headers are not complete.
    Head,
    /// A request is with the service, or its answer on the way.
    Busy,
    /// Waits for its next request.
    Idle,
    /// Belongs to a CONNECT tunnel, whose own limits hold.
    Tunnel,
    /// Was told to close.
    Closing,
}

/// One connection, shared by its I/O, its service and the sweep.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    origin: Instant,
    phase: AtomicU8,
    /// Milliseconds from `origin` to the start of the phase.
    since: AtomicU64,
    /// Milliseconds from `origin` to the end of the last request, or to the accept.
    idle_since: AtomicU64,
    /// Milliseconds from `origin` to the request whose body is still coming, plus one; 0 if none is.
    coming_since: AtomicU64,
    /// Milliseconds from `origin` to when a write got stuck, plus one; 0 if none is.
    stuck_since: AtomicU64,
    /// Only the connection's own task takes it, once a read.
    head: Mutex<HeadWatch>,
    /// Ends the connection after the request in flight.
    pub(super) close: CancellationToken,
}

/// Frees the place of a connection when its last byte stream is dropped, a tunnel's included.
#[derive(Debug)]
pub(super) struct Place {
    connection: Arc<Connection>,
    connections: Arc<Connections>,
}

/// All connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    limit: usize,
    config: ServerConfig,
    metrics: Arc<ListenerMetrics>,
    origin: Instant,
    /// By connection number. Taken at accept, close and sweep only.
    open: Mutex<HashMap<u64, Entry>>,
}

#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    task: Option<AbortHandle>,
}

// === impl Connection ===

impl Connection {
    fn now(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }

    pub(super) fn phase(&self) -> Phase {
        const PHASES: [Phase; 6] =
            [Phase::Fresh, Phase::Head, Phase::Busy, Phase::Idle, Phase::Tunnel, Phase::Closing];
        PHASES[usize::from(self.phase.load(Ordering::Acquire)) % PHASES.len()]
    }

    /// Enters `phase` now, unless the connection was told to close.
    pub(super) fn enter(&self, phase: Phase) {
        let now = self.now();
        self.since.store(now, Ordering::Relaxed);
        if phase == Phase::Idle {
            self.idle_since.store(now, Ordering::Relaxed);
        }
        let entered = |old| (old != Phase::Closing as u8).then_some(phase as u8);
        // A closing connection stays so: the refusal to change it is the wanted outcome.
        self.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, entered).unwrap_or_default();
    }

    /// Takes note of bytes that came.
    pub(super) fn read(&self, bytes: &[u8]) {
        if matches!(self.phase(), Phase::Fresh | Phase::Idle) {
            self.enter(Phase::Head);
        }
        let mut head = self.head.lock();
        head.read(bytes);
        if self.coming_since.load(Ordering::Relaxed) > 0 && head.is_whole() {
            self.coming_since.store(0, Ordering::Relaxed);
        }
    }

    /// Enters [`Phase::Busy`] and says what was seen of the request's head; `length` as in
    /// [`HeadWatch::expect`].
    pub(super) fn request_begins(&self, length: Option<u64>) -> Framing {
        self.enter(Phase::Busy);
        let mut head = self.head.lock();
        head.expect(length);
        if !head.is_whole() {
            self.coming_since.store(self.now() + 1, Ordering::Relaxed);
        }
        head.framing()
    }

    /// Enters [`Phase::Idle`].
    pub(super) fn request_ends(&self) {
        self.coming_since.store(0, Ordering::Relaxed);
        self.head.lock().next();
        self.enter(Phase::Idle);
    }

    /// Notes whether a write could make no progress.
    pub(super) fn writes_stuck(&self, stuck: bool) {
        match (stuck, self.stuck_since.load(Ordering::Relaxed)) {
            (true, 0) => self.stuck_since.store(self.now() + 1, Ordering::Relaxed),
            (false, 1..) => self.stuck_since.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Why the connection has to go at `now`, if it has to.
    fn overdue(&self, now: u64, config: &ServerConfig) -> Option<Closed> {
        if self.phase() == Phase::Closing {
            return None;
        }
        let late = |since: u64, limit: Duration| now.saturating_sub(since) >= limit.as_millis() as u64;
        let stuck = self.stuck_since.load(Ordering::Relaxed);
        if stuck > 0 && late(stuck - 1, config.write_timeout.into()) {
            return Some(Closed::WriteTimeout);
        }
        let (limit, reason) = match self.phase() {
            Phase::Fresh => (config.first_byte_timeout, Closed::FirstByteTimeout),
            Phase::Head => (config.header_timeout, Closed::HeaderTimeout),
            Phase::Idle => (config.idle_timeout, Closed::IdleTimeout),
            Phase::Busy | Phase::Tunnel | Phase::Closing => return None,
        };
        late(self.since.load(Ordering::Relaxed), limit.into()).then_some(reason)
    }

    /// Since when no request has been in flight; none if one is.
    fn idle_since(&self) -> Option<u64> {
        match self.phase() {
            Phase::Fresh | Phase::Head | Phase::Idle => Some(self.idle_since.load(Ordering::Relaxed)),
            Phase::Busy | Phase::Tunnel | Phase::Closing => None,
        }
    }

    /// Since when the body of the request in flight has been coming; none if it is whole.
    fn coming_since(&self) -> Option<u64> {
        let since = self.coming_since.load(Ordering::Relaxed);
        (self.phase() == Phase::Busy && since > 0).then_some(since)
    }
}

// === impl Connections ===

impl Connections {
    pub(super) fn new(limit: usize, config: ServerConfig, metrics: Arc<ListenerMetrics>) -> Arc<Self> {
        metrics.connection_limit.set(limit as i64);
        Arc::new(Self { limit, config, metrics, origin: Instant::now(), open: Mutex::default() })
    }

    /// Takes a place for a new connection; at the limit the longest-idle connection gives way, and where none
    /// is idle the one whose request has been coming for the longest.
    ///
    /// None if every place is taken by a connection with a whole request in flight.
    pub(super) fn admit(self: &Arc<Self>, id: u64) -> Option<Place> {
        let mut open = self.open.lock();
        let held = open.values().filter(|entry| entry.connection.phase() != Phase::Closing).count();
        if held >= self.limit && !self.make_room(&open) {
            return None;
        }
        let now = self.origin.elapsed().as_millis() as u64;
        let connection = Arc::new(Connection {
            id,
            origin: self.origin,
            phase: AtomicU8::new(Phase::Fresh as u8),
            since: AtomicU64::new(now),
            idle_since: AtomicU64::new(now),
            coming_since: AtomicU64::new(0),
            stuck_since: AtomicU64::new(0),
            head: Mutex::default(),
            close: CancellationToken::new(),
        });
        open.insert(id, Entry { connection: Arc::clone(&connection), task: None });
        self.metrics.connections.set(open.len() as i64);
        Some(Place { connection, connections: Arc::clone(self) })
    }

    fn make_room(&self, open: &HashMap<u64, Entry>) -> bool {
        let longest = |since: fn(&Connection) -> Option<u64>| {
            let since = |entry: &Entry| Some((since(&entry.connection)?, entry.connection.id));
            open.values().filter_map(since).min().map(|(_, id)| &open[&id])
        };
        let idle = longest(Connection::idle_since).map(|entry| (entry, Closed::Evicted));
        let slow = || longest(Connection::coming_since).map(|entry| (entry, Closed::SlowBody));
        let Some((entry, reason)) = idle.or_else(slow) else { return false };
        self.end(entry, reason);
        true
    }

    /// Closes `entry` at once. One that is idle may finish a request that slipped in just now.
    fn end(&self, entry: &Entry, reason: Closed) {
        let connection = &entry.connection;
        let gently = reason == Closed::Evicted
            && connection.phase() == Phase::Idle
            && connection.stuck_since.load(Ordering::Relaxed) == 0;
        connection.enter(Phase::Closing);
        connection.close.cancel();
        // Asked gently, hyper would wait for the rest of a head or for a client that does not read.
        if !gently && let Some(task) = &entry.task {
            task.abort();
        }
        self.metrics.closed(reason);
    }

    /// Makes the task that serves connection `id` known, so that it can be ended.
    pub(super) fn attach(&self, id: u64, task: AbortHandle) {
        if let Some(entry) = self.open.lock().get_mut(&id) {
            entry.task = Some(task);
        }
    }

    /// Ends every connection that used up the time of its phase.
    pub(super) fn sweep(&self) {
        let now = self.origin.elapsed().as_millis() as u64;
        for entry in self.open.lock().values() {
            if let Some(reason) = entry.connection.overdue(now, &self.config) {
                self.end(entry, reason);
            }
        }
    }

    /// Asks every connection to end after its request in flight.
    pub(super) fn close_gently(&self) {
        for entry in self.open.lock().values() {
            match entry.connection.phase() {
                Phase::Busy | Phase::Idle => entry.connection.close.cancel(),
                _ => self.end(entry, Closed::Drained),
            }
        }
    }

    /// Cuts whatever is left.
    pub(super) fn cut(&self) {
        for entry in self.open.lock().values() {
            if let Some(task) = &entry.task {
                task.abort();
            }
            self.metrics.closed(Closed::Cut);
        }
    }
}

// === impl Place ===

impl Place {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.remove(&self.connection.id);
        self.connections.metrics.connections.set(open.len() as i64);
    }
}
