//! Samples that wait to be written, by their series.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::place::{Day, Partition};
use super::queue::Sheet;
use super::row::{Row, SeriesKey};
use crate::batch::Sample;
use crate::detect::Judgement;
use crate::series::labels::SeriesLabels;

/// All that came since the last file was written.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    series: Vec<Held>,
    /// Where a series is held, by its scope and by where its labels lie, which stay there while it is.
    places: HashMap<(u64, usize), usize, foldhash::fast::RandomState>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    key: Arc<SeriesKey>,
    samples: Vec<(Sample, Judgement)>,
    _labels: Arc<SeriesLabels>,
}

/// What a series takes besides its samples.
const SERIES: usize = size_of::<Held>() + size_of::<((u64, usize), usize)>();
const SAMPLE: usize = size_of::<(Sample, Judgement)>();

// === impl Buffer ===

impl Buffer {
    /// Takes all of `sheet`.
    pub(super) fn put(&mut self, sheet: Sheet) {
        let scope = &sheet.scope;
        for heard in sheet.heard {
            let place = (scope.id(), Arc::as_ptr(&heard.labels).addr());
            let held = *self.places.entry(place).or_insert_with(|| {
                let key = Arc::new(SeriesKey::scored(scope, &heard.labels));
                self.bytes += SERIES + key.bytes();
                self.series.push(Held { key, samples: Vec::new(), _labels: heard.labels });
                self.series.len() - 1
            });
            let samples = &mut self.series[held].samples;
            let before = samples.capacity();
            samples.push((heard.sample, heard.judged));
            self.bytes += (samples.capacity() - before) * SAMPLE;
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All that came, by partition; series and times are in order.
    pub(super) fn take(&mut self, shards: u32) -> BTreeMap<Partition, Vec<Row>> {
        let Self { mut series, .. } = std::mem::take(self);
        // A series that left the table and came back has labels in two places; what came first stays first.
        series.sort_by(|one, other| one.key.cmp(&other.key));
        let mut partitions: BTreeMap<Partition, Vec<Row>> = BTreeMap::new();
        for held in series {
            let shard = held.key.shard(shards);
            for (sample, judged) in held.samples {
                let partition = Partition { day: Day::of(sample.timestamp_ms), shard };
                let row = Row { series: Arc::clone(&held.key), sample, judged };
                partitions.entry(partition).or_default().push(row);
            }
        }
        partitions.values_mut().for_each(|rows| rows.sort_by(Row::order));
        partitions
    }
}
