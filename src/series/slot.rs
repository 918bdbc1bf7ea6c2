//! What the table keeps of one series.

use std::sync::Arc;

use super::labels::SeriesLabels;
use super::scopes::Scope;
use crate::batch::{Key, Sample};
use crate::context::Attached;
use crate::detect;
use crate::inject::{Fans, Workload};
use crate::prefetch::prefetch;
use crate::rules::Outputs;
use crate::signals::{Habit, Memberships, Signal};

/// Everything Sidelong remembers of one scored series, of fixed size but for its labels.
///
/// The newest sample waits before it teaches: it is learned from when the next one comes. So the same
/// sample can be judged again, by a retry or by a second scraper, against the very state it was first
/// judged against.
#[derive(Debug)]
pub struct Series {
    /// What its samples have taught.
    pub state: detect::State,
    /// The last sample that has taught.
    pub taught: Option<Sample>,
    /// The newest sample: judged, not yet learned from.
    pub newest: Option<Sample>,
    /// The score that the newest sample was given; a stale marker where that one ended the score series too.
    pub score: Option<f64>,
    /// What of this one is being sent; it owes a stale marker when it stops.
    pub emitting: Outputs,
    /// The forecasts of this one that are being sent; they end when it does.
    pub forecasting: Option<Arc<Fans>>,
    /// Where it stands in the counts.
    pub standing: Standing,
    /// What of it is judged.
    pub signal: Signal,
    /// Index of the deciding rule in the rule set of generation `rules`.
    pub rule: u16,
    /// Which rule set chose `rule`.
    pub generation: u16,
    /// When it was last seen, in seconds since the epoch, by the arrival clock.
    pub seen_s: u32,
    /// The contexts that are for it.
    pub context: Attached,
    /// The groups that it is a part of.
    pub memberships: Memberships,
    /// What is usual for it, if its end would be missed.
    pub habit: Option<Box<Habit>>,
    /// Whether it was made of others, and no sender has a series of its labels.
    pub made: bool,
    /// Whether it is here for its native histograms, of which something is made, and not for samples.
    pub histograms: bool,
    /// What was said of its newest sample, where no detector judges it.
    pub given: Option<Box<detect::Judgement>>,
    /// Workload that it is counted in while it stands there.
    pub workload: Option<Arc<Workload>>,
    /// Labels of the parts of its score, once they are asked for.
    pub parts: Option<Box<PartLabels>>,
    /// Whose state it goes on with, if with another's.
    pub inherited: Option<Box<Inherited>>,
    /// Labels of its score series.
    pub labels: Arc<SeriesLabels>,
    pub(super) scope: Arc<Scope>,
    pub(super) keys: [Key; 2],
}

/// The series that another one goes on from.
#[derive(Clone, Debug)]
pub struct Inherited {
    /// Its labels.
    pub from: Arc<SeriesLabels>,
    /// When it ended, or was last seen, in milliseconds since the epoch.
    pub ended_ms: i64,
}

/// The labels of the series that tell of the parts of a score: of each; or of an entity, of the one that weighs most.
#[derive(Clone, Debug, Default)]
pub struct PartLabels(pub Vec<Arc<SeriesLabels>>);

/// How a series stands in the counts of its workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Not counted: it was not scored yet, has ended, or was not seen for long.
    #[default]
    Out,
    /// Counted as scored.
    Ordinary,
    /// Counted as scored and as anomalous: the newest sample was scored 1 or above.
    Anomalous,
}

// === impl Series ===

impl Series {
    /// The scope that the series belongs to.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// Whether its score is being sent.
    #[inline]
    pub fn is_emitting(&self) -> bool {
        !self.emitting.is_empty()
    }

    /// Whether it takes part in the counts or in what is sent.
    pub fn is_counted(&self) -> bool {
        self.standing != Standing::Out || self.is_emitting() || self.forecasting.is_some()
    }

    /// Whether somebody is to be told when it ends.
    pub fn is_there(&self) -> bool {
        self.is_counted() || self.memberships.present
    }

    /// Goes on with what another series has learned. Its own samples stay its own.
    pub fn go_on_from(&mut self, state: detect::State, inherited: Inherited) {
        self.state = state;
        self.inherited = Some(Box::new(inherited));
    }

    /// Has what the next sample of it needs fetched from memory.
    #[inline]
    pub(super) fn prefetch(&self) {
        self.state.prefetch();
        self.memberships.prefetch();
        self.given.iter().for_each(|given| prefetch(&**given));
    }

    #[inline]
    pub(super) fn goes_by(&self, key: &Key) -> bool {
        self.keys[0] == *key || self.keys[1] == *key
    }
}

// === impl Standing ===

impl Standing {
    /// 1 for an anomalous series, else 0: what it counts for.
    pub fn anomalous(self) -> i64 {
        i64::from(self == Self::Anomalous)
    }
}
