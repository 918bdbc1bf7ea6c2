//! What a series leaves to the one that takes its place: after a rollout the same work goes on under new labels.
//!
//! Only where a series begins or ends is anything done: no sample pays for it. What an heir takes is a copy of what
//! the other has learned, so that a series which comes back after a failed scrape is where it was. Counters begin
//! anew: the last value of another process says nothing of a rate. The replicas of a pair are another matter: they
//! scrape the very same counters, and the state moves with all of it.

use std::sync::Arc;

use super::Pipeline;
use super::settings::Settings;
use super::tally::Tally;
use crate::batch::{Key, Sample, is_stale_marker};
use crate::detect::State;
use crate::rules::Inheritance;
use crate::series::labels::SeriesLabels;
use crate::series::{Inherited, Party, Role, Scope, Series, SlotId, Standing, identity};
use crate::signals::{Habit, Signal};

/// A series that ended in this batch, and may leave something.
#[derive(Debug)]
pub(super) struct Left {
    scope: Arc<Scope>,
    labels: Arc<SeriesLabels>,
    rule: u16,
    at_ms: i64,
}

/// All that a replica leaves to the other one of its pair.
#[derive(Debug)]
pub(super) struct Estate {
    signal: Signal,
    state: State,
    taught: Option<Sample>,
    newest: Option<Sample>,
    habit: Option<Box<Habit>>,
    inherited: Inherited,
}

// === impl Left ===

impl Left {
    /// What `series`, which ended at `at_ms`, may leave: nothing where its rule lets nobody inherit, or while it
    /// knows too little itself.
    pub(super) fn of(settings: &Settings, series: &Series, at_ms: i64) -> Option<Self> {
        if series.generation != settings.generation {
            return None; // it was selected by rules that are no more
        }
        let plan = settings.plan(series.rule);
        let is_warm = series.state.samples_seen() >= plan.demands.min_samples;
        (plan.inheritance.is_some() && is_warm).then(|| Self {
            scope: Arc::clone(series.scope()),
            labels: Arc::clone(&series.labels),
            rule: series.rule,
            at_ms,
        })
    }
}

// === impl Pipeline: heirs ===

impl Pipeline {
    /// Lets the series at `id`, which begins at `at_ms`, go on where one of its identity ended; else it waits for one
    /// that ends shortly.
    pub(super) fn welcome(
        &self,
        settings: &Settings,
        scope: &Scope,
        id: SlotId,
        at_ms: i64,
        now_s: u32,
        tally: &mut Tally,
    ) {
        let Some((rule, labels)) = self.series.with(id, |series| (series.rule, Arc::clone(&series.labels)))
        else {
            return;
        };
        let plan = settings.plan(rule);
        let Some(inheritance) = &plan.inheritance else { return };
        let identity = identity(scope, &plan.name, &labels, &inheritance.without);
        let signal = plan.signal(labels.metric_name(), false);
        for ended in self.heirs.candidates(identity, Role::Ended, &labels, at_ms, inheritance.within_ms) {
            self.heirs.settle(identity, &ended);
            // It may have made room for another, or have come back.
            let Some(state) = self.left_by(scope, &ended.labels, signal) else { continue };
            let inherited = Inherited { from: ended.labels, ended_ms: ended.at_ms };
            let given = self.series.with(id, |series| series.go_on_from(state, inherited));
            tally.inherited += u64::from(given.is_some());
            return;
        }
        self.wait_for_the_other(settings, inheritance, identity, Role::New, labels, at_ms, now_s);
    }

    /// Gives what the series of `left` have learned to new ones of their identities that began shortly before; else
    /// it waits for one that begins shortly. No chunk of the table is held.
    pub(super) fn pass_on(&self, settings: &Settings, mut left: Vec<Left>, now_s: u32, tally: &mut Tally) {
        // In the order of the stream, whatever order they lie in.
        left.sort_by_key(|left| left.at_ms);
        for Left { scope, labels, rule, at_ms } in left {
            let plan = settings.plan(rule);
            let Some(inheritance) = &plan.inheritance else { continue };
            let identity = identity(&scope, &plan.name, &labels, &inheritance.without);
            let signal = plan.signal(labels.metric_name(), false);
            let within_ms = inheritance.within_ms;
            let Some(state) = self.left_by(&scope, &labels, signal) else { continue };
            let heir =
                self.heirs.candidates(identity, Role::New, &labels, at_ms, within_ms).into_iter().find(
                    |heir| {
                        let inherited = Inherited { from: Arc::clone(&labels), ended_ms: at_ms };
                        self.give(&scope, heir, signal, &state, inherited)
                    },
                );
            match heir {
                Some(heir) => {
                    self.heirs.settle(identity, &heir);
                    tally.inherited += 1;
                }
                None => self.wait_for_the_other(
                    settings,
                    inheritance,
                    identity,
                    Role::Ended,
                    labels,
                    at_ms,
                    now_s,
                ),
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each says something else of who waits")]
    fn wait_for_the_other(
        &self,
        settings: &Settings,
        inheritance: &Inheritance,
        identity: Key,
        role: Role,
        labels: Arc<SeriesLabels>,
        at_ms: i64,
        now_s: u32,
    ) {
        // An end that nobody tells is found by the sweep, after the idle timeout and at most a turn.
        let within_s = u32::try_from(inheritance.within_ms / 1_000).unwrap_or(u32::MAX);
        let keep_s = within_s.saturating_add(settings.limits.idle_after_s.saturating_mul(2));
        self.heirs.wait(identity, role, labels, at_ms, now_s, keep_s);
    }

    /// A copy of what the series of `labels` has learned of `signal`, if it is in the table and has ended.
    fn left_by(&self, scope: &Scope, labels: &SeriesLabels, signal: Signal) -> Option<State> {
        let id = self.series.look_up(scope, labels.scored().collect())?;
        let state = |series: &mut Series| {
            (series.standing == Standing::Out && series.signal == signal)
                .then(|| series.state.clone().for_heir())
        };
        self.series.with(id, state)?
    }

    /// Gives `state` to `heir`, if that is still there and has seen less.
    fn give(&self, scope: &Scope, heir: &Party, signal: Signal, state: &State, inherited: Inherited) -> bool {
        let Some(id) = self.series.look_up(scope, heir.labels.scored().collect()) else { return false };
        let given = self.series.with(id, |series| {
            let goes_on = series.newest.is_some_and(|newest| !is_stale_marker(newest.value));
            let knows_less = series.state.samples_seen() < state.samples_seen();
            let takes = goes_on && knows_less && series.signal == signal && series.inherited.is_none();
            if takes {
                series.go_on_from(state.clone(), inherited);
            }
            takes
        });
        given == Some(true)
    }
}

// === impl Pipeline: replicas ===

impl Pipeline {
    /// What the series of labels `sorted` was under the replica called `before`, which is taken out of the table:
    /// the pair has one state. `None` if it is not there.
    pub(super) fn estate_of(
        &self,
        settings: &Settings,
        scope: &Scope,
        sorted: &[(&str, &str)],
        before: &str,
        now_s: u32,
    ) -> Option<Estate> {
        let name = settings.ha_pair.as_ref()?.label(settings)?;
        let labels = sorted.iter().map(|&(label, value)| (label, if label == name { before } else { value }));
        let id = self.series.look_up(scope, labels.collect())?;
        let (mut series, farewell) = self.take_out(settings, id)?;
        if let Some(farewell) = farewell {
            // With the next batch of that replica: a request never mixes two.
            self.keep(settings, scope, farewell, now_s);
        }
        let last = series.newest.or(series.taught)?;
        Some(Estate {
            signal: series.signal,
            state: std::mem::take(&mut series.state),
            taught: series.taught,
            newest: series.newest,
            habit: series.habit.take(),
            inherited: Inherited { from: Arc::clone(&series.labels), ended_ms: last.timestamp_ms },
        })
    }

    /// Lets the series at `id` go on with `estate`.
    pub(super) fn endow(&self, settings: &Settings, id: SlotId, estate: Estate, tally: &mut Tally) {
        let Estate { signal, state, taught, newest, habit, inherited } = estate;
        let taken = self.series.with(id, |series| {
            let is_same =
                settings.plan(series.rule).signal(series.labels.metric_name(), series.made) == signal;
            if is_same {
                series.go_on_from(state, inherited);
                (series.taught, series.newest) = (taught, newest);
                series.habit = habit.map(Habit::moved);
            }
            is_same
        });
        tally.inherited += u64::from(taken == Some(true));
    }
}
