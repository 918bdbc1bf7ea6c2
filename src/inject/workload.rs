//! How many series of a workload are anomalous: there even when single scores are not sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;

use super::{Emit, Injected, Names};
use crate::batch::{Sample, stale_marker};
use crate::series::Scope;
use crate::series::labels::{Interner, SeriesLabels};

/// Least stream time between two counts of one workload that is written.
const EVERY_MS: i64 = 15_000;

/// The scored series of one scope and replica that share the workload labels.
#[derive(Debug)]
pub struct Workload {
    labels: Arc<SeriesLabels>,
    scored: AtomicI64,
    anomalous: AtomicI64,
    /// Workloads without a series, over all scopes.
    empty: Arc<AtomicUsize>,
    /// What was last sent, for who reads it later: one timestamp never has two values.
    told: Mutex<Option<Told>>,
}

/// Both counts of a workload as they were sent.
#[derive(Clone, Copy, Debug)]
struct Told {
    at_ms: i64,
    counts: [(Injected, f64); 2],
}

/// All workloads, by scope and replica, up to a limit.
#[derive(Debug)]
pub struct Workloads {
    groups: DashMap<GroupKey, Group, foldhash::fast::RandomState>,
    names: Vec<String>,
    limit: usize,
    known: AtomicUsize,
    empty: Arc<AtomicUsize>,
}

/// Values of the replica labels, in the order of their names: which of a highly available pair it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replica(Box<[Box<str>]>);

/// Where and when counts are sent.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// What the series are called.
    pub names: &'a Names,
    /// The time of the counts.
    pub at_ms: i64,
    /// The counts stand on a page: every one has them. Written ones come once in 15 s of stream time.
    pub page: bool,
}

/// The number of the scope, and the replica.
type GroupKey = (u64, Replica);
/// The values of the workload labels, in the order of their names.
type Values = Box<[Box<str>]>;

/// The workloads of one scope and replica, sorted so that their counts come in one order.
#[derive(Debug)]
struct Group {
    members: BTreeMap<Values, Member>,
    told_ms: i64,
}

#[derive(Debug)]
struct Member {
    workload: Arc<Workload>,
    told: bool,
}

// === impl Replica ===

impl Replica {
    /// The values that `get` finds of the labels called `names`.
    pub fn of<'a>(names: &[String], get: impl Fn(&str) -> &'a str) -> Self {
        Self(names.iter().map(|name| get(name).into()).collect())
    }

    /// The value of the label at `at`.
    pub fn value(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(|value| &**value)
    }

    /// The same without the value at `at`: all replicas that differ in this alone are one.
    pub fn without(&self, at: usize) -> Self {
        let mut rest = self.clone();
        if let Some(value) = rest.0.get_mut(at) {
            *value = Box::default();
        }
        rest
    }

    fn pairs<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
        names.iter().map(String::as_str).zip(self.0.iter().map(|value| &**value))
    }
}

impl FromIterator<String> for Replica {
    fn from_iter<I: IntoIterator<Item = String>>(values: I) -> Self {
        Self(values.into_iter().map(String::into_boxed_str).collect())
    }
}

// === impl Workload ===

impl Workload {
    /// Counts an anomalous series in (`1`) or out (`-1`).
    pub fn count_anomalous(&self, change: i64) {
        self.anomalous.fetch_add(change, Ordering::Relaxed);
    }

    /// Counts a series out.
    pub fn leave(&self) {
        if self.scored.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.empty.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends again what was last sent, with the timestamp at which it was counted.
    #[cold]
    pub fn repeat(&self, names: &Names, out: &mut impl Emit) {
        let Some(Told { at_ms, counts }) = *self.told.lock() else { return };
        for (output, value) in counts {
            out.emit(&self.labels, names.of(output), Sample { timestamp_ms: at_ms, value });
        }
    }

    fn join(&self) {
        if self.scored.fetch_add(1, Ordering::Relaxed) == 0 {
            self.empty.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_empty(&self) -> bool {
        self.scored.load(Ordering::Relaxed) <= 0
    }

    fn counts(&self) -> [(Injected, f64); 2] {
        let count = |counter: &AtomicI64| counter.load(Ordering::Relaxed) as f64;
        [(Injected::AnomalousSeries, count(&self.anomalous)), (Injected::ScoredSeries, count(&self.scored))]
    }
}

// === impl Workloads ===

impl Workloads {
    /// Workloads are told apart by the values of the labels called `names`; at most `limit` are kept.
    pub fn new(mut names: Vec<String>, limit: usize) -> Self {
        names.sort_unstable();
        Self { groups: DashMap::default(), names, limit, known: AtomicUsize::new(0), empty: Arc::default() }
    }

    /// Counts a series of `labels` in with its workload; `None` when there are as many as allowed, or when
    /// the series has none of the workload labels. `replica` gives the values of `replica_names`.
    pub fn join(
        &self,
        scope: &Scope,
        labels: &SeriesLabels,
        replica: Replica,
        replica_names: &[String],
        interner: &Interner,
    ) -> Option<Arc<Workload>> {
        let value = |name: &String| Box::from(labels.get(name).unwrap_or_default());
        let values: Values = self.names.iter().map(value).collect();
        if values.iter().all(|value| value.is_empty()) {
            return None;
        }
        let key = (scope.id(), replica);
        if let Some(known) = self.groups.get(&key).and_then(|group| group.join(&values)) {
            return Some(known);
        }
        if !self.has_room() {
            return None;
        }
        let pairs = self.pairs(&key.1, replica_names, &values);
        let labels = Arc::new(SeriesLabels::of_scored(&pairs, interner));
        let mut group = self.groups.entry(key).or_default();
        if let Some(known) = group.join(&values) {
            return Some(known);
        }
        let workload = Arc::new(Workload {
            labels,
            scored: AtomicI64::new(1),
            anomalous: AtomicI64::new(0),
            empty: Arc::clone(&self.empty),
            told: Mutex::default(),
        });
        self.known.fetch_add(1, Ordering::Relaxed);
        group.members.insert(values, Member { workload: Arc::clone(&workload), told: false });
        Some(workload)
    }

    /// The labels of a workload: those of its replica, so that a receiver which keeps one replica of a pair
    /// takes it for what it is, and its own.
    fn pairs<'a>(
        &'a self,
        replica: &'a Replica,
        replica_names: &'a [String],
        values: &'a Values,
    ) -> Vec<(&'a str, &'a str)> {
        let own = std::iter::zip(&self.names, values).map(|(name, value)| (name.as_str(), &**value));
        let of_replica =
            replica.pairs(replica_names).filter(|(name, _)| !self.names.iter().any(|n| n == name));
        own.chain(of_replica).collect()
    }

    /// Sends the counts of all workloads of `scope` and `replica`, if it is time. One that has no series left
    /// ends, with a stale marker if it was sent before, and is forgotten. `withheld` says of labels that their
    /// counts are not to be sent.
    pub fn tell(
        &self,
        scope: &Scope,
        replica: &Replica,
        telling: Telling<'_>,
        withheld: impl Fn(Injected, &SeriesLabels) -> bool,
        out: &mut impl Emit,
    ) {
        let Some(mut group) = self.groups.get_mut(&(scope.id(), replica.clone())) else { return };
        let Telling { names, at_ms, page } = telling;
        if !page && at_ms < group.told_ms.saturating_add(EVERY_MS) {
            return;
        }
        group.told_ms = at_ms;
        group.members.retain(|_, member| {
            let ended = member.workload.is_empty();
            let counts = member.workload.counts();
            *member.workload.told.lock() = Some(Told { at_ms, counts });
            for (output, count) in counts {
                let value = if ended { stale_marker() } else { count };
                if (!ended || member.told) && !withheld(output, &member.workload.labels) {
                    out.emit(
                        &member.workload.labels,
                        names.of(output),
                        Sample { timestamp_ms: at_ms, value },
                    );
                }
            }
            member.told = true;
            if ended {
                self.forgotten();
            }
            !ended
        });
    }

    /// Whether one more may be made, if need be after those without a series were forgotten. Their scopes
    /// may be gone for ever, so that nobody ends them.
    fn has_room(&self) -> bool {
        if self.is_full() && (self.empty.load(Ordering::Relaxed) > 0 || self.groups.len() > self.len()) {
            self.groups.retain(|_, group| {
                group.members.retain(|_, member| {
                    let empty = member.workload.is_empty();
                    if empty {
                        self.forgotten();
                    }
                    !empty
                });
                !group.members.is_empty()
            });
        }
        !self.is_full()
    }

    /// A replica without workloads counts too: its name comes from outside.
    fn is_full(&self) -> bool {
        self.len().max(self.groups.len()) >= self.limit
    }

    fn forgotten(&self) {
        self.empty.fetch_sub(1, Ordering::Relaxed);
        self.known.fetch_sub(1, Ordering::Relaxed);
    }

    /// Number of workloads.
    pub fn len(&self) -> usize {
        self.known.load(Ordering::Relaxed)
    }

    /// Whether there is no workload yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// === impl Group ===

impl Group {
    fn join(&self, values: &Values) -> Option<Arc<Workload>> {
        let member = self.members.get(values)?;
        member.workload.join();
        Some(Arc::clone(&member.workload))
    }
}

impl Default for Group {
    fn default() -> Self {
        Self { members: BTreeMap::new(), told_ms: i64::MIN }
    }
}
