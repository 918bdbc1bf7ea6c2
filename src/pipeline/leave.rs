//! Series that leave: what they held is free for others.
//!
//! A series is told to have ended by a stale marker, by not being on its target's page, or by nobody: its sender
//! died. The last is found by a sweep that looks at a part of the table once a second of the arrival clock,
//! behind a batch. What was learned stays until the place in the table is needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::observe::seconds;
use super::settings::Settings;
use super::{Pipeline, Visit};
use crate::series::{Series, Standing};

/// Chunks of the table that one sweep looks at, at the most: some 8,000 series.
const SWEEP_CHUNKS: u64 = 128;
/// The idle timeout divided by this is what a turn over the whole table takes, where the bound above lets it.
const TURNS_IN_IDLE_TIME: u32 = 4;

/// Where the sweep is, and when it went on last.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    chunk: AtomicU32,
    swept_s: AtomicU32,
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

    /// Takes from `series` its part of the score series that may be sent, and its place in the counts.
    pub(super) fn retire(&self, settings: &Settings, series: &mut Series) {
        self.release(series);
        if series.standing != Standing::Out {
            self.stand(settings, series, Standing::Out);
        }
    }

    /// Gives back what `series` has claimed of the score series that may be sent.
    pub(super) fn release(&self, series: &mut Series) {
        self.injected.fetch_sub(usize::from(std::mem::take(&mut series.emitting)), Ordering::Relaxed);
    }
    /// Retires what the target's page before this one held and this one does not; all of either lies in `chunks`.
    pub(super) fn retire_absent(&self, settings: &Settings, visit: &Visit<'_>, chunks: &[u32]) {
        let now_s = seconds(visit.now_ms);
        for chunk in chunks {
            self.series.for_chunk(*chunk, |_, series| {
                if series.seen_s != now_s && series.is_counted() && Arc::ptr_eq(series.scope(), visit.scope) {
                    self.retire(settings, series);
                }
            });
        }
    }

    /// Retires series of a part of the table that were not seen for the idle timeout.
    pub(super) fn sweep(&self, settings: &Settings, now_s: u32) {
        let idle_s = settings.limits.idle_after_s;
        for chunk in self.sweep.due(self.series.chunks(), idle_s / TURNS_IN_IDLE_TIME, now_s) {
            self.series.for_chunk(chunk, |_, series| {
                if series.is_counted() && series.seen_s < now_s.saturating_sub(idle_s) {
                    self.retire(settings, series);
                }
            });
        }
    }
}
