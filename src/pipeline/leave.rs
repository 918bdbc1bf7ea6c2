//! Series that leave: what they held is free for others, and the series that were made of them end.
//!
//! A series is told to have ended by a stale marker, by not being on its target's page, or by nobody: its sender
//! died. The last is found by a sweep that looks at a part of the table once a second of the arrival clock,
//! behind a batch. What was learned stays until the place in the table is needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::inherit::Left;
use super::observe::{Observer, seconds};
use super::settings::Settings;
use super::{Pipeline, Visit};
use crate::inject::{Emit, Fans, Names, Replica};
use crate::rules::{Output, Outputs};
use crate::series::labels::{Pair, SeriesLabels};
use crate::series::{PartLabels, Scope, ScopeName, Series, Standing};
use crate::signals::Departure;

/// Chunks of the table that one sweep looks at, at the most: some 8,000 series.
const SWEEP_CHUNKS: u64 = 128;
/// The idle timeout divided by this is what a turn over the whole table takes, where the bound above lets it.
const TURNS_IN_IDLE_TIME: u32 = 4;
/// Farewells that wait for their scopes' next batches, over all scopes.
const MAX_FAREWELLS: usize = 50_000;
/// After as many seconds a query sees no sample any more, so that a stale marker says nothing new.
const LOOKBACK_S: u32 = 300;

/// Where the sweep is, and when it went on last.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    chunk: AtomicU32,
    swept_s: AtomicU32,
}

/// The stale markers that one series owes: what was sent for it, as what.
#[derive(Debug)]
pub(super) struct Farewell {
    pub(super) labels: Arc<SeriesLabels>,
    pub(super) names: Names,
    pub(super) outputs: Outputs,
    /// Labels of the parts of scores, where these were sent.
    pub(super) parts: PartLabels,
    /// Names of forecasts.
    pub(super) forecasts: Vec<&'static Pair>,
    pub(super) at_ms: i64,
}

/// The number of the scope, and the replica.
type Origin = (u64, Replica);

/// Farewells that wait until a batch of the same scope and replica takes them along.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    /// Each with the second since which it waits. The lock is held across nothing else.
    waiting: Mutex<HashMap<Origin, Vec<(u32, Farewell)>>>,
    count: AtomicUsize,
}

// === impl Sweep ===

impl Sweep {
    /// The chunks, of `chunks` in all, that are due at `now_s`.
    pub(super) fn due(&self, chunks: u32, turn_s: u32, now_s: u32) -> impl Iterator<Item = u32> {
        let swept_s = self.swept_s.load(Ordering::Relaxed);
        let mine = swept_s != now_s
            && self.swept_s.compare_exchange(swept_s, now_s, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let elapsed_s = now_s.saturating_sub(swept_s);
        let due = (u64::from(chunks) * u64::from(elapsed_s)).div_ceil(u64::from(turn_s.max(1)));
        let due = if mine { due.clamp(1, SWEEP_CHUNKS).min(u64::from(chunks)) } else { 0 };
        (0..due).map(move |_| self.chunk.fetch_add(1, Ordering::Relaxed) % chunks)
    }
}

// === impl Farewell ===

impl Farewell {
    /// What `series` owes for `outputs` and `forecasts`, if anything: an end just behind its newest sample.
    pub(super) fn of(
        series: &Series,
        outputs: Outputs,
        forecasts: Vec<&'static Pair>,
        names: Names,
    ) -> Option<Self> {
        series.newest.or(series.taught).filter(|_| !outputs.is_empty() || !forecasts.is_empty())?;
        let at_ms = end_of(series);
        let parts = series.parts.as_deref().filter(|_| outputs.contains(Output::AnomalyPart));
        let parts = parts.cloned().unwrap_or_default();
        Some(Self { labels: Arc::clone(&series.labels), names, outputs, parts, forecasts, at_ms })
    }
}

// === impl Farewells ===

impl Farewells {
    fn push(&self, scope: &Scope, replica: Replica, farewell: Farewell, now_s: u32) {
        let mut waiting = self.waiting.lock();
        if self.count.load(Ordering::Relaxed) >= MAX_FAREWELLS {
            waiting.retain(|_, of_one| {
                of_one.retain(|(since_s, _)| since_s.saturating_add(LOOKBACK_S) >= now_s);
                !of_one.is_empty()
            });
            self.count.store(waiting.values().map(Vec::len).sum(), Ordering::Relaxed);
        }
        if self.count.load(Ordering::Relaxed) < MAX_FAREWELLS {
            waiting.entry((scope.id(), replica)).or_default().push((now_s, farewell));
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(&self, scope: &Scope, replica: &Replica) -> Vec<(u32, Farewell)> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock();
        let taken = waiting.remove(&(scope.id(), replica.clone())).unwrap_or_default();
        self.count.fetch_sub(taken.len(), Ordering::Relaxed);
        taken
    }
}

/// The groups of `series` get to know that it ended, with their next batch.
fn depart(series: &mut Series) {
    if std::mem::take(&mut series.memberships.present) {
        let departure = Departure::Ended(series.memberships.clone(), end_of(series));
        series.scope().depart(departure);
    }
}

/// Just behind the newest sample of a series that left without an end of its own.
pub(super) fn end_of(series: &Series) -> i64 {
    // Where the detector broke, the newest sample has just been learned from.
    series.newest.or(series.taught).map_or(0, |last| last.timestamp_ms.saturating_add(1))
}

// === impl Pipeline: leaving ===

impl Pipeline {
    /// Counts `series` where it stands from now on.
    pub(super) fn stand(&self, settings: &Settings, series: &mut Series, standing: Standing) {
        let before = std::mem::replace(&mut series.standing, standing);
        if before == Standing::Out {
            let replica = settings.replica_of(series.scope(), &series.labels);
            let (labels, interner) = (&series.labels, self.series.interner());
            series.workload =
                self.workloads.join(series.scope(), labels, replica, &settings.ha_labels, interner);
        }
        let Some(workload) = &series.workload else { return };
        workload.count_anomalous(standing.anomalous() - before.anomalous());
        if standing == Standing::Out {
            workload.leave();
            series.workload = None;
        }
    }

    /// Counts `series` where it belongs by the replica labels of `settings`, which may be others than before.
    pub(super) fn move_to_its_replica(&self, settings: &Settings, series: &mut Series) {
        let standing = series.standing;
        if standing != Standing::Out {
            self.stand(settings, series, Standing::Out);
            self.stand(settings, series, standing);
        }
    }

    /// Takes from `series` its part of the score series that may be sent, and its place in the counts. It keeps
    /// what it has learned.
    pub(super) fn retire(&self, settings: &Settings, series: &mut Series) -> Option<Farewell> {
        if series.standing != Standing::Out {
            self.stand(settings, series, Standing::Out);
        }
        let outputs = self.release(series);
        let fans = self.give_up_forecasts(series, &Fans::default());
        Farewell::of(series, outputs, fans.names().collect(), settings.names_of(series.generation))
    }

    /// Gives back what `series` has claimed of the score series that may be sent.
    pub(super) fn release(&self, series: &mut Series) -> Outputs {
        let outputs = std::mem::replace(&mut series.emitting, Outputs::NONE);
        self.injected.fetch_sub(outputs.count(), Ordering::Relaxed);
        outputs
    }

    /// Keeps `farewell` for the next batch from where the series came. A page needs none: a series ends by not
    /// being there.
    pub(super) fn keep(&self, settings: &Settings, scope: &Scope, farewell: Farewell, now_s: u32) {
        if matches!(scope.name(), ScopeName::Tenant(_)) {
            let replica = settings.replica_of(scope, &farewell.labels);
            self.farewells.push(scope, replica, farewell, now_s);
        }
    }

    /// Sends the farewells that wait for this scope and replica, but those of series that came back.
    pub(super) fn bid_farewells(
        &self,
        scope: &Scope,
        replica: &Replica,
        observer: &mut Observer<'_, impl Emit>,
    ) {
        for (_, farewell) in self.farewells.take(scope, replica) {
            let known = self.series.look_up(scope, farewell.labels.scored().collect());
            let back = known.and_then(|id| self.series.with(id, |series| series.is_emitting()));
            if back != Some(true) {
                observer.bid(&farewell);
            }
        }
    }

    /// Retires what the target's page before this one held and this one does not; all of either lies in `chunks`.
    /// `observer` gets to know what they leave.
    pub(super) fn retire_absent<E>(
        &self,
        settings: &Settings,
        visit: &Visit<'_>,
        chunks: &[u32],
        observer: &mut Observer<'_, E>,
    ) {
        let now_s = seconds(visit.now_ms);
        for chunk in chunks {
            self.series.for_chunk(*chunk, |_, series| {
                let is_watched = series.habit.as_ref().is_some_and(|habit| habit.is_there());
                let was_there = series.is_there() || is_watched;
                let is_gone = series.seen_s != now_s && was_there && !series.made;
                if is_gone && Arc::ptr_eq(series.scope(), visit.scope) {
                    // Not being on the page is its end.
                    drop(self.retire(settings, series));
                    depart(series);
                    if let Some(habit) = &mut series.habit {
                        habit.end(visit.now_ms, &mut observer.news);
                    }
                    observer.left.extend(Left::of(settings, series, visit.now_ms));
                }
            });
        }
    }

    /// Retires series of a part of the table that were not seen for the idle timeout. Those that may leave something
    /// go to `left`.
    pub(super) fn sweep(&self, settings: &Settings, now_s: u32, left: &mut Vec<Left>) {
        let idle_s = settings.limits.idle_after_s;
        let mut owed = Vec::new();
        for chunk in self.sweep.due(self.series.chunks(), idle_s / TURNS_IN_IDLE_TIME, now_s) {
            self.series.for_chunk(chunk, |_, series| {
                if series.is_there() && series.seen_s < now_s.saturating_sub(idle_s) {
                    let farewell = self.retire(settings, series);
                    depart(series);
                    owed.extend(farewell.map(|farewell| (Arc::clone(series.scope()), farewell)));
                    let last = series.newest.or(series.taught);
                    left.extend(last.and_then(|last| Left::of(settings, series, last.timestamp_ms)));
                }
            });
        }
        owed.into_iter().for_each(|(scope, farewell)| self.keep(settings, &scope, farewell, now_s));
    }
}
