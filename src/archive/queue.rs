//! Batches that the corridor has heard, on their way to the archive.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::metrics::{Lost, Metrics};
use crate::inject::{Heard, Keep};
use crate::series::Scope;

/// A bounded queue that nobody waits to put something into: what is full gives up its oldest batch.
#[derive(Debug)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    max_bytes: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Waiting {
    sheets: VecDeque<Sheet>,
    bytes: usize,
    closed: bool,
}

/// What was heard in one batch.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) scope: Arc<Scope>,
    pub(super) heard: Vec<Heard>,
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Next {
    Sheet(Sheet),
    /// The time is up.
    Due,
    /// Nothing comes any more.
    Closed,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(max_bytes: usize, metrics: Arc<Metrics>) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), max_bytes, metrics }
    }

    /// The next batch, for which it waits no longer than `until`.
    pub(super) fn next(&self, until: Instant) -> Next {
        let mut waiting = self.waiting.lock();
        loop {
            // A queue that never runs dry must not keep the archive from its hours.
            if Instant::now() >= until {
                return Next::Due;
            }
            if let Some(sheet) = waiting.sheets.pop_front() {
                waiting.bytes -= sheet.bytes();
                return Next::Sheet(sheet);
            }
            if waiting.closed {
                return Next::Closed;
            }
            self.changed.wait_until(&mut waiting, until);
        }
    }

    /// Bytes of batches that wait.
    pub(super) fn bytes(&self) -> usize {
        self.waiting.lock().bytes
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }
}

impl Keep for Queue {
    fn keep(&self, scope: &Arc<Scope>, heard: Vec<Heard>) {
        let sheet = Sheet { scope: Arc::clone(scope), heard };
        let mut given_up = Vec::new(); // freed behind the lock
        {
            let mut waiting = self.waiting.lock();
            waiting.bytes += sheet.bytes();
            waiting.sheets.push_back(sheet);
            while waiting.bytes > self.max_bytes {
                let Some(oldest) = waiting.sheets.pop_front() else { break };
                waiting.bytes -= oldest.bytes();
                given_up.push(oldest);
            }
        }
        self.changed.notify_one();
        let samples: usize = given_up.iter().map(|sheet| sheet.heard.len()).sum();
        self.metrics.lost(Lost::QueueFull, samples as u64);
    }
}

// === impl Sheet ===

impl Sheet {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.heard.capacity() * size_of::<Heard>()
    }
}
