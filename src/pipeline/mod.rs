//! The corridor: one batch in, its scores out. Synchronous, from the first line to the last.

mod absence;
mod admit;
mod budget;
mod clash;
mod context;
mod explain;
mod foresee;
mod histograms;
mod holdings;
mod inherit;
mod leave;
mod make;
mod memory;
mod observe;
mod replicas;
mod settings;
mod tally;
mod totals;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::RwLock;

use crate::batch::{Batch, LabelSource};
use crate::inject::{Emit, ScoreSample, Workloads};
use crate::model::ModelHandle;
use crate::series::{Heirs, Scope, ScopeName, Scopes, Table};
use admit::Admission;
use observe::Observer;
use replicas::Voice;

pub use budget::{Budget, RuleBudget};
pub use explain::{Explained, InheritedFrom};
pub use holdings::Holding;
pub use memory::{Forgotten, Memory};
pub use settings::{Limits, Settings};
pub use tally::{Reason, Tally};
pub use totals::{Counts, Totals};

/// Scores batches. Shared by all scorers; one batch runs on one thread.
#[derive(Debug)]
pub struct Pipeline {
    model: ModelHandle,
    series: Table,
    scopes: Scopes,
    workloads: Workloads,
    settings: RwLock<Arc<Settings>>,
    sheds: admit::Sheds,
    sweep: leave::Sweep,
    farewells: leave::Farewells,
    taken: clash::Taken,
    heirs: Heirs,
    elections: replicas::Elections,
    injected: Arc<AtomicUsize>,
    totals: Arc<Totals>,
}

/// By which way a batch came, and where its scores go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// A write request: its scores follow it downstream.
    Gateway,
    /// A write request: its scores are read at `/scores`.
    LoopBack,
    /// A page, with all that its target has to say: its scores stand at its end.
    Page {
        /// Whether its samples teach. A page that is scraped again within its interval does not: it is
        /// scored against the state before the interval.
        teach: bool,
    },
}

/// A batch on its way through the corridor.
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    /// Who owns its series.
    pub scope: &'a Arc<Scope>,
    /// The decoded batch.
    pub batch: &'a Batch,
    /// Where its labels can be read.
    pub labels: &'a dyn LabelSource,
    /// The arrival clock, in milliseconds since the epoch.
    pub now_ms: i64,
    /// Its way.
    pub wiring: Wiring,
}

// === impl Wiring ===

impl Wiring {
    /// Whether the samples teach.
    pub fn teaches(self) -> bool {
        self != Self::Page { teach: false }
    }

    /// Whether a series that is not there has ended.
    fn is_whole(self) -> bool {
        self == Self::Page { teach: true }
    }
}

// === impl Pipeline ===

impl Pipeline {
    /// A corridor with nothing learned yet.
    pub fn new(
        model: ModelHandle,
        mut settings: Settings,
        scopes: Scopes,
        workloads: Workloads,
        table: Table,
    ) -> Self {
        settings.name_forecasts(table.interner());
        let settings = RwLock::new(Arc::new(settings));
        Self {
            model,
            series: table,
            scopes,
            workloads,
            settings,
            sheds: admit::Sheds::default(),
            sweep: leave::Sweep::default(),
            farewells: leave::Farewells::default(),
            taken: clash::Taken::default(),
            heirs: Heirs::default(),
            elections: replicas::Elections::default(),
            injected: Arc::default(),
            totals: Arc::default(),
        }
    }

    /// Scores every selected series of the visiting batch. Never fails: what cannot be scored is counted
    /// and skipped, and the batch itself is never touched.
    pub fn score(&self, visit: &Visit<'_>, out: &mut impl Emit) -> Tally {
        let tally = self.walk(visit, out);
        self.totals.add(&tally);
        tally
    }

    /// What came of all batches.
    pub fn totals(&self) -> Arc<Totals> {
        Arc::clone(&self.totals)
    }

    fn walk(&self, visit: &Visit<'_>, out: &mut impl Emit) -> Tally {
        let model = self.model.current(); // one version for the whole batch
        let settings = self.settings(); // and one set of rules
        let board = settings.board(); // and of contexts
        if self.scopes.take_left_series() {
            self.evict_left_series(&settings);
        }
        let replica = settings.replica_of_batch(visit);
        let mut observer = Observer::new(self, &model.detector, (&settings, &board), visit, out);
        self.end_unasked(&settings, &mut observer);
        self.bid_farewells(visit.scope, &replica, &mut observer);
        let voice = self.elections.hear(&settings, visit.scope, &replica, visit.now_ms);
        let Voice::Heard { before } = voice else {
            observer.tally.unscored(Reason::Replica, visit.batch.samples.len() as u64);
            observer.tell_workloads(visit, &replica);
            return observer.tally;
        };
        let mut cursor = visit.scope.take_cursor();
        let mut admission = Admission::new(self, &settings, visit, &replica, before, &cursor);
        let mut next = 0;
        while next < visit.batch.series.len() {
            let walked =
                catch_unwind(AssertUnwindSafe(|| run(&mut admission, &mut observer, visit, &mut next)));
            if walked.is_err() {
                // A detector that panics loses the series it broke on, not the batch.
                observer.tally.unscored(Reason::Panic, 1);
                admission.bury(&mut observer);
                next += 1;
            }
        }
        admission.take_histograms(&mut observer);
        admission.score_made(&mut observer);
        let last = std::mem::replace(&mut cursor, admission.into_cursor());
        match visit.wiring.is_whole() {
            true => {
                let chunks = cursor.chunks_with(&last);
                self.retire_absent(&settings, visit, &chunks, &mut observer);
            }
            false => cursor.keep_trail(last),
        }
        visit.scope.put_cursor(cursor);
        self.forecast(&settings, &mut observer);
        self.tell_absences(&settings, visit, &replica, &mut observer);
        observer.tell_workloads(visit, &replica);
        let now_s = observe::seconds(visit.now_ms);
        self.sweep(&settings, now_s, &mut observer.left);
        self.pass_on(&settings, observer.left, now_s, &mut observer.tally);
        observer.tally
    }

    /// The scope called `name`, made if need be; `None` where as many tenants or targets are known as may be,
    /// and none has been idle for long enough to make room.
    pub fn scope(&self, name: &ScopeName, now_ms: i64) -> Option<Arc<Scope>> {
        self.scopes.get(name, observe::seconds(now_ms), &self.settings.read().limits.scopes)
    }

    /// The newest score of every series of `scope` that is being sent and has not ended, each with the
    /// timestamp of the sample that it judges; and the newest counts of each workload that such a series is in,
    /// with the timestamp at which they were counted.
    pub fn newest(&self, scope: &Scope) -> Vec<ScoreSample> {
        let (model, settings) = (self.model.current(), self.settings());
        let board = settings.board();
        let (mut scores, mut workloads) = (Vec::new(), HashMap::new());
        self.series.for_each(|_, series| {
            if series.scope().id() != scope.id() || series.generation != settings.generation {
                return;
            }
            observe::repeat(self, &model.detector, (&settings, &board), series, &mut scores);
            // Counted whatever is sent of it, but for one that has ended.
            if let Some(workload) = series.workload.as_ref().filter(|_| series.score.is_some()) {
                workloads.entry(Arc::as_ptr(workload)).or_insert_with(|| Arc::clone(workload));
            }
        });
        self.repeat_absences(scope, &mut scores);
        workloads.values().for_each(|workload| workload.repeat(&settings.names, &mut scores));
        scores
    }

    /// The configuration in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// Puts `settings` in force from the next batch on. Series keep what they have learned; which rule
    /// they fall under is decided anew when they are next seen.
    pub fn configure(&self, mut settings: Settings) {
        let mut current = self.settings.write();
        settings.follow(&current);
        settings.name_forecasts(self.series.interner());
        let generation = settings.generation;
        *current = Arc::new(settings);
        drop(current);
        self.taken.clear();
        self.series.rules_changed(generation);
    }

    /// The series that are being scored.
    pub fn series(&self) -> &Table {
        &self.series
    }

    /// The tenants and targets that are known.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The workloads that are counted.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }
}

impl std::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("scope", &self.scope.name()).finish_non_exhaustive()
    }
}

/// Walks the batch from `next` on. What is behind `next` is done, also when this panics.
fn run(
    admission: &mut Admission<'_>,
    observer: &mut Observer<'_, impl Emit>,
    visit: &Visit<'_>,
    next: &mut usize,
) {
    while let Some(span) = visit.batch.series.get(*next) {
        let samples = visit.batch.samples_of(span);
        match admission.admit(span, observer) {
            Ok(Some(series)) => {
                samples.iter().for_each(|sample| observer.observe(series, *sample));
                observer.note_due(admission.at());
            }
            Ok(None) => observer.tally.unselected += samples.len() as u64,
            Err(reason) => observer.tally.unscored(reason, samples.len() as u64),
        }
        *next += 1;
    }
}

#[cfg(test)]
mod swap_tests;
#[cfg(test)]
mod tests;
