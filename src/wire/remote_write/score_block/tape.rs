//! Transitions in the order in which they were first needed.

use std::sync::{Arc, Weak};

use hashbrown::HashTable;

use super::transition::Transition;
use crate::series::labels::{Pair, SeriesLabels};

/// Remembers transitions from batch to batch. A sender repeats its series in the same order, so the next
/// transition is nearly always the next on the tape, and no label is looked at to write a score.
#[derive(Debug, Default)]
pub struct Tape {
    entries: Vec<Entry>,
    /// The elements of all transitions.
    bytes: Vec<u8>,
    /// The labels of each entry, and of the one before it: their addresses must not be used again.
    held: Vec<[Weak<SeriesLabels>; 2]>,
    /// The newest entry of each series.
    index: HashTable<u32>,
    next: usize,
}

/// A series as the tape knows it: where its labels lie, and the number of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whom {
    labels: usize,
    name: u32,
}

#[derive(Debug)]
struct Entry {
    whom: Whom,
    behind: Whom,
    /// Where its elements begin and end.
    at: u32,
    end: u32,
    joined: u8,
    lead: u16,
    raw_len: u16,
}

/// A transition on the tape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// Its elements, those of the time before it among them.
    pub(super) with_time: &'a [u8],
    /// Its elements behind the first copy.
    pub(super) behind_lead: &'a [u8],
    /// Bytes behind the time that the first copy spells.
    pub(super) lead: usize,
    /// Bytes from the beginning of the second entry to its value.
    pub(super) raw_len: usize,
    /// Where on the tape it stands.
    pub(super) place: usize,
}

/// Entries that are always allowed.
const FEW: usize = 4_096;

// === impl Whom ===

impl Whom {
    #[inline]
    pub(super) fn of(labels: &Arc<SeriesLabels>, name: &Pair) -> Self {
        Self { labels: Arc::as_ptr(labels) as usize, name: name.id() }
    }

    fn hash(self) -> u64 {
        (self.labels as u64 ^ u64::from(self.name) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

// === impl Tape ===

impl Tape {
    /// Forgets everything if most of it cannot be of use any more: `live` series are being scored.
    pub fn trim(&mut self, live: usize) {
        if self.entries.len() > live.saturating_mul(2).saturating_add(FEW) {
            *self = Self::default();
        }
    }

    /// The transition to `whom` from `behind`, if it was needed before.
    #[inline]
    pub(super) fn find(&mut self, whom: Whom, behind: Whom) -> Option<Found<'_>> {
        let guess = self.entries.get(self.next);
        if guess.is_none_or(|entry| entry.whom != whom || entry.behind != behind) {
            self.look_up(whom, behind)?;
        }
        self.next += 1;
        self.found(self.next - 1)
    }

    #[cold]
    fn look_up(&mut self, whom: Whom, behind: Whom) -> Option<()> {
        let Self { entries, index, .. } = self;
        let at = *index.find(whom.hash(), |at| entries[*at as usize].whom == whom)? as usize;
        (entries[at].behind == behind).then(|| self.next = at)
    }

    fn found(&self, place: usize) -> Option<Found<'_>> {
        let entry = self.entries.get(place)?;
        let with_time = self.bytes.get(entry.at as usize..entry.end as usize)?;
        Some(Found {
            with_time,
            behind_lead: with_time.get(usize::from(entry.joined)..)?,
            lead: entry.lead.into(),
            raw_len: entry.raw_len.into(),
            place,
        })
    }

    /// Adds the transition to a series from the one before it.
    pub(super) fn add(
        &mut self,
        (labels, name): (&Arc<SeriesLabels>, &Pair),
        before: (&Arc<SeriesLabels>, &Pair),
        transition: &Transition,
    ) -> Option<Found<'_>> {
        let (whom, behind) = (Whom::of(labels, name), Whom::of(before.0, before.1));
        let Self { entries, bytes, held, index, .. } = self;
        let at = u32::try_from(bytes.len()).ok()?;
        bytes.extend_from_slice(&transition.elements);
        let end = u32::try_from(bytes.len()).ok()?;
        let &Transition { joined, lead, raw_len, .. } = transition;
        let place = entries.len();
        entries.push(Entry { whom, behind, at, end, joined, lead, raw_len });
        held.push([Arc::downgrade(labels), Arc::downgrade(before.0)]);
        match index.find_mut(whom.hash(), |at| entries[*at as usize].whom == whom) {
            Some(newest) => *newest = place as u32,
            None => {
                index.insert_unique(whom.hash(), place as u32, |at| entries[*at as usize].whom.hash());
            }
        }
        self.next = place + 1;
        self.found(place)
    }

    /// The labels of the series that the transition at `place` leads to, unless it is gone.
    pub(super) fn labels(&self, place: usize) -> Option<Arc<SeriesLabels>> {
        self.held.get(place)?[0].upgrade()
    }
}
