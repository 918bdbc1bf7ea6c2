//! Which replica of a highly available pair is heard.
//!
//! Two Prometheus that scrape the same targets write the same series but for one label. One of them is elected, as
//! in the HA tracker of Mimir and Cortex: the first that is heard, until it has been silent for a stated time of the
//! arrival clock. The other's batches pass unscored, so that a series is learned once and alerted on once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::settings::Settings;
use crate::inject::Replica;
use crate::series::Scope;

/// Pairs that are known at the same time, over all scopes. The replicas of further ones are all heard.
const MAX_PAIRS: usize = 10_000;

/// By what the replicas of a pair are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HaPair {
    /// Which of the replica labels names the replica; the others name the pair.
    pub(super) at: usize,
    /// After so many milliseconds without the elected one another takes over.
    pub(super) failover_ms: i64,
}

/// Whether a batch is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// It is: its replica is the elected one, or has no other.
    Heard {
        /// The replica that was elected before this one.
        before: Option<Arc<str>>,
    },
    /// Another replica of its pair is.
    PassedOver,
}

/// The elected replica of each pair, by the number of the scope and the labels of the pair.
#[derive(Debug, Default)]
pub(super) struct Elections {
    /// The lock is held across nothing else.
    pairs: Mutex<HashMap<(u64, Replica), Elected, foldhash::fast::RandomState>>,
}

#[derive(Debug)]
struct Elected {
    replica: Arc<str>,
    heard_ms: i64,
    before: Option<Arc<str>>,
}

// === impl HaPair ===

impl HaPair {
    /// The label that names the replica.
    pub(super) fn label(self, settings: &Settings) -> Option<&str> {
        settings.ha_labels.get(self.at).map(String::as_str)
    }
}

// === impl Elections ===

impl Elections {
    /// Hears a batch of `replica`, which came at `now_ms` by the arrival clock.
    pub(super) fn hear(&self, settings: &Settings, scope: &Scope, replica: &Replica, now_ms: i64) -> Voice {
        let Some((pair, name, failover_ms)) = candidate(settings, replica) else {
            return Voice::Heard { before: None };
        };
        let mut pairs = self.pairs.lock();
        if let Some(elected) = pairs.get_mut(&(scope.id(), pair.clone())) {
            return elected.hear(name, now_ms, failover_ms);
        }
        if pairs.len() >= MAX_PAIRS {
            pairs.retain(|_, elected| !elected.is_silent(now_ms, failover_ms));
        }
        if pairs.len() >= MAX_PAIRS {
            return Voice::Heard { before: None };
        }
        pairs.insert((scope.id(), pair), Elected::new(name, now_ms));
        Voice::Heard { before: None }
    }

    /// The replica of a series that was remembered beyond a restart stays the elected one, if it is heard in time.
    pub(super) fn recall(&self, settings: &Settings, scope: &Scope, replica: &Replica, now_ms: i64) {
        let Some((pair, name, _)) = candidate(settings, replica) else { return };
        let mut pairs = self.pairs.lock();
        if pairs.len() < MAX_PAIRS {
            pairs.entry((scope.id(), pair)).or_insert_with(|| Elected::new(name, now_ms));
        }
    }
}

/// The pair of `replica`, its own name, and the time until another takes over.
fn candidate<'a>(settings: &Settings, replica: &'a Replica) -> Option<(Replica, &'a str, i64)> {
    let HaPair { at, failover_ms } = settings.ha_pair?;
    let name = replica.value(at).filter(|name| !name.is_empty())?;
    Some((replica.without(at), name, failover_ms))
}

// === impl Elected ===

impl Elected {
    fn new(replica: &str, now_ms: i64) -> Self {
        Self { replica: replica.into(), heard_ms: now_ms, before: None }
    }

    fn is_silent(&self, now_ms: i64, failover_ms: i64) -> bool {
        now_ms.saturating_sub(self.heard_ms) >= failover_ms
    }

    fn hear(&mut self, replica: &str, now_ms: i64, failover_ms: i64) -> Voice {
        if *self.replica != *replica {
            if !self.is_silent(now_ms, failover_ms) {
                return Voice::PassedOver;
            }
            self.before = Some(std::mem::replace(&mut self.replica, replica.into()));
        }
        self.heard_ms = now_ms;
        Voice::Heard { before: self.before.clone() }
    }
}
