//! What the archive promises as a whole.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use proptest::prelude::*;

use super::compact::Step;
use super::keeper::Desk;
use super::metrics::Metrics;
use super::queue::{Next, Sheet};
use super::*;
use crate::batch::{Sample, stale_marker};
use crate::detect::Judgement;
use crate::inject::{Heard, Keep};
use crate::series::labels::{Interner, METRIC_NAME, SeriesLabels};
use crate::series::{Scope, ScopeLimits, ScopeName, Scopes};

const DAY: i64 = 86_400_000;
/// The first moment of the day that is looked at.
const MORNING: i64 = 1_796_000_000_000 / DAY * DAY;
const TOMORROW: i64 = MORNING + DAY;

fn scope(name: ScopeName) -> Arc<Scope> {
    Scopes::new(0).get(&name, 0, &ScopeLimits::default()).unwrap()
}

fn tenant() -> Arc<Scope> {
    scope(ScopeName::Tenant("".into()))
}

fn labels(instance: usize) -> Arc<SeriesLabels> {
    let instance = instance.to_string();
    let labels = [(METRIC_NAME, "load"), ("instance", instance.as_str()), ("for", "itself")];
    Arc::new(SeriesLabels::of_scored(&labels, &Interner::default()))
}

fn heard(labels: &Arc<SeriesLabels>, timestamp_ms: i64, value: f64) -> Heard {
    let judged = Judgement { score: 0.5, expected: value, lower: f64::NEG_INFINITY, upper: f64::NAN };
    Heard { labels: Arc::clone(labels), sample: Sample { timestamp_ms, value }, judged }
}

fn options(memory_limit: usize) -> Options {
    Options {
        flush_interval: Duration::from_secs(3_600),
        shards: 2,
        retention: Retention { age: Duration::from_secs(30 * 86_400), bytes: u64::MAX },
        memory_limit,
        clock: || TOMORROW,
    }
}

fn desk(folder: &Path, memory_limit: usize) -> Desk {
    Desk::new(Depot::folder(folder), options(memory_limit), Arc::new(Metrics::default()))
}

/// Every sample of the archive: the instance of its series, its time and bits.
fn samples(archive: &Archive) -> Vec<(String, i64, u64)> {
    let mut all = Vec::new();
    for (partition, files) in archive.partitions().unwrap() {
        let before = all.len();
        for row in archive.rows(partition, &files).unwrap() {
            let row = row.unwrap();
            assert_eq!(Day::of(row.sample.timestamp_ms), partition.day);
            assert_eq!(row.series.shard(2), partition.shard);
            let labels = row.series.all_labels();
            let instance = labels.iter().find(|(name, _)| name == "instance").unwrap().1.clone();
            all.push((instance, row.sample.timestamp_ms, row.sample.value.to_bits()));
        }
        assert!(all[before..].is_sorted_by_key(|(instance, at, _)| (instance, at)), "by series and time");
    }
    all.sort_unstable();
    all
}

#[test]
fn what_was_heard_is_read_back_by_day_and_series() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), 1 << 20);
    let (one, other) = (labels(1), labels(2));
    let values = [3.0, f64::from_bits(0x7ff8_0000_dead_beef), -0.0, stale_marker()];
    let moments = [TOMORROW - 60_000, TOMORROW - 1, TOMORROW, TOMORROW + 60_000];
    let brought = || moments.into_iter().zip(values);
    // Two batches, each with both series by turns.
    for half in [0..2, 2..4] {
        let batch = brought().skip(half.start).take(2);
        let heard =
            batch.flat_map(|(at, value)| [heard(&one, at, value), heard(&other, at, value)]).collect();
        desk.put(Sheet { scope: tenant(), heard });
    }
    desk.flush();
    let archive = Archive::new(Depot::folder(folder.path()));
    let days: std::collections::BTreeSet<_> =
        archive.partitions().unwrap().into_keys().map(|p| p.day).collect();
    assert_eq!(days.len(), 2);
    let expected: Vec<_> = ["1", "2"]
        .into_iter()
        .flat_map(|instance| brought().map(move |(at, value)| (instance.to_owned(), at, value.to_bits())))
        .collect();
    assert_eq!(samples(&archive), expected);
    assert_eq!(desk.metrics.counts(), [8, 0, 0]);
}

#[test]
fn scores_stand_beside_values_and_labels_are_those_of_the_series() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path(), 1 << 20);
    for owner in [ScopeName::Tenant("a".into()), ScopeName::Target("a".into())] {
        desk.put(Sheet { scope: scope(owner), heard: vec![heard(&labels(1), MORNING, 7.0)] });
    }
    desk.flush();
    let archive = Archive::new(Depot::folder(folder.path()));
    let mut owners = Vec::new();
    for (partition, files) in archive.partitions().unwrap() {
        for row in archive.rows(partition, &files).unwrap() {
            let row = row.unwrap();
            let Judgement { score, expected, lower, upper } = row.judged;
            assert_eq!((score, expected, lower), (0.5, 7.0, f64::NEG_INFINITY));
            assert!(upper.is_nan(), "what was not said is not there");
            let labels = row.series.all_labels();
            let get = |wanted: &str| labels.iter().find(|(name, _)| name == wanted).map(|(_, v)| v.as_str());
            assert_eq!((get(METRIC_NAME), get("for")), (Some("load"), Some("itself")));
            owners.push((get(TENANT).map(str::to_owned), get(TARGET).map(str::to_owned)));
        }
    }
    owners.sort();
    assert_eq!(owners, [(None, Some("a".to_owned())), (Some("a".to_owned()), None)]);
}

#[test]
fn f19_a_folder_that_cannot_be_written_costs_the_oldest_samples_and_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    // A file stands where the folder of all metrics belongs: who may write everywhere cannot write there either.
    let obstacle = folder.path().join("metrics");
    std::fs::write(&obstacle, "").unwrap();
    let limit = 64 << 10;
    let mut desk = desk(folder.path(), limit);
    let (instance, mut brought) = (labels(1), 0);
    while desk.metrics.counts()[2] == 0 {
        let noise = |step: i64| heard(&instance, MORNING + brought + step, ((brought + step) as f64).sin());
        desk.put(Sheet { scope: tenant(), heard: (0..100).map(noise).collect() });
        desk.flush();
        brought += 100;
        assert!(brought < 100_000, "it holds more than it may");
    }
    let [written, full, lost] = desk.metrics.counts();
    assert_eq!((written, full), (0, 0));
    std::fs::remove_file(&obstacle).unwrap();
    desk.flush();
    let archive = Archive::new(Depot::folder(folder.path()));
    let kept = samples(&archive);
    assert_eq!(kept.len() as i64, brought - lost as i64, "all that was not given up is written in the end");
    assert_eq!(kept.first().map(|(_, at, _)| *at), Some(MORNING + lost as i64), "the oldest were given up");
    assert_eq!(desk.metrics.counts(), [kept.len() as u64, 0, lost]);
}

#[test]
fn a_queue_that_is_full_gives_up_its_oldest_batch_and_keeps_nobody_waiting() {
    let metrics = Arc::new(Metrics::default());
    let queue = Queue::new(8 << 10, Arc::clone(&metrics));
    let (scope, instance) = (tenant(), labels(1));
    for batch in 0..100 {
        queue.keep(&scope, (0..10).map(|step| heard(&instance, batch * 10 + step, 0.0)).collect());
        assert!(queue.bytes() <= 8 << 10);
    }
    queue.close();
    let mut left = Vec::new();
    while let Next::Sheet(sheet) = queue.next(Instant::now() + Duration::from_secs(3_600)) {
        left.extend(sheet.heard.into_iter().map(|heard| heard.sample.timestamp_ms));
    }
    let lost = metrics.counts()[1] as i64;
    assert!(lost > 0 && left.len() as i64 + lost == 1_000);
    assert!(left.into_iter().eq(lost..1_000), "in order, and up to the newest");
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn a_keeper_writes_what_it_holds_when_it_ends_and_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let mut registry = Registry::default();
        let keeper = Keeper::start(Depot::folder(folder.path()), options(1 << 20), &mut registry).unwrap();
        // Each run hears the newest sample of the one before it once more.
        let steps = (run * 10 - 1).max(0)..run * 10 + 10;
        let heard = steps.map(|step| heard(&labels(1), MORNING + step, step as f64)).collect();
        keeper.ear().keep(&tenant(), heard);
        keeper.finish();
    }
    let archive = Archive::new(Depot::folder(folder.path()));
    assert_eq!(archive.depot().list().unwrap().len(), 3);
    let times: Vec<i64> = samples(&archive).into_iter().map(|(_, at, _)| at - MORNING).collect();
    assert!(times.into_iter().eq(0..30), "each once");
}

#[test]
fn memory_that_is_half_full_is_written_before_its_hour() {
    let folder = tempfile::tempdir().unwrap();
    let keeper =
        Keeper::start(Depot::folder(folder.path()), options(1 << 20), &mut Registry::default()).unwrap();
    let (ear, instance, archive) = (keeper.ear(), labels(1), Archive::new(Depot::folder(folder.path())));
    let mut batch = 0;
    while archive.depot().list().unwrap().is_empty() {
        ear.keep(
            &tenant(),
            (0..100).map(|step| heard(&instance, MORNING + batch * 100 + step, 0.0)).collect(),
        );
        batch += 1;
        assert!(batch < 1_000_000, "nothing is written before the hour");
    }
    keeper.finish();
}

/// Writes `files`, each of samples (series, step, value), and gives what a reader must have.
fn write(folder: &Path, files: &[Vec<(u8, u8, u8)>]) -> Vec<(String, i64, u64)> {
    let mut all = Vec::new();
    let mut desk = desk(folder, 1 << 20);
    let instances: Vec<_> = (0..4).map(labels).collect();
    for file in files {
        let of = |&(series, step, value): &(u8, u8, u8)| {
            let series = usize::from(series % 4);
            let (at, value) = (MORNING + i64::from(step), f64::from(value % 3));
            all.push((series.to_string(), at, value.to_bits()));
            heard(&instances[series], at, value)
        };
        let heard = file.iter().map(of).collect();
        desk.put(Sheet { scope: tenant(), heard });
        desk.flush();
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn stopped() -> ArchiveError {
    ArchiveError::Restless(Partition { day: Day::of(MORNING), shard: 0 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whenever_compaction_is_stopped_no_sample_is_lost_or_there_twice(
        files in prop::collection::vec(prop::collection::vec(any::<(u8, u8, u8)>(), 1..20), 1..8),
        late in prop::collection::vec(any::<(u8, u8, u8)>(), 0..20),
        stops in prop::collection::vec(0_usize..12, 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = write(folder.path(), &files);
        let archive = Archive::new(Depot::folder(folder.path()));
        for (time, steps) in stops.into_iter().enumerate() {
            let mut left = steps;
            let killed = archive.compact_until(TOMORROW, &mut |_: Step| {
                left = left.checked_sub(1).ok_or_else(stopped)?;
                Ok(())
            });
            prop_assert!(killed.is_ok() || left == 0);
            prop_assert_eq!(&samples(&archive), &expected);
            if time == 0 && !late.is_empty() {
                // A file that comes when the day is over, while an earlier merge stands half done.
                expected.extend(write(folder.path(), std::slice::from_ref(&late)));
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(&samples(&archive), &expected);
            }
        }
        archive.compact(TOMORROW).unwrap();
        prop_assert_eq!(&samples(&archive), &expected);
        for files in archive.partitions().unwrap().into_values() {
            prop_assert_eq!(files.len(), 1);
        }
        prop_assert_eq!(archive.compact(TOMORROW).unwrap(), Compacted::default());
    }
}

#[test]
fn today_is_not_compacted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[vec![(0, 1, 0)], vec![(0, 2, 0)]]);
    let archive = Archive::new(Depot::folder(folder.path()));
    assert_eq!(archive.compact(MORNING).unwrap(), Compacted::default());
    assert_eq!(archive.depot().list().unwrap().len(), 2);
    let done = archive.compact(TOMORROW).unwrap();
    assert_eq!((done.partitions, done.files), (1, 2));
}

#[test]
fn two_who_compact_at_once_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let expected = write(folder.path(), &[vec![(0, 1, 0)], vec![(0, 2, 0)], vec![(0, 3, 0)]]);
    let archive = Archive::new(Depot::folder(folder.path()));
    // The other one does all of it before the first step of this one.
    let mut others = false;
    archive
        .compact_until(TOMORROW, &mut |_| {
            if !std::mem::replace(&mut others, true) {
                archive.compact(TOMORROW)?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(samples(&archive), expected);
}

#[test]
fn a_file_that_comes_again_after_it_was_merged_does_not_count() {
    // The store took it, but its answer was lost; before it is tried again, all is merged.
    let folder = tempfile::tempdir().unwrap();
    let expected = write(folder.path(), &[vec![(0, 1, 0)], vec![(0, 2, 0)]]);
    let archive = Archive::new(Depot::folder(folder.path()));
    let first = archive.depot().list().unwrap().remove(0);
    let bytes = archive.depot().get(&first).unwrap().unwrap();
    archive.compact(TOMORROW).unwrap();
    archive.depot().put(&first.place, bytes).unwrap();
    assert_eq!(samples(&archive), expected);
    archive.compact(TOMORROW).unwrap();
    assert_eq!(archive.depot().list().unwrap().len(), 1);
    assert_eq!(samples(&archive), expected);
}

#[test]
fn retention_deletes_days_and_their_folders() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[vec![(0, 1, 0)]]);
    let mut desk = desk(folder.path(), 1 << 20);
    desk.retain();
    assert_eq!(desk.depot.list().unwrap().len(), 1);
    desk.options.clock = || TOMORROW + 31 * DAY;
    desk.retain();
    assert_eq!(desk.depot.list().unwrap(), []);
    assert!(!folder.path().join("metrics").exists());
}
