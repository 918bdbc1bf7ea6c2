//! How many series of a workload are anomalous: there even when single scores are not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;

use super::{Emit, Names, Output};
use crate::batch::Sample;
use crate::series::Scope;
use crate::series::labels::{Interner, SeriesLabels};

/// Least stream time between two counts of one workload.
const EVERY_MS: i64 = 15_000;

/// The scored series of one scope that share the workload labels.
#[derive(Debug)]
pub struct Workload {
    labels: Arc<SeriesLabels>,
    scored: AtomicI64,
    anomalous: AtomicI64,
    sent_ms: AtomicI64,
    /// What was last sent, for who reads it later: one timestamp never has two values.
    sent: Mutex<Option<Counts>>,
}

/// Both counts of a workload at one time.
#[derive(Clone, Copy, Debug)]
struct Counts {
    timestamp_ms: i64,
    anomalous: i64,
    scored: i64,
}

/// All workloads, by scope and labels, up to a limit.
#[derive(Debug)]
pub struct Workloads {
    known: DashMap<Key, Arc<Workload>, foldhash::fast::RandomState>,
    names: Vec<String>,
    limit: usize,
}

/// The number of the scope, and the values of the workload labels.
type Key = (u64, Box<[Box<str>]>);

// === impl Workload ===

impl Workload {
    /// Counts a series in (`1`) or out (`-1`).
    pub fn count_scored(&self, change: i64) {
        self.scored.fetch_add(change, Ordering::Relaxed);
    }

    /// Counts an anomalous series in (`1`) or out (`-1`).
    pub fn count_anomalous(&self, change: i64) {
        self.anomalous.fetch_add(change, Ordering::Relaxed);
    }

    /// Sends both counts with `timestamp_ms`, at most once in 15 s of stream time.
    #[inline]
    pub fn send(&self, timestamp_ms: i64, names: &Names, out: &mut impl Emit) {
        let sent_ms = self.sent_ms.load(Ordering::Relaxed);
        if timestamp_ms < sent_ms.saturating_add(EVERY_MS) {
            return;
        }
        let mine = self
            .sent_ms
            .compare_exchange(sent_ms, timestamp_ms, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if mine {
            self.count(timestamp_ms);
            self.repeat(names, out);
        }
    }

    #[cold]
    fn count(&self, timestamp_ms: i64) {
        let (anomalous, scored) =
            (self.anomalous.load(Ordering::Relaxed), self.scored.load(Ordering::Relaxed));
        *self.sent.lock() = Some(Counts { timestamp_ms, anomalous, scored });
    }

    /// Sends again what was last sent, with the timestamp at which it was counted.
    #[cold]
    pub fn repeat(&self, names: &Names, out: &mut impl Emit) {
        let Some(Counts { timestamp_ms, anomalous, scored }) = *self.sent.lock() else { return };
        for (output, count) in [(Output::AnomalousSeries, anomalous), (Output::ScoredSeries, scored)] {
            let sample = Sample { timestamp_ms, value: count as f64 };
            out.emit(&self.labels, names.of(output), sample);
        }
    }
}

// === impl Workloads ===

impl Workloads {
    /// Workloads are told apart by the values of the labels called `names`; at most `limit` are kept.
    pub fn new(mut names: Vec<String>, limit: usize) -> Self {
        names.sort_unstable();
        Self { known: DashMap::default(), names, limit }
    }

    /// The workload that a series with `labels` belongs to; `None` when there are as many as allowed,
    /// or when the series has none of the workload labels.
    pub fn of(&self, scope: &Scope, labels: &SeriesLabels, interner: &Interner) -> Option<Arc<Workload>> {
        let values: Box<[Box<str>]> =
            self.names.iter().map(|name| labels.get(name).unwrap_or_default().into()).collect();
        if values.iter().all(|value| value.is_empty()) {
            return None;
        }
        let key = (scope.id(), values);
        if let Some(known) = self.known.get(&key) {
            return Some(Arc::clone(&known));
        }
        if self.known.len() >= self.limit {
            return None;
        }
        let pairs: Vec<(&str, &str)> =
            std::iter::zip(&self.names, &key.1).map(|(name, value)| (name.as_str(), &**value)).collect();
        let made = Arc::new(Workload {
            labels: Arc::new(SeriesLabels::of_scored(&pairs, interner)),
            scored: AtomicI64::new(0),
            anomalous: AtomicI64::new(0),
            sent_ms: AtomicI64::new(i64::MIN),
            sent: Mutex::default(),
        });
        Some(Arc::clone(&self.known.entry(key).or_insert(made)))
    }

    /// Forgets workloads without series, where there are as many as allowed.
    pub fn forget_empty(&self) {
        if self.known.len() >= self.limit {
            self.known.retain(|_, workload| Arc::strong_count(workload) > 1);
        }
    }

    /// Number of workloads.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is no workload yet.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}
