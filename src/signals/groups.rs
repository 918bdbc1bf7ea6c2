//! The groups of one scope: who is a part of which, and what came of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::group::{Group, Identity, Made, MadeId, MadeSeries, Origin, Pairs, Queue};
use super::inbox::{Inbox, Waiting};
use super::native::Observed;
use super::spec::{Claim, Quantity, Spec, Specs};
use super::steps::Put;
use crate::batch::{Key, NativeHistogram, Sample};
use crate::prefetch::prefetch;
use crate::series::SlotId;
use crate::series::labels::{Interner, SeriesLabels};

/// All groups of one scope. Nobody waits for it: a scope's batches come one after the other.
#[derive(Debug, Default)]
pub struct Groups {
    epoch: u16,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    index: HashMap<Identity, u32, foldhash::fast::RandomState>,
    /// Groups that were ever made.
    serial: u32,
    /// Samples of parts that wait to be put into their steps.
    inbox: Inbox,
    queue: Queue,
    /// Groups that may be forgotten once what was made of them is taken.
    deserted: Vec<u32>,
    late: u64,
    /// What native histograms are read into, and what is found between two of them.
    histogram: NativeHistogram,
    observed: Observed,
}

/// A series is a part of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Membership {
    group: u32,
    serial: u32,
    part: u32,
    quantity: Quantity,
}

/// The groups that a series is a part of.
#[derive(Clone, Debug, Default)]
pub struct Memberships {
    epoch: u16,
    /// Whether the series is there: it has shown a sample since it joined or ended.
    pub present: bool,
    /// A series of no group, as most are, holds no more than a pointer.
    list: Option<Box<[Membership]>>,
}

/// A series that is to be a part of all groups that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Joining<'a> {
    /// Its labels, sorted.
    pub labels: &'a [(&'a str, &'a str)],
    /// The same as the table keeps them.
    pub own: &'a Arc<SeriesLabels>,
    /// Whether it has native histograms in place of samples.
    pub histograms: bool,
}

/// What a group has to know of a sample of one of its parts.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The sample.
    pub sample: Sample,
    /// Its increase per second; none for the first one.
    pub rate: Option<f64>,
    /// Its score; none of a series that is not judged, or not yet, and NaN where nothing is to be said of it: nobody
    /// need wait for it.
    pub score: Option<f64>,
}

/// What is there under one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Its groups.
    pub groups: usize,
    /// Series that are made of them and have been seen.
    pub made: usize,
    /// Bytes of the groups, without the labels of what is made.
    pub bytes: usize,
}

/// A part will not come any more, or not for now.
#[derive(Debug)]
pub enum Departure {
    /// It ended at this time, in milliseconds since the epoch, and may come back.
    Ended(Memberships, i64),
    /// It is forgotten.
    Left(Memberships, i64),
}

// === impl Groups ===

impl Groups {
    /// Goes by `specs`: groups that nobody asks for any more are dropped. Gives the places of the series that were made of
    /// them.
    pub fn go_by(&mut self, specs: &Specs) -> Vec<SlotId> {
        if self.epoch == specs.epoch {
            return Vec::new();
        }
        self.epoch = specs.epoch;
        self.settle();
        self.index.clear();
        let mut left = Vec::new();
        for (at, place) in self.groups.iter_mut().enumerate() {
            let Some(group) = place else { continue };
            match specs.number_of(&group.spec) {
                Some(number) => {
                    group.identity.0 = number;
                    self.index.insert(group.identity, at as u32);
                }
                None => {
                    left.extend(group.made().iter().filter_map(|made| made.at));
                    self.free.push(at as u32);
                    *place = None;
                }
            }
        }
        // What waits of the others would be taken for that of whoever gets their places.
        let groups = &self.groups;
        self.queue.retain(|made| groups[made.of.group as usize].is_some());
        self.deserted.retain(|group| groups[*group as usize].is_some());
        left
    }

    /// Makes a series a part of every group that it belongs to and is not in by its `before`; and tells how many groups there
    /// was no room for.
    pub fn join(
        &mut self,
        specs: &Specs,
        joining: Joining<'_>,
        before: &Memberships,
        interner: &Interner,
    ) -> (Memberships, u64) {
        let Joining { labels, own, histograms } = joining;
        let (mut list, mut refused) = (Vec::new(), 0);
        for (number, spec) in specs.of(histograms) {
            let Some(claim) = spec.claim(labels) else { continue };
            if let Some(known) = self.known(before, number) {
                list.push(known);
                continue;
            }
            match self.join_one(specs, (number, spec), claim, (labels, own), interner) {
                Some(membership) => list.push(membership),
                None => refused += 1,
            }
        }
        let list = (!list.is_empty()).then(|| list.into_boxed_slice());
        let present = before.present && list.is_some();
        (Memberships { epoch: self.epoch, present, list }, refused)
    }

    /// The one of `before` that is in a group of the entry of this number.
    fn known(&self, before: &Memberships, number: u16) -> Option<Membership> {
        let of_entry = |member: &&Membership| {
            let group = self.groups.get(member.group as usize).and_then(Option::as_ref);
            group.is_some_and(|group| group.serial == member.serial && group.identity.0 == number)
        };
        before.list.iter().flatten().find(of_entry).copied()
    }

    fn join_one(
        &mut self,
        specs: &Specs,
        (number, spec): (u16, &Arc<Spec>),
        claim: Claim,
        (labels, own): (&[(&str, &str)], &Arc<SeriesLabels>),
        interner: &Interner,
    ) -> Option<Membership> {
        let Claim { role, quantity, labels: of_group } = claim;
        let pairs = of_group.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let identity = (number, Key::of(&spelled(pairs), 0));
        let group = match self.index.get(&identity) {
            Some(group) => *group,
            None => self.make(specs, spec, (identity, &of_group), interner)?,
        };
        let of = (xxhash_rust::xxh3::xxh3_64(&spelled(labels.iter().copied())), role);
        let to = self.groups[group as usize].as_mut()?;
        let (serial, joined) = (to.serial, to.join(specs, labels, of, own, interner));
        if joined.is_none() {
            self.deserted.push(group);
        }
        Some(Membership { group, serial, part: joined?, quantity })
    }

    fn make(
        &mut self,
        specs: &Specs,
        spec: &Arc<Spec>,
        (identity, labels): (Identity, &Pairs),
        interner: &Interner,
    ) -> Option<u32> {
        let index = self.free.last().copied().unwrap_or(self.groups.len() as u32);
        let group = Group::new((index, identity, self.serial), specs, spec, labels, interner)?;
        self.serial = self.serial.wrapping_add(1);
        match self.free.pop() {
            Some(_) => self.groups[index as usize] = Some(group),
            None => self.groups.push(Some(group)),
        }
        self.index.insert(identity, index);
        Some(index)
    }

    /// Takes a sample of a part for the steps of its groups.
    #[inline]
    pub fn put(&mut self, memberships: &Memberships, seen: &Seen) {
        for member in memberships.list.iter().flatten() {
            let Some(value) = seen.quantity(member.quantity) else { continue };
            let Membership { group, serial, part, .. } = *member;
            let timestamp_ms = seen.sample.timestamp_ms;
            if self.inbox.take(Waiting { group, serial, part, timestamp_ms, value }) {
                self.settle();
            }
        }
    }

    /// Puts what waits into its steps. Samples of one part stay in order; in which order those of different parts come
    /// changes nothing.
    fn settle(&mut self) {
        let Self { inbox, groups, queue, late, .. } = self;
        inbox.empty(groups, |group, waiting| {
            if group.put(waiting.part, waiting.timestamp_ms, waiting.value, queue) == Put::Late {
                *late += 1;
            }
        });
    }

    /// Memory into which native histograms may be read.
    pub fn lend(&mut self) -> NativeHistogram {
        std::mem::take(&mut self.histogram)
    }

    /// Takes back what was lent.
    pub fn take_back(&mut self, histogram: NativeHistogram) {
        self.histogram = histogram;
    }

    /// Has everything made of a native histogram that its groups ask for.
    pub fn put_histogram(&mut self, memberships: &Memberships, histogram: &NativeHistogram) {
        self.settle();
        for member in memberships.list.iter().flatten() {
            let Some(group) = at(&mut self.groups, member.group, member.serial) else { continue };
            if group.put_histogram(member.part, histogram, &mut self.observed, &mut self.queue) == Put::Late {
                self.late += 1;
            }
        }
    }

    /// A part ended at `timestamp_ms`, and may come back.
    pub fn end(&mut self, memberships: &Memberships, timestamp_ms: i64) {
        self.settle();
        for member in memberships.list.iter().flatten() {
            if let Some(group) = at(&mut self.groups, member.group, member.serial) {
                group.end(member.part, timestamp_ms, &mut self.queue);
            }
        }
    }

    /// What became of parts elsewhere.
    pub fn depart(&mut self, departure: Departure) {
        match departure {
            Departure::Ended(memberships, at_ms) => self.end(&memberships, at_ms),
            Departure::Left(memberships, at_ms) => {
                self.end(&memberships, at_ms);
                for member in memberships.list.iter().flatten() {
                    if let Some(group) = at(&mut self.groups, member.group, member.serial) {
                        group.leave(member.part, &mut self.queue);
                        self.deserted.push(member.group);
                    }
                }
            }
        }
    }

    /// The next sample that was made, oldest first.
    pub fn next_made(&mut self) -> Option<Made> {
        self.settle();
        let next = self.queue.pop_front();
        if next.is_none() {
            while let Some(group) = self.deserted.pop() {
                self.forget_if_deserted(group);
            }
        }
        next
    }

    fn forget_if_deserted(&mut self, index: u32) {
        if let Some(group) = self.groups[index as usize].take_if(|group| group.is_deserted()) {
            self.index.remove(&group.identity);
            self.free.push(index);
        }
    }

    /// The series that `of` stands for; none where its group was forgotten since.
    pub fn series(&mut self, of: MadeId) -> Option<&mut MadeSeries> {
        self.groups.get_mut(of.group as usize)?.as_mut()?.series(of.output)
    }

    /// Labels of the part that weighs most in the newest step of the entity that `of` stands for.
    pub fn heaviest(&self, of: MadeId) -> Option<Arc<SeriesLabels>> {
        self.groups.get(of.group as usize)?.as_ref()?.heaviest_labels()
    }

    /// Where the made series are.
    pub fn places(&self) -> impl Iterator<Item = SlotId> {
        self.groups.iter().flatten().flat_map(Group::made).filter_map(|made| made.at)
    }

    /// What the made series at `place` in the table is made of.
    pub fn origin(&self, place: SlotId) -> Option<Origin> {
        let mut groups = self.groups.iter().flatten();
        groups.find(|group| group.made().iter().any(|made| made.at == Some(place))).map(Group::origin)
    }

    /// What is there under each entry, by its number.
    pub fn by_entry(&self) -> BTreeMap<u16, Held> {
        let mut held = BTreeMap::<u16, Held>::new();
        for group in self.groups.iter().flatten() {
            let of_entry = held.entry(group.identity.0).or_default();
            of_entry.groups += 1;
            of_entry.made += group.made().iter().filter(|made| made.at.is_some()).count();
            of_entry.bytes += group.bytes() + size_of::<(Identity, u32)>();
        }
        held
    }

    /// Samples that came after their steps were closed, since this was last asked.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }
}

// === impl Seen ===

impl Seen {
    #[inline]
    fn quantity(&self, quantity: Quantity) -> Option<f64> {
        let quantity = match quantity {
            Quantity::Score => return self.score.filter(|score| !score.is_infinite()),
            Quantity::Value => Some(self.sample.value),
            Quantity::Rate => self.rate,
            Quantity::Histogram => None,
        };
        quantity.filter(|quantity| quantity.is_finite())
    }
}

// === impl Memberships ===

impl Memberships {
    /// Whether the series is in no group.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    /// Has them fetched from memory, so that they are at hand when the series' sample comes.
    #[inline]
    pub fn prefetch(&self) {
        if let Some(list) = &self.list {
            list.iter().for_each(prefetch);
        }
    }

    /// Whether another configuration gave them than `specs`.
    pub fn are_outdated(&self, specs: &Specs) -> bool {
        self.epoch != specs.epoch
    }
}

/// The `serial`-th group, which is at `index` unless it was dropped.
#[inline]
pub(super) fn at(groups: &mut [Option<Group>], index: u32, serial: u32) -> Option<&mut Group> {
    let group = groups.get_mut(index as usize)?.as_mut()?;
    (group.serial == serial).then_some(group)
}

/// Labels as bytes, each text with its length. Their plain hash is the same in every process.
pub(super) fn spelled<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    for text in labels.flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}
