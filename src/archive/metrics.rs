//! What the archive tells of itself.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Counters of one archive.
#[derive(Debug)]
pub(super) struct Metrics {
    samples: Counter,
    lost: Family<Reason, Counter>,
    files: Counter,
    bytes: Counter,
    failures: Counter,
    deleted: Counter,
    held: Gauge,
    flushed: Gauge<f64, AtomicU64>,
}

/// Why samples are not in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// They came faster than they could be written.
    QueueFull,
    /// The store did not take them for as long as there was memory for them.
    Unwritable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            samples: Counter::default(),
            lost: Family::default(),
            files: Counter::default(),
            bytes: Counter::default(),
            failures: Counter::default(),
            deleted: Counter::default(),
            held: Gauge::default(),
            flushed: Gauge::default(),
        };
        // There from the start, so that the first loss is a rise.
        [Lost::QueueFull, Lost::Unwritable].into_iter().for_each(|reason| metrics.lost(reason, 0));
        metrics
    }
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "sidelong_archive_samples",
            "Samples that stand in a file of the archive",
            self.samples.clone(),
        );
        registry.register(
            "sidelong_archive_lost_samples",
            "Samples that the archive gave up, the oldest first: its queue was full, or its store unwritable for too long",
            self.lost.clone(),
        );
        registry.register("sidelong_archive_files", "Files that were written", self.files.clone());
        registry.register_with_unit(
            "sidelong_archive_written",
            "Size of the files that were written",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register(
            "sidelong_archive_failures",
            "Files that the store did not take, each time they were tried, and listings and deletions that failed",
            self.failures.clone(),
        );
        registry.register(
            "sidelong_archive_deleted_files",
            "Files that were deleted since they were too old, or the archive too large",
            self.deleted.clone(),
        );
        registry.register_with_unit(
            "sidelong_archive_held",
            "Memory of what waits to be written",
            Unit::Bytes,
            self.held.clone(),
        );
        registry.register(
            "sidelong_archive_flush_timestamp_seconds",
            "When all that had come until then was last written",
            self.flushed.clone(),
        );
    }

    pub(super) fn wrote(&self, samples: u64, bytes: u64) {
        self.samples.inc_by(samples);
        self.files.inc();
        self.bytes.inc_by(bytes);
    }

    pub(super) fn lost(&self, why: Lost, samples: u64) {
        let reason = match why {
            Lost::QueueFull => "queue_full",
            Lost::Unwritable => "unwritable",
        };
        self.lost.get_or_create(&Reason { reason }).inc_by(samples);
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn deleted(&self, files: u64) {
        self.deleted.inc_by(files);
    }

    pub(super) fn holds(&self, bytes: usize) {
        self.held.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn flushed_at(&self, now_ms: i64) {
        self.flushed.set(now_ms as f64 / 1e3);
    }
}

#[cfg(test)]
impl Metrics {
    /// Samples written, given up in the queue, and given up by the store.
    pub(super) fn counts(&self) -> [u64; 3] {
        let lost = |reason| self.lost.get_or_create(&Reason { reason }).get();
        [self.samples.get(), lost("queue_full"), lost("unwritable")]
    }
}
