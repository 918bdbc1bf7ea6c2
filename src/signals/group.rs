//! One group: its parts, their steps, and the series that are made of them.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use super::entity::Heaviest;
use super::native::Observed;
use super::spec::{Given, Memory, Seat, Spec, Specs};
use super::steps::{Closed, Put, Steps};
use crate::batch::{Key, NativeHistogram, Sample, stale_marker};
use crate::series::SlotId;
use crate::series::labels::{Interner, METRIC_NAME, SeriesLabels};

/// Parts that a group may have.
const MAX_PARTS: usize = 10_000;

/// A sample that was made of a group.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Which series it is of.
    pub of: MadeId,
    /// Its time and value; a stale marker where it ends.
    pub sample: Sample,
    /// What the group says of it, where it is not to be judged by a detector.
    pub given: Option<Given>,
}

/// A series that is made of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeId {
    pub(super) group: u32,
    pub(super) output: u32,
}

/// What is kept of a series that is made of a group.
#[derive(Clone, Debug)]
pub struct MadeSeries {
    /// Its labels.
    pub labels: Arc<SeriesLabels>,
    /// Where in the table it was last.
    pub at: Option<SlotId>,
    /// Whether it has shown a sample since it ended.
    told: bool,
}

/// What a made series is made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// What kind of signal it is: `histogram`, `native_histogram`, `ratio`, `sum`, `peers` or `entity`.
    pub signal: &'static str,
    /// The name of the entry that asks for it, or its first selector.
    pub entry: String,
    /// Series of its group that are there.
    pub parts: usize,
    /// Seconds of a step; 0 where each timestamp is one.
    pub step_seconds: f64,
    /// The part that weighs most in the newest step of an entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heaviest: Option<Heaviest>,
}

/// What was made and waits to be taken.
pub(super) type Queue = VecDeque<Made>;

/// Labels of a group, sorted.
pub(super) type Pairs = Vec<(String, String)>;

/// Number of an entry, and the hash of the labels of a group.
pub(super) type Identity = (u16, Key);

/// The end of what is made of the whole of a group.
#[derive(Debug, Default)]
struct End {
    /// When all parts had ended, until what is made of them has.
    at_ms: Option<i64>,
    /// Time of the newest sample that was made.
    made_ms: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Group {
    /// Its number in its scope, and by what it is found there.
    index: u32,
    pub(super) identity: Identity,
    /// Tells it from all others that were at its place.
    pub(super) serial: u32,
    pub(super) spec: Arc<Spec>,
    steps: Steps,
    memory: Memory,
    /// What is made of the whole; or of each part, by its index.
    made: Vec<MadeSeries>,
    /// Parts of which something is made and that have ended, each with the time: what is made of them ends once the
    /// steps before are closed.
    ends: Vec<(i64, u32)>,
    end: End,
    /// The places that all of it takes.
    _seat: Seat,
    seats_of_parts: Vec<Option<Seat>>,
}

// === impl Group ===

impl Group {
    /// The group of `labels` and the number `index`, the `serial`-th in all, if there is room for one more.
    pub(super) fn new(
        (index, identity, serial): (u32, Identity, u32),
        specs: &Specs,
        spec: &Arc<Spec>,
        labels: &Pairs,
        interner: &Interner,
    ) -> Option<Self> {
        let seat = specs.seat_group(spec)?;
        let pairs: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let made = spec.names(name(&pairs)).map(|name| MadeSeries::new(&name, &pairs, interner)).collect();
        Some(Self {
            index,
            identity,
            serial,
            spec: Arc::clone(spec),
            steps: Steps::new(specs.pace(spec)),
            memory: spec.memory(),
            made,
            ends: Vec::new(),
            end: End::default(),
            _seat: seat,
            seats_of_parts: Vec::new(),
        })
    }

    /// Takes in a part of these `labels`, if there is room for one more.
    pub(super) fn join(
        &mut self,
        specs: &Specs,
        labels: &[(&str, &str)],
        (fingerprint, role): (u64, u16),
        own: &Arc<SeriesLabels>,
        interner: &Interner,
    ) -> Option<u32> {
        if self.steps.members() >= MAX_PARTS {
            return None;
        }
        let Some(name) = self.spec.name_for_part(name(labels)) else {
            let part = self.steps.join(fingerprint, role);
            self.memory.join(part, own);
            return Some(part);
        };
        let seat = specs.seat_part(&self.spec)?;
        let part = self.steps.join(fingerprint, role);
        let series = MadeSeries::new(&name, labels, interner);
        // Of a part whose place it takes, what was made has ended with it.
        match self.made.get_mut(part as usize) {
            Some(place) => {
                *place = series;
                self.seats_of_parts[part as usize] = Some(seat);
            }
            None => {
                self.made.push(series);
                self.seats_of_parts.push(Some(seat));
            }
        }
        self.memory.join(part, own);
        Some(part)
    }

    /// A sample of a part.
    #[inline]
    pub(super) fn put(&mut self, part: u32, timestamp_ms: i64, value: f64, queue: &mut Queue) -> Put {
        let put = self.walk(queue, |steps, close| steps.put(part, timestamp_ms, value, close));
        if !self.ends.is_empty() || self.end.at_ms.is_some() {
            self.end_due(queue);
        }
        put
    }

    /// Has what a sample of `part` needs fetched from memory: what is known of it, and its step.
    #[inline]
    pub(super) fn prefetch_step(&self, part: u32) {
        self.steps.prefetch(part);
    }

    /// And, once these are there, its place in the step.
    #[inline]
    pub(super) fn prefetch_place(&self, part: u32) {
        self.steps.prefetch_place(part);
    }

    /// A native histogram of a part.
    pub(super) fn put_histogram(
        &mut self,
        part: u32,
        histogram: &NativeHistogram,
        observed: &mut Observed,
        queue: &mut Queue,
    ) -> Put {
        if let (Memory::Native(before), Some(native)) = (&mut self.memory, self.spec.native()) {
            before.go_on(native, histogram, observed);
        }
        self.put(part, histogram.timestamp_ms, histogram.count, queue)
    }

    /// A part ended at `timestamp_ms`, and may come back.
    pub(super) fn end(&mut self, part: u32, timestamp_ms: i64, queue: &mut Queue) {
        self.walk(queue, |steps, close| steps.end(part, timestamp_ms, close));
        if self.made_of_parts() {
            self.ends.push((timestamp_ms, part));
        } else if self.end.at_ms.is_none() {
            self.end.at_ms = self.steps.ended_ms();
        }
        self.end_due(queue);
    }

    /// Ends what was made of parts that have ended, if nothing more of them can come.
    fn end_due(&mut self, queue: &mut Queue) {
        for (end_ms, part) in std::mem::take(&mut self.ends) {
            if self.steps.are_closed_before(end_ms) {
                end_output(&mut self.made, (self.index, part), end_ms, queue);
            } else {
                self.ends.push((end_ms, part));
            }
        }
        if self.end.at_ms.is_some_and(|end_ms| self.steps.are_closed_before(end_ms)) {
            self.end.come(self.index, &mut self.made, queue);
        }
    }

    /// A part that has ended is forgotten.
    pub(super) fn leave(&mut self, part: u32, queue: &mut Queue) {
        self.walk(queue, |steps, close| steps.leave(part, close));
        self.memory.leave(part);
        self.end_due(queue);
        if let Some(seat) = self.seats_of_parts.get_mut(part as usize) {
            *seat = None;
        }
    }

    /// Has made of the steps that are closed by `walk` what is to be made of them.
    #[inline]
    fn walk<T>(
        &mut self,
        queue: &mut Queue,
        walk: impl FnOnce(&mut Steps, &mut dyn FnMut(&Closed<'_>)) -> T,
    ) -> T {
        let Self { index, spec, steps, memory, made, end, .. } = self;
        walk(steps, &mut |closed| {
            // What comes after the end is a beginning.
            if end.at_ms.is_some_and(|end_ms| closed.at_ms > end_ms) {
                end.come(*index, made, queue);
            }
            end.made_ms = make(spec, *index, closed, memory, made, queue).or(end.made_ms);
        })
    }

    /// Whether nobody is left in it.
    pub(super) fn is_deserted(&self) -> bool {
        self.steps.members() == 0
    }

    /// What is made of it.
    pub(super) fn made(&self) -> &[MadeSeries] {
        &self.made
    }

    /// Bytes that it takes, without the labels of what is made of it.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.seats_of_parts.capacity() * size_of::<Option<Seat>>();
        let made = self.made.capacity() * size_of::<MadeSeries>();
        size_of::<Option<Self>>() + self.steps.bytes() + self.memory.bytes() + parts + made
    }

    pub(super) fn origin(&self) -> Origin {
        Origin {
            signal: self.spec.signal(),
            entry: self.spec.name().to_owned(),
            parts: self.steps.present(),
            step_seconds: self.spec.step_ms() as f64 / 1e3,
            heaviest: self.heaviest(),
        }
    }

    /// The part that weighs most in the newest step, where it is an entity.
    pub(super) fn heaviest(&self) -> Option<Heaviest> {
        match &self.memory {
            Memory::Entity(entity) => entity.heaviest(),
            _ => None,
        }
    }

    /// Its labels.
    pub(super) fn heaviest_labels(&self) -> Option<Arc<SeriesLabels>> {
        match &self.memory {
            Memory::Entity(entity) => entity.heaviest_labels().cloned(),
            _ => None,
        }
    }

    pub(super) fn series(&mut self, output: u32) -> Option<&mut MadeSeries> {
        self.made.get_mut(output as usize)
    }

    fn made_of_parts(&self) -> bool {
        !self.seats_of_parts.is_empty()
    }
}

// === impl End ===

impl End {
    /// Ends what was made of the group of this `index`, behind all that was made.
    fn come(&mut self, index: u32, made: &mut [MadeSeries], queue: &mut Queue) {
        let Some(end_ms) = self.at_ms.take() else { return };
        let end_ms = self.made_ms.map_or(end_ms, |made_ms| end_ms.max(made_ms.saturating_add(1)));
        (0..made.len() as u32).for_each(|output| end_output(made, (index, output), end_ms, queue));
    }
}

/// Ends one series that is made of the group of this index, unless it has.
fn end_output(made: &mut [MadeSeries], (group, output): (u32, u32), timestamp_ms: i64, queue: &mut Queue) {
    let Some(series) = made.get_mut(output as usize) else { return };
    if std::mem::take(&mut series.told) {
        let of = MadeId { group, output };
        queue.push_back(Made { of, sample: Sample { timestamp_ms, value: stale_marker() }, given: None });
    }
}

/// Has made of a step what is to be made of it, and tells its time if that is anything.
fn make(
    spec: &Spec,
    group: u32,
    closed: &Closed<'_>,
    memory: &mut Memory,
    made: &mut [MadeSeries],
    queue: &mut Queue,
) -> Option<i64> {
    let timestamp_ms = closed.timestamp_ms;
    let before = queue.len();
    spec.make(closed, memory, |output, value, given| {
        if let Some(series) = made.get_mut(output as usize) {
            series.told = true;
            let of = MadeId { group, output };
            queue.push_back(Made { of, sample: Sample { timestamp_ms, value }, given });
        }
    });
    let is_made = queue.len() > before;
    if spec.name_for_part("").is_some() && !is_made {
        // There are too few of them by now to say anything of each other.
        for (output, series) in made.iter_mut().enumerate().filter(|(_, series)| series.told) {
            series.told = false;
            let of = MadeId { group, output: output as u32 };
            queue.push_back(Made { of, sample: Sample { timestamp_ms, value: stale_marker() }, given: None });
        }
    }
    is_made.then_some(timestamp_ms)
}

// === impl MadeSeries ===

impl MadeSeries {
    /// The series called `name` of the labels of another one.
    fn new(name: &str, labels: &[(&str, &str)], interner: &Interner) -> Self {
        let named = |&(label, value): &(_, _)| (label, if label == METRIC_NAME { name } else { value });
        let labels: Vec<(&str, &str)> = labels.iter().map(named).collect();
        Self { labels: Arc::new(SeriesLabels::of_scored(&labels, interner)), at: None, told: false }
    }
}

fn name<'a>(labels: &[(&'a str, &'a str)]) -> &'a str {
    labels.iter().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value)
}
