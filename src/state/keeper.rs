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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Key, LabelSource, Sample, SeriesSpan};
    use crate::inject::{Names, ScoreSample, Workloads};
    use crate::model::{Model, ModelSlot};
    use crate::pipeline::{Limits, Settings, Visit, Wiring};
    use crate::rules::{OutputNames, RawRule, RuleSet};
    use crate::series::{ScopeName, Scopes, Spelling, Table};

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 1_440 * MINUTE;
    const WEEK: Duration = Duration::from_secs(7 * 86_400);
    /// When a snapshot is read.
    const NOW: i64 = 1_700_000_000_000;

    /// A corridor that scores everything, and who keeps what is learned in it.
    struct House {
        _slot: ModelSlot,
        keeper: Keeper,
    }

    /// The series `level{instance="N"}`.
    struct Instance(usize);

    impl House {
        fn new(folder: &Path, max_age: Duration) -> Self {
            let table = Table::default();
            let rule: RawRule = serde_saphyr::from_str("match: level").unwrap();
            let templates = OutputNames::by_templates(["$VAR"]);
            let rules = RuleSet::compile(Vec::new(), vec![rule.check().unwrap()], templates).unwrap();
            let names = Names::new("$VAR", table.interner()).unwrap();
            let settings = Settings::new(rules, names, Limits::default());
            let slot = ModelSlot::new(Model::builtin());
            let workloads = Workloads::new(Vec::new(), 100);
            let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(7), workloads, table);
            let keeper = Keeper::new(Arc::new(pipeline), folder, max_age, &mut Registry::default());
            Self { _slot: slot, keeper }
        }

        /// The score of one sample.
        fn score(&self, instance: usize, timestamp_ms: i64, value: f64) -> f64 {
            let pipeline = &self.keeper.pipeline;
            let scope = pipeline.scope(&ScopeName::Tenant("".into()), timestamp_ms).unwrap();
            let key = Key::of(&instance.to_le_bytes(), scope.seed(Spelling::RemoteWrite1));
            let span = SeriesSpan { key, labels: 0..1, samples: 0..1 };
            let samples = vec![Sample { timestamp_ms, value }];
            let batch = Batch { samples, series: vec![span], ..Batch::default() };
            let (labels, wiring) = (&Instance(instance), Wiring::Gateway);
            let visit = Visit { scope: &scope, batch: &batch, labels, now_ms: timestamp_ms, wiring };
            let mut out: Vec<ScoreSample> = Vec::new();
            pipeline.score(&visit, &mut out);
            out.iter().find(|score| score.name.value() == "anomaly_score").unwrap().sample.value
        }

        /// Two hours of ordinary samples, the last of them at `until`.
        fn teach(&self, instances: usize, until: i64) {
            for step in 0..120 {
                let at = until - (119 - step) * MINUTE;
                (0..instances).for_each(|n| _ = self.score(n, at, 10.0 + (step * 7_919 % 13) as f64));
            }
        }
    }

    impl LabelSource for Instance {
        fn for_each_label(&self, _: &std::ops::Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
            each(b"__name__", b"level");
            each(b"instance", self.0.to_string().as_bytes());
        }
    }

    /// What was learned until `age_ms` before the restart, and who goes on with it.
    fn restarted(instances: usize, age_ms: i64, max_age: Duration, patience: Duration) -> (House, Restored) {
        let folder = tempfile::tempdir().unwrap();
        let before = House::new(folder.path(), max_age);
        before.teach(instances, NOW - age_ms);
        before.keeper.save(NOW - age_ms).unwrap();
        let after = House::new(folder.path(), max_age);
        let restored = after.keeper.restore(NOW, patience);
        assert_eq!(after.keeper.metrics.restored.get(), restored.series as i64);
        (after, restored)
    }

    #[test]
    fn after_two_days_a_series_goes_on_where_it_was() {
        let (house, restored) = restarted(2, 2 * DAY, WEEK, Duration::MAX / 4);
        assert_eq!(restored, Restored { series: 2, forgotten: 0 });
        let ordinary = house.score(0, NOW, 14.0);
        assert!(ordinary < 1.0, "the gap itself is no anomaly: {ordinary}");
        let far = house.score(1, NOW, 500.0);
        assert!(far > 1.0, "and what is ordinary is still known: {far}");
    }

    #[test]
    fn after_eight_days_a_series_begins_anew_unless_more_is_kept() {
        let (house, restored) = restarted(2, 8 * DAY, WEEK, Duration::MAX / 4);
        assert_eq!(restored, Restored { series: 0, forgotten: 2 });
        assert_eq!(house.score(0, NOW, 500.0), 0.0, "nothing is known of it");
        let (house, restored) = restarted(2, 8 * DAY, 2 * WEEK, Duration::MAX / 4);
        assert_eq!(restored, Restored { series: 2, forgotten: 0 });
        assert!(house.score(0, NOW, 14.0) < 1.0 && house.score(1, NOW, 500.0) > 1.0);
    }

    #[test]
    fn what_is_just_as_old_as_may_be_is_restored() {
        let week_ms = WEEK.as_millis() as i64;
        assert_eq!(restarted(1, week_ms, WEEK, Duration::MAX / 4).1, Restored { series: 1, forgotten: 0 });
        assert_eq!(
            restarted(1, week_ms + 1, WEEK, Duration::MAX / 4).1,
            Restored { series: 0, forgotten: 1 }
        );
    }

    #[test]
    fn what_is_not_read_in_time_begins_anew_and_the_rest_goes_on() {
        let (house, restored) = restarted(50, MINUTE, WEEK, Duration::ZERO);
        assert_eq!(
            restored,
            Restored { series: 1, forgotten: 0 },
            "one is read before the time is looked at"
        );
        assert_eq!(house.keeper.pipeline.series().len(), 1);
        let scores: Vec<f64> = (0..50).map(|instance| house.score(instance, NOW, 500.0)).collect();
        assert_eq!(scores.iter().filter(|score| **score > 1.0).count(), 1);
        assert_eq!(scores.iter().filter(|score| **score == 0.0).count(), 49);
    }

    #[test]
    fn a_snapshot_that_cannot_be_written_is_counted_and_the_one_before_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let house = House::new(&folder.path().join("gone"), WEEK);
        house.teach(1, NOW);
        assert!(house.keeper.save(NOW).is_err());
        let counts = |house: &House| {
            let metrics = &house.keeper.metrics;
            (metrics.written.get(), metrics.failed.get(), metrics.timestamp.get())
        };
        assert_eq!(counts(&house), (0, 1, 0.0));
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        let bytes = house.keeper.save(NOW).unwrap();
        assert_eq!(counts(&house), (1, 1, NOW as f64 / 1e3));
        assert_eq!(house.keeper.metrics.bytes.get() as u64, bytes);
        assert_eq!(
            house.keeper.restore(NOW, WEEK),
            Restored { series: 0, forgotten: 1 },
            "it is scored already"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_written_as_often_as_is_asked_and_no_more_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (house, stop) = (House::new(folder.path(), WEEK), CancellationToken::new());
        let started = tokio::time::Instant::now();
        let keeping = tokio::spawn(house.keeper.clone().keep(WEEK, || NOW, stop.clone()));
        while house.keeper.metrics.written.get() < 3 {
            tokio::time::advance(WEEK / 7).await;
            tokio::task::yield_now().await;
        }
        assert!(started.elapsed() >= WEEK * 3);
        stop.cancel();
        keeping.await.unwrap();
        let written = house.keeper.metrics.written.get();
        tokio::time::advance(WEEK * 3).await;
        assert_eq!(house.keeper.metrics.written.get(), written);
    }
}
