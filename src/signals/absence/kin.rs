//! Series that say something of each other: those of one target, and those that are one and the same to whoever runs
//! what they measure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::batch::Key;

/// What is known of a target: what its `up` says, and how many of its series are watched and there.
#[derive(Debug, Default)]
pub(super) struct Target {
    members: u32,
    watched: u32,
    here: u32,
    pub(super) up: Up,
}

/// What the `up` of a target says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Up {
    /// Nobody has seen one.
    #[default]
    Unknown,
    /// The last scrape failed, or did not.
    Says(bool),
    /// It ended: the target is not scraped any more.
    Ended,
}

/// Series that are equal but for labels that a rollout changes.
#[derive(Debug, Default)]
pub(super) struct Kin {
    members: u32,
    here: u32,
    /// Since when one or the other of them is there.
    since_ms: Option<i64>,
    emptied_ms: i64,
    /// When the newest of them came.
    pub(super) begun_ms: Option<i64>,
}

/// By what they are found.
#[derive(Debug, Default)]
pub(super) struct Relations {
    targets: HashMap<Key, Target>,
    kin: HashMap<Key, Kin>,
}

/// The relations of one series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relation {
    /// Its target.
    pub target: Option<Key>,
    /// Whether it is that target's `up`.
    pub is_up: bool,
    /// Whether a rule asks for its absence: the `up` of a target may be looked at for the sake of others alone.
    pub is_watched: bool,
    /// Those that are one and the same to whoever runs what they measure.
    pub kin: Option<Key>,
    /// The most time between the end of one of its kin and the beginning of another.
    pub within_ms: i64,
}

// === impl Relations ===

impl Relations {
    pub(super) fn join(&mut self, of: &Relation) {
        if let Some(key) = of.target {
            let target = self.targets.entry(key).or_default();
            target.members += 1;
            target.watched += u32::from(of.is_watched);
        }
        if let Some(key) = of.kin {
            self.kin.entry(key).or_default().members += 1;
        }
    }

    pub(super) fn leave(&mut self, of: &Relation) {
        if let Some(Entry::Occupied(mut target)) = of.target.map(|key| self.targets.entry(key)) {
            target.get_mut().members -= 1;
            target.get_mut().watched -= u32::from(of.is_watched);
            if target.get().members == 0 {
                target.remove();
            }
        }
        if let Some(Entry::Occupied(mut kin)) = of.kin.map(|key| self.kin.entry(key)) {
            kin.get_mut().members -= 1;
            if kin.get().members == 0 {
                kin.remove();
            }
        }
    }

    /// One of them came, or came back, at `at_ms`; for the first time, if it `begins`.
    pub(super) fn come(&mut self, of: &Relation, at_ms: i64, begins: bool) {
        if let Some(target) = of.target.and_then(|key| self.targets.get_mut(&key)) {
            target.here += u32::from(of.is_watched);
        }
        let Some(kin) = of.kin.and_then(|key| self.kin.get_mut(&key)) else { return };
        let were_gone = kin.here == 0 && at_ms.saturating_sub(kin.emptied_ms) > of.within_ms;
        if were_gone || kin.since_ms.is_none() {
            kin.since_ms = Some(at_ms);
        }
        kin.here += 1;
        if begins {
            kin.begun_ms = kin.begun_ms.max(Some(at_ms));
        }
    }

    /// One of them has been there since `since_ms`, as is remembered.
    pub(super) fn remember(&mut self, of: &Relation, since_ms: i64) {
        self.come(of, since_ms, false);
        if let Some(kin) = of.kin.and_then(|key| self.kin.get_mut(&key)) {
            kin.since_ms = kin.since_ms.min(Some(since_ms));
        }
    }

    /// One of them went at `at_ms`.
    pub(super) fn go(&mut self, of: &Relation, at_ms: i64) {
        if let Some(target) = of.target.and_then(|key| self.targets.get_mut(&key)) {
            target.here -= u32::from(of.is_watched);
        }
        let Some(kin) = of.kin.and_then(|key| self.kin.get_mut(&key)) else { return };
        kin.here -= 1;
        if kin.here == 0 {
            kin.emptied_ms = at_ms;
        }
    }

    pub(super) fn say(&mut self, of: &Relation, up: Up) {
        if let Some(target) = of.target.and_then(|key| self.targets.get_mut(&key)) {
            target.up = up;
        }
    }

    pub(super) fn up(&self, of: &Relation) -> Up {
        of.target.and_then(|key| self.targets.get(&key)).map_or(Up::Unknown, |target| target.up)
    }

    /// Whether all series of its target are gone, where there was more than one.
    pub(super) fn all_are_gone(&self, of: &Relation) -> bool {
        let target = of.target.and_then(|key| self.targets.get(&key));
        target.is_some_and(|target| target.here == 0 && target.watched > 1)
    }

    pub(super) fn kin(&self, of: &Relation) -> Option<&Kin> {
        self.kin.get(&of.kin?)
    }
}

// === impl Kin ===

impl Kin {
    /// Whether one of them is there.
    pub(super) fn are_here(&self) -> bool {
        self.here > 0
    }

    /// For how long one or the other of them was there up to `at_ms`.
    pub(super) fn lived_ms(&self, at_ms: i64) -> i64 {
        self.since_ms.map_or(0, |since_ms| at_ms.saturating_sub(since_ms))
    }
}
