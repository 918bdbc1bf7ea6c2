//! Scores travel in requests of their own, so that a downstream that refuses a score never refuses a
//! sample. A *lane* is a queue of scores that may share a request: one tenant, one set of credentials,
//! one replica of a highly available pair. Within a lane everything is in order.

mod answer;
mod lane;
mod metrics;
mod outbox;
mod restraint;
mod sender;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use dashmap::DashMap;
use http::HeaderValue;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Downstream, Version};
use crate::config::sections::{self, Protocol};
use crate::wire::remote_write::Tape;
use lane::Lane;
use restraint::Restraints;

pub(crate) use answer::limited;
pub use metrics::ScoreMetrics;
pub use outbox::Outbox;

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

/// Takes scores from the scorers and sends them downstream.
#[derive(Clone, Debug)]
pub struct ScoreForwarder {
    shared: Arc<Shared>,
}

/// What all lanes share.
#[derive(Debug)]
struct Shared {
    config: sections::Scores,
    downstream: Downstream,
    tenant_header: http::HeaderName,
    protocol: AtomicU8,
    lanes: DashMap<LaneKey, Arc<Lane>>,
    restraints: Restraints,
    metrics: Arc<ScoreMetrics>,
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

const UNKNOWN: u8 = 0;
const SPEAKS_V1: u8 = 1;
const SPEAKS_V2: u8 = 2;

// === impl ScoreForwarder ===

impl ScoreForwarder {
    /// Sends to `downstream` until `stop`. Must be made on a runtime; scorers may use it from any thread.
    pub fn new(
        config: sections::Scores,
        protocol: Protocol,
        downstream: Downstream,
        tenant_header: http::HeaderName,
        metrics: Arc<ScoreMetrics>,
        stop: CancellationToken,
    ) -> Self {
        let protocol = AtomicU8::new(match protocol {
            Protocol::Auto => UNKNOWN,
            Protocol::V1 => SPEAKS_V1,
            Protocol::V2 => SPEAKS_V2,
        });
        let restraints = Restraints::new(config.max_lanes as usize);
        let shared = Shared {
            config,
            downstream,
            tenant_header,
            protocol,
            lanes: DashMap::new(),
            restraints,
            metrics,
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Where the scores of one batch are collected, about `expected` of them. `tape` is the one that the thread's
    /// last box was made with.
    pub fn outbox(&self, key: &LaneKey, expected: usize, tape: Tape) -> Outbox {
        let speaks_v2 = self.shared.protocol.load(Ordering::Relaxed) == SPEAKS_V2;
        let version = if speaks_v2 { Version::V2 } else { Version::V1 };
        let batch_size = self.shared.config.batch_size as usize;
        Outbox::new(version, batch_size, self.shared.restraints.share(&key.tenant), expected, tape)
    }

    /// Queues what `outbox` has collected. Nothing waits here: what does not fit drops the oldest.
    pub fn send(&self, key: &LaneKey, outbox: Outbox) {
        self.shared.metrics.yielded.inc_by(outbox.withheld());
        if outbox.is_empty() {
            return;
        }
        match self.shared.lane(key) {
            Some(lane) => lane.add(outbox, &self.shared.config, &self.shared.metrics),
            None => drop(self.shared.metrics.no_lane.inc_by(outbox.len() as u64)),
        }
    }

    /// The downstream refused a sample of this tenant for a limit: scores give way first.
    pub fn yield_to_samples(&self, key: &LaneKey, retry_after: Option<std::time::Duration>) {
        self.shared.restraints.refused(&key.tenant, retry_after, self.shared.config.yield_for.get());
    }

    /// Waits until every lane has sent what it had, or given up. Call it after `stop`.
    pub async fn drained(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

// === impl Shared ===

impl Shared {
    /// The lane called `key`, started if need be; `None` when there are as many as allowed.
    fn lane(self: &Arc<Self>, key: &LaneKey) -> Option<Arc<Lane>> {
        if let Some(lane) = self.lanes.get(key) {
            return Some(Arc::clone(&lane));
        }
        if self.lanes.len() >= self.config.max_lanes as usize {
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
}
