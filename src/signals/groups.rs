//! The groups of one scope: who is a part of which, and what came of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::spec::{Claim, Quantity, Seat, Spec, Specs};
use super::steps::{Closed, Put, Steps};
use crate::batch::{Sample, stale_marker};
use crate::series::SlotId;
use crate::series::labels::{Interner, METRIC_NAME, SeriesLabels};

/// Parts that a group may have.
const MAX_PARTS: usize = 10_000;

/// All groups of one scope. Nobody waits for it: a scope's batches come one after the other.
#[derive(Debug, Default)]
pub struct Groups {
    epoch: u16,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    index: HashMap<Identity, u32, foldhash::fast::RandomState>,
    made: VecDeque<Made>,
    /// Groups that may be forgotten once what was made of them is taken.
    deserted: Vec<u32>,
    late: u64,
}

/// A series is a part of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Membership {
    group: u32,
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

/// What a group has to know of a sample of one of its parts.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The sample.
    pub sample: Sample,
    /// Its increase per second; none for the first one.
    pub rate: Option<f64>,
}

/// A part will not come any more, or not for now.
#[derive(Debug)]
pub enum Departure {
    /// It ended at this time, in milliseconds since the epoch, and may come back.
    Ended(Memberships, i64),
    /// It is forgotten.
    Left(Memberships, i64),
}

/// A sample that was made of a group.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Which series it is of.
    pub of: MadeId,
    /// Its time and value; a stale marker where the group is over.
    pub sample: Sample,
}

/// A series that is made of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeId {
    group: u32,
    output: u32,
}

/// What is kept of a series that is made of a group.
#[derive(Clone, Debug)]
pub struct MadeSeries {
    /// Its labels.
    pub labels: Arc<SeriesLabels>,
    /// Where in the table it was last.
    pub at: Option<SlotId>,
}

/// Number of an entry, and the labels of a group.
type Identity = (u16, Vec<(String, String)>);

#[derive(Debug)]
struct Group {
    identity: Identity,
    spec: Arc<Spec>,
    steps: Steps,
    made: Vec<MadeSeries>,
    _seat: Seat,
}

// === impl Groups ===

impl Groups {
    /// Goes by `specs`: groups that others asked for are dropped. Gives the places of the series that are not made any
    /// more.
    pub fn go_by(&mut self, specs: &Specs) -> Vec<SlotId> {
        if self.epoch == specs.epoch {
            return Vec::new();
        }
        let left = self.places().collect();
        *self = Self { epoch: specs.epoch, ..Self::default() };
        left
    }

    /// Makes a series with these sorted `labels` a part of every group that it belongs to; and tells how many groups
    /// there was no room for.
    pub fn join(
        &mut self,
        specs: &Specs,
        labels: &[(&str, &str)],
        interner: &Interner,
    ) -> (Memberships, u64) {
        let (mut list, mut refused) = (Vec::new(), 0);
        for (number, spec) in specs.iter().enumerate() {
            let Some(claim) = spec.claim(labels) else { continue };
            match self.join_one(specs, (number as u16, spec), claim, fingerprint(labels), interner) {
                Some(membership) => list.push(membership),
                None => refused += 1,
            }
        }
        let list = (!list.is_empty()).then(|| list.into_boxed_slice());
        (Memberships { epoch: self.epoch, present: false, list }, refused)
    }

    fn join_one(
        &mut self,
        specs: &Specs,
        (number, spec): (u16, &Arc<Spec>),
        claim: Claim,
        fingerprint: u64,
        interner: &Interner,
    ) -> Option<Membership> {
        let Claim { role, quantity, labels } = claim;
        let identity = (number, labels);
        let group = match self.index.get(&identity) {
            Some(group) => *group,
            None => self.make(specs, spec, identity, interner)?,
        };
        let steps = &mut self.groups[group as usize].as_mut()?.steps;
        let part = (steps.members() < MAX_PARTS).then(|| steps.join(fingerprint, role))?;
        Some(Membership { group, part, quantity })
    }

    fn make(
        &mut self,
        specs: &Specs,
        spec: &Arc<Spec>,
        identity: Identity,
        interner: &Interner,
    ) -> Option<u32> {
        let seat = specs.seat(spec)?;
        let pairs = || identity.1.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let base = pairs().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value);
        let series = |name: String| {
            let named = |(label, value)| (label, if label == METRIC_NAME { name.as_str() } else { value });
            let labels: Vec<_> = pairs().map(named).collect();
            MadeSeries { labels: Arc::new(SeriesLabels::of_scored(&labels, interner)), at: None }
        };
        let made = spec.names(base).map(series).collect();
        let steps = Steps::new(specs.pace(spec));
        let group = Group { identity: identity.clone(), spec: Arc::clone(spec), steps, made, _seat: seat };
        let index = match self.free.pop() {
            Some(index) => {
                self.groups[index as usize] = Some(group);
                index
            }
            None => {
                self.groups.push(Some(group));
                self.groups.len() as u32 - 1
            }
        };
        self.index.insert(identity, index);
        Some(index)
    }

    /// Puts a sample of a part into the steps of its groups.
    #[inline]
    pub fn put(&mut self, memberships: &Memberships, seen: &Seen) {
        for member in memberships.of(self.epoch) {
            let value = match member.quantity {
                Quantity::Value => Some(seen.sample.value),
                Quantity::Rate => seen.rate.filter(|rate| rate.is_finite()),
            };
            let Some(Group { spec, steps, .. }) =
                self.groups.get_mut(member.group as usize).and_then(Option::as_mut)
            else {
                continue;
            };
            let Some(value) = value else { continue };
            let made = &mut self.made;
            let mut close = |closed: &Closed<'_>| make(spec, member.group, closed, made);
            if steps.put(member.part, seen.sample.timestamp_ms, value, &mut close) == Put::Late {
                self.late += 1;
            }
        }
    }

    /// A part ended at `timestamp_ms`, and may come back.
    pub fn end(&mut self, memberships: &Memberships, timestamp_ms: i64) {
        for member in memberships.of(self.epoch) {
            self.with(member, |group, close| group.steps.end(member.part, timestamp_ms, close));
            self.end_if_over(member.group);
        }
    }

    /// What became of parts elsewhere.
    pub fn depart(&mut self, departure: Departure) {
        match departure {
            Departure::Ended(memberships, at_ms) => self.end(&memberships, at_ms),
            Departure::Left(memberships, at_ms) => {
                self.end(&memberships, at_ms);
                for member in memberships.of(self.epoch) {
                    self.with(member, |group, close| group.steps.leave(member.part, close));
                    self.deserted.push(member.group);
                }
            }
        }
    }

    fn with(&mut self, member: &Membership, act: impl FnOnce(&mut Group, &mut dyn FnMut(&Closed<'_>))) {
        let Some(group) = self.groups.get_mut(member.group as usize).and_then(Option::as_mut) else { return };
        let (spec, made) = (Arc::clone(&group.spec), &mut self.made);
        act(group, &mut |closed| make(&spec, member.group, closed, made));
    }

    /// Nobody is there any more: what was made ends.
    fn end_if_over(&mut self, index: u32) {
        let Some(group) = self.groups[index as usize].as_ref().filter(|group| group.steps.present() == 0)
        else {
            return;
        };
        let end = Sample { timestamp_ms: group.steps.newest_ms(), value: stale_marker() };
        let all = (0..group.made.len() as u32).map(|output| MadeId { group: index, output });
        self.made.extend(all.map(|of| Made { of, sample: end }));
    }

    fn forget_if_deserted(&mut self, index: u32) {
        let deserted =
            |group: &&mut Option<Group>| group.as_ref().is_some_and(|group| group.steps.members() == 0);
        if let Some(group) = self.groups.get_mut(index as usize).filter(deserted).and_then(Option::take) {
            self.index.remove(&group.identity);
            self.free.push(index);
        }
    }

    /// The next sample that was made, oldest first.
    pub fn next_made(&mut self) -> Option<Made> {
        let next = self.made.pop_front();
        if next.is_none() && !self.deserted.is_empty() {
            std::mem::take(&mut self.deserted).into_iter().for_each(|group| self.forget_if_deserted(group));
        }
        next
    }

    /// The series that `of` stands for; none where its group was forgotten since.
    pub fn series(&mut self, of: MadeId) -> Option<&mut MadeSeries> {
        self.groups.get_mut(of.group as usize)?.as_mut()?.made.get_mut(of.output as usize)
    }

    /// Where the made series are.
    pub fn places(&self) -> impl Iterator<Item = SlotId> {
        self.groups.iter().flatten().flat_map(|group| &group.made).filter_map(|made| made.at)
    }

    /// Samples that came after their steps were closed, since this was last asked.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }
}

fn make(spec: &Spec, group: u32, closed: &Closed<'_>, made: &mut VecDeque<Made>) {
    let timestamp_ms = closed.timestamp_ms;
    spec.make(closed, |output, value| {
        made.push_back(Made { of: MadeId { group, output }, sample: Sample { timestamp_ms, value } });
    });
}

// === impl Memberships ===

impl Memberships {
    /// Whether the series is in no group.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    /// Whether another configuration gave them than `specs`.
    pub fn are_outdated(&self, specs: &Specs) -> bool {
        self.epoch != specs.epoch
    }

    /// Those of `epoch`: none where another configuration gave them.
    #[inline]
    fn of(&self, epoch: u16) -> &[Membership] {
        self.list.as_deref().filter(|_| self.epoch == epoch).unwrap_or_default()
    }
}

/// A number of `labels` that is the same in every process.
fn fingerprint(labels: &[(&str, &str)]) -> u64 {
    let mut bytes = Vec::with_capacity(256);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
