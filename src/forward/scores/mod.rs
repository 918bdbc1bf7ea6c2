//! Scores travel in requests of their own, so that a downstream that refuses a score never refuses a
//! sample. A *lane* is a queue of scores that may share a request: one tenant, one set of credentials,
//! one replica of a highly available pair. Within a lane everything is in order.

mod answer;
mod budget;
mod lane;
mod metrics;
mod outbox;
mod request;
mod restraint;
mod route;
mod sender;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dashmap::DashMap;
use http::HeaderValue;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Version;
use crate::wire::remote_write::Tape;
use budget::Budget;
use lane::Lane;
use restraint::Restraints;
use route::InForce;

pub(crate) use answer::limited;
pub use metrics::ScoreMetrics;
pub use outbox::Outbox;
pub use route::Route;

/// What scores must have in common to share a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// Value of the tenant header.
    pub tenant: Option<HeaderValue>,
    /// Credentials that the sender showed and that are passed on.
    pub authorization: Option<HeaderValue>,
    /// Values of the replica labels of the request's first series: what a receiver decides by.
    pub replica: Box<str>,
}

/// Takes scores from the scorers and sends them downstream. It outlives reloads, so that scores stay in order
/// across them: a clone is the same forwarder.
#[derive(Clone, Debug)]
pub struct ScoreForwarder {
    shared: Arc<Shared>,
}

/// What all lanes share.
#[derive(Debug)]
struct Shared {
    in_force: watch::Sender<Arc<InForce>>,
    lanes: DashMap<LaneKey, Arc<Lane>>,
    restraints: Restraints,
    budget: Budget,
    metrics: Arc<ScoreMetrics>,
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

// === impl ScoreForwarder ===

impl ScoreForwarder {
    /// Sends by `route` until `stop`. Must be made on a runtime; scorers may use it from any thread.
    pub fn new(route: Route, metrics: Arc<ScoreMetrics>, stop: CancellationToken) -> Self {
        let restraints = Restraints::new(route.scores.max_lanes as usize);
        let shared = Shared {
            in_force: watch::Sender::new(Arc::new(InForce::new(route))),
            lanes: DashMap::new(),
            restraints,
            budget: Budget::new(metrics.queued_bytes.clone()),
            metrics,
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sends by `route` from now on. What waits is sent by it too, in its order: to the same receiver with the
    /// pauses that it asked for, to another one without them and at once.
    pub fn reroute(&self, route: Route) {
        let before = self.shared.in_force();
        let after = Arc::new(before.replaced(route));
        let same = Arc::ptr_eq(&before.known, &after.known);
        self.shared.restraints.bound(after.scores.max_lanes as usize);
        if !same {
            // Before the other receiver is asked: a pause that it asks for itself must not be forgotten.
            self.shared.restraints.clear();
        }
        self.shared.in_force.send_replace(after);
        // What is full or due may be so by the new configuration only.
        self.shared.lanes.iter().for_each(|lane| lane.news.notify_one());
    }

    /// Where the scores of one batch are collected, about `expected` of them. `tape` is the one that the thread's
    /// last box was made with.
    pub fn outbox(&self, key: &LaneKey, expected: usize, tape: Tape) -> Outbox {
        let now = self.shared.in_force();
        let version = now.known.version().unwrap_or(Version::V1);
        Outbox::new(version, &now.scores, self.shared.restraints.share(&key.tenant), expected, tape)
    }

    /// Queues what `outbox` has collected. Nothing waits here: what does not fit makes older scores drop.
    pub fn send(&self, key: &LaneKey, outbox: Outbox) {
        self.shared.metrics.yielded.inc_by(outbox.withheld());
        if outbox.is_empty() {
            return;
        }
        match self.shared.lane(key) {
            Some(lane) => lane.add(outbox, &self.shared.in_force().scores, &self.shared.budget),
            None => drop(self.shared.metrics.no_lane.inc_by(outbox.len() as u64)),
        }
        self.shared.make_room();
    }

    /// The downstream refused a sample of this tenant for a limit: scores give way first.
    pub fn yield_to_samples(&self, key: &LaneKey, retry_after: Option<std::time::Duration>) {
        let usual = self.shared.in_force().scores.yield_for.get();
        self.shared.restraints.refused(&key.tenant, retry_after, usual);
    }

    /// How many tenants' scores pause, and how many tenants' come back, after a refusal for a limit.
    pub fn restrained(&self) -> (usize, usize) {
        self.shared.restraints.standing()
    }

    /// Waits until every lane has sent what it had, or given up. Call it after `stop`.
    pub async fn drained(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

// === impl Shared ===

impl Shared {
    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// The lane called `key`, started if need be; `None` when there are as many as allowed.
    fn lane(self: &Arc<Self>, key: &LaneKey) -> Option<Arc<Lane>> {
        if let Some(lane) = self.lanes.get(key) {
            return Some(Arc::clone(&lane));
        }
        if self.lanes.len() >= self.in_force().scores.max_lanes as usize {
            return None;
        }
        // Not kept as a guard, which would hold the shard that `len` asks for.
        let lane = Arc::clone(&self.lanes.entry(key.clone()).or_insert_with(|| {
            let lane = Arc::new(Lane::default());
            let sender = sender::Sender::new(Arc::clone(self), key.clone(), Arc::clone(&lane));
            self.tasks.spawn_on(sender.run(), &self.runtime);
            lane
        }));
        self.metrics.lanes.set(self.lanes.len() as i64);
        Some(lane)
    }

    /// Drops scores until all that wait take no more than they may: always the oldest of the lane that holds
    /// the most, so that a tenant whose scores pile up does not cost another tenant's.
    fn make_room(&self) {
        let limit = self.in_force().scores.max_queue_size.as_usize();
        while self.budget.used() > limit {
            let largest = self.lanes.iter().max_by_key(|lane| lane.bytes()).map(|lane| Arc::clone(&lane));
            // What is on its way is held too, and cannot be dropped.
            let Some(scores) = largest.and_then(|lane| lane.drop_oldest()) else { return };
            self.metrics.queue_full.inc_by(scores as u64);
        }
    }
}
