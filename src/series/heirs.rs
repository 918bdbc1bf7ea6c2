//! Series that ended and wait for an heir, and new series that wait for what somebody leaves to them.
//!
//! A rollout starts a new pod before it ends the old one, or after: whoever comes second finds the first here. What
//! is kept is labels and times; what was learned stays in the table. One lock, taken where a series begins or ends.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::hash::KeyHasher;
use super::identity::fingerprint;
use super::labels::SeriesLabels;
use crate::batch::Key;

/// Parties that wait at the same time, over all identities. Over it, those that have waited for the longest are
/// forgotten. One takes some 140 bytes beside its labels.
pub const MAX_WAITING: usize = 100_000;
/// Parties of one identity and one role that wait at the same time: looking for the nearest costs as much.
pub const MAX_ALIKE: usize = 256;

/// What a party waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It ended, and leaves what it has learned.
    Ended,
    /// It is new, and takes what another has learned.
    New,
}

/// A series that waits.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its labels.
    pub labels: Arc<SeriesLabels>,
    /// When it ended, or began, by the timestamps of its samples, in milliseconds since the epoch.
    pub at_ms: i64,
    role: Role,
    serial: u64,
}

/// All that wait, each for a stated time at the most.
#[derive(Debug, Default)]
pub struct Heirs {
    /// The lock is held across nothing else.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    alike: HashMap<Key, Vec<Party>, KeyHasher>,
    /// Serial number, arrival in seconds and identity of each, the first in front; also of those that are gone.
    order: VecDeque<(u64, u32, Key)>,
    next: u64,
}

// === impl Heirs ===

impl Heirs {
    /// Lets a series wait as `role` from `now_s` on, by the arrival clock; `at_ms` is when it ended or began. Who
    /// has waited for more than `keep_s` seconds is forgotten.
    pub fn wait(
        &self,
        identity: Key,
        role: Role,
        labels: Arc<SeriesLabels>,
        at_ms: i64,
        now_s: u32,
        keep_s: u32,
    ) {
        self.waiting.lock().push(identity, role, labels, at_ms, now_s, keep_s);
    }

    /// Those that wait as `role`, for one of `labels` that began or ended at `at_ms`, no more than `within_ms` from
    /// there. Nearest first: who shares the most labels with it; of these who has waited the longest by the stream;
    /// and of these by a fingerprint of the labels, so that the same streams give the same heirs.
    pub fn candidates(
        &self,
        identity: Key,
        role: Role,
        labels: &SeriesLabels,
        at_ms: i64,
        within_ms: i64,
    ) -> Vec<Party> {
        let waiting = self.waiting.lock();
        let alike = waiting.alike.get(&identity).map_or(&[][..], Vec::as_slice);
        let near = |party: &&Party| {
            party.role == role && party.at_ms.saturating_sub(at_ms).saturating_abs() <= within_ms
        };
        let mut near: Vec<Party> = alike.iter().filter(near).cloned().collect();
        drop(waiting);
        if near.len() > 1 {
            near.sort_by_cached_key(|party| {
                (Reverse(shared(labels, &party.labels)), party.at_ms, fingerprint(&party.labels))
            });
        }
        near
    }

    /// `party` waits no longer.
    pub fn settle(&self, identity: Key, party: &Party) {
        self.waiting.lock().remove(identity, party.serial);
    }

    /// Those that wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().alike.values().map(Vec::len).sum()
    }
}

/// How many label pairs two series of one table have in common.
fn shared(one: &SeriesLabels, other: &SeriesLabels) -> usize {
    // Equal pairs are one pair, and both are sorted: nearly always they stand in the same places.
    let others = other.pairs();
    one.pairs().iter().filter(|pair| others.iter().any(|other| Arc::ptr_eq(pair, other))).count()
}

// === impl Waiting ===

impl Waiting {
    fn push(
        &mut self,
        identity: Key,
        role: Role,
        labels: Arc<SeriesLabels>,
        at_ms: i64,
        now_s: u32,
        keep_s: u32,
    ) {
        self.forget(now_s.saturating_sub(keep_s));
        let serial = self.next;
        self.next += 1;
        self.order.push_back((serial, now_s, identity));
        let alike = self.alike.entry(identity).or_insert_with(|| Vec::with_capacity(1));
        let of_role = |party: &&Party| party.role == role;
        if alike.iter().filter(of_role).count() >= MAX_ALIKE
            && let Some(first) = alike.iter().position(|party| party.role == role)
        {
            alike.remove(first);
        }
        alike.push(Party { labels, at_ms, role, serial });
    }

    /// Forgets who has waited since before `before_s`, and whoever is too many.
    fn forget(&mut self, before_s: u32) {
        while let Some(&(serial, since_s, identity)) = self.order.front()
            && (since_s < before_s || self.order.len() >= MAX_WAITING)
        {
            self.order.pop_front();
            self.remove(identity, serial);
        }
    }

    fn remove(&mut self, identity: Key, serial: u64) {
        let Some(alike) = self.alike.get_mut(&identity) else { return };
        alike.retain(|party| party.serial != serial);
        if alike.is_empty() {
            self.alike.remove(&identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::labels::Interner;

    const KEEP_S: u32 = 1_000;

    fn pod(interner: &Interner, name: &str, node: &str) -> Arc<SeriesLabels> {
        let pairs = [("__name__", "cpu"), ("pod", name), ("node", node)];
        Arc::new(SeriesLabels::of_scored(&pairs, interner))
    }

    fn names(parties: &[Party]) -> Vec<&str> {
        parties.iter().filter_map(|party| party.labels.get("pod")).collect()
    }

    #[test]
    fn the_nearest_is_who_shares_most_then_who_ended_first_then_by_fingerprint() {
        let (interner, heirs, identity) = (Interner::default(), Heirs::default(), Key([1, 2]));
        let wait = |name, node, at_ms| {
            heirs.wait(identity, Role::Ended, pod(&interner, name, node), at_ms, 0, KEEP_S);
        };
        for (name, node, at_ms) in [("c", "n1", 30), ("b", "n2", 20), ("a", "n2", 40), ("x", "n1", 20)] {
            wait(name, node, at_ms);
        }
        let near = |node, at_ms, within_ms| {
            heirs.candidates(identity, Role::Ended, &pod(&interner, "new", node), at_ms, within_ms)
        };
        assert_eq!(names(&near("n1", 40, 100)), ["x", "c", "b", "a"]);
        assert_eq!(names(&near("n3", 40, 10)), ["c", "a"], "others are too long ago");
        assert_eq!(names(&near("n3", 0, 20)).len(), 2, "who began before may inherit too");
        let tied = near("n3", 20, 0);
        assert_eq!(tied.len(), 2);
        assert!(fingerprint(&tied[0].labels) < fingerprint(&tied[1].labels));
        heirs.settle(identity, &tied[0]);
        assert_eq!(near("n3", 20, 0).len(), 1, "each is given once");
        let new = heirs.candidates(identity, Role::New, &pod(&interner, "old", "n1"), 20, 100);
        assert!(new.is_empty(), "nobody new waits");
    }

    #[test]
    fn who_waits_too_long_or_is_too_many_is_forgotten() {
        let (interner, heirs) = (Interner::default(), Heirs::default());
        let labels = pod(&interner, "a", "n1");
        let wait = |identity, now_s| {
            heirs.wait(Key([0, identity]), Role::New, Arc::clone(&labels), 0, now_s, KEEP_S);
        };
        wait(1, 0);
        wait(2, KEEP_S + 1);
        assert_eq!(heirs.len(), 1, "by time");
        for _ in 0..2 * MAX_ALIKE {
            wait(3, KEEP_S + 1);
        }
        assert_eq!(heirs.len(), 1 + MAX_ALIKE, "of one identity");
        for identity in 0..2 * MAX_WAITING as u64 {
            wait(10 + identity, KEEP_S + 1);
        }
        assert_eq!(heirs.len(), MAX_WAITING, "in all");
    }
}
