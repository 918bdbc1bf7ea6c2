//! Writes snapshots, and reads them at the start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::SNAPSHOT;
use super::file::{ReadError, Reader, Writer};
use crate::net::chain;
use crate::pipeline::Pipeline;

/// Keeps what the series of a pipeline learn in a folder.
#[derive(Clone, Debug)]
pub struct Keeper {
    pipeline: Arc<Pipeline>,
    path: PathBuf,
    max_age: Duration,
    metrics: Arc<Metrics>,
    /// Held while a snapshot is written: the last one may be wanted before another is done.
    writing: Arc<Mutex<()>>,
}

/// What came back from a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Series that go on where they were.
    pub series: usize,
    /// Series of the snapshot that begin anew: too old, not selected any more, or without room.
    pub forgotten: usize,
}

#[derive(Debug)]
struct Metrics {
    snapshots: Family<Outcome, Counter>,
    written: Counter,
    failed: Counter,
    timestamp: Gauge<f64, AtomicU64>,
    bytes: Gauge,
    restored: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

// === impl Keeper ===

impl Keeper {
    /// Keeps what `pipeline` learns in `folder`. What was last seen longer than `max_age` ago is not restored.
    pub fn new(pipeline: Arc<Pipeline>, folder: &Path, max_age: Duration, registry: &mut Registry) -> Self {
        let metrics = Arc::new(Metrics::default());
        metrics.register(registry);
        Self { pipeline, path: folder.join(SNAPSHOT), max_age, metrics, writing: Arc::default() }
    }

    /// Goes on where the last snapshot left off, within `patience`: nothing waits for longer. Whatever cannot be
    /// read begins anew.
    pub fn restore(&self, now_ms: i64, patience: Duration) -> Restored {
        let (started, mut restored) = (Instant::now(), Restored::default());
        let read = self.read(now_ms, started + patience, &mut restored);
        self.metrics.restored.set(restored.series as i64);
        let path = self.path.display();
        match read {
            Ok(()) => tracing::info!(
                %path, series = restored.series, forgotten = restored.forgotten, took = ?started.elapsed(),
                "series go on where the snapshot left them"
            ),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                tracing::info!(%path, "there is no snapshot yet; series begin anew");
            }
            Err(error) => tracing::warn!(
                %path, error = %chain(&error), series = restored.series,
                "the snapshot cannot be read further; the other series begin anew"
            ),
        }
        restored
    }

    fn read(&self, now_ms: i64, until: Instant, restored: &mut Restored) -> Result<(), ReadError> {
        let oldest = now_ms.saturating_sub(i64::try_from(self.max_age.as_millis()).unwrap_or(i64::MAX));
        for memory in Reader::open(&self.path)? {
            let memory = memory?;
            let is_recent = memory.seen_ms().is_some_and(|seen| seen >= oldest);
            // One after the other, so that what is late is the end of the file.
            let is_restored = is_recent && self.pipeline.recall(memory, now_ms).is_ok();
            restored.series += usize::from(is_restored);
            restored.forgotten += usize::from(!is_restored);
            if Instant::now() > until {
                tracing::warn!("restoring takes longer than state.restore_timeout; the rest begins anew");
                break;
            }
        }
        Ok(())
    }

    /// Writes a snapshot; the one before it stands until the new one is whole.
    ///
    /// # Errors
    ///
    /// The disk is full, read-only or gone. Series go on learning in memory.
    pub fn save(&self, now_ms: i64) -> io::Result<u64> {
        let _alone = self.writing.lock();
        let saved = self.write(now_ms);
        match &saved {
            Ok(bytes) => {
                self.metrics.written.inc();
                self.metrics.timestamp.set(now_ms as f64 / 1e3);
                self.metrics.bytes.set(i64::try_from(*bytes).unwrap_or(i64::MAX));
                tracing::debug!(bytes, "wrote a snapshot of what series learned");
            }
            Err(error) => {
                self.metrics.failed.inc();
                let path = self.path.display();
                tracing::warn!(%path, %error, "cannot keep what series learned; it is in memory alone (state.folder)");
            }
        }
        saved
    }

    fn write(&self, now_ms: i64) -> io::Result<u64> {
        let mut writer = Writer::create(&self.path, now_ms)?;
        for chunk in 0..self.pipeline.series().chunks() {
            for memory in self.pipeline.memories(chunk) {
                writer.add(&memory)?;
            }
        }
        writer.finish()
    }

    /// Writes a snapshot `every` so often, until `stop`.
    pub async fn keep(self, every: Duration, clock: fn() -> i64, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => self.save_aside(clock()).await,
            }
        }
    }

    /// Writes a snapshot on a thread that may wait for a disk.
    pub async fn save_aside(&self, now_ms: i64) {
        let keeper = self.clone();
        // What came of it is told by metric and log.
        if tokio::task::spawn_blocking(move || drop(keeper.save(now_ms))).await.is_err() {
            tracing::error!("writing a snapshot broke; the one before it stands");
        }
    }
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let snapshots = Family::<Outcome, Counter>::default();
        let of = |result| snapshots.get_or_create(&Outcome { result }).clone();
        Self {
            written: of("written"),
            failed: of("failed"),
            snapshots,
            timestamp: Gauge::default(),
            bytes: Gauge::default(),
            restored: Gauge::default(),
        }
    }
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "sidelong_state_snapshots",
            "Snapshots of what series learned, by what came of them",
            self.snapshots.clone(),
        );
        registry.register(
            "sidelong_state_snapshot_timestamp_seconds",
            "When the last whole snapshot was written",
            self.timestamp.clone(),
        );
        registry.register(
            "sidelong_state_snapshot_bytes",
            "Size of the last whole snapshot",
            self.bytes.clone(),
        );
        registry.register(
            "sidelong_state_restored_series",
            "Series that went on at the start where a snapshot had left them",
            self.restored.clone(),
        );
    }
}
