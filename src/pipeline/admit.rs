//! Finding the series of a batch, admitting new ones, and shedding others when the budget is spent.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::inherit::Estate;
use super::leave::{Farewell, end_of};
use super::observe::{Observer, seconds};
use super::settings::{Plan, Settings};
use super::tally::Reason;
use super::{Pipeline, Visit, Wiring};
use crate::batch::SeriesSpan;
use crate::inject::{Emit, Replica};
use crate::rules::Outputs;
use crate::series::{Cursor, Found, Newcomer, Refused, Scope, Series, SlotId, Walk};
use crate::signals::Departure;

/// At most this share of the table is evicted at once, so that a sweep is paid for by many newcomers.
const SHED_SHARE: usize = 64;
/// After a sweep that found nobody to evict, none is tried for this long.
const SWEEP_PAUSE_S: u32 = 10;

/// Finds the series of one batch in the table.
pub(super) struct Admission<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) settings: &'a Settings,
    pub(super) visit: &'a Visit<'a>,
    replica: &'a Replica,
    /// The replica of the pair that was heard before this one.
    before: Option<Arc<str>>,
    pub(super) walk: Walk<'a>,
    pub(super) now_s: u32,
    pub(super) labels: LabelBuffer,
    /// The series in hand.
    pub(super) at: Option<SlotId>,
}

/// When the table may be swept again.
#[derive(Debug, Default)]
pub(super) struct Sheds {
    not_before_s: AtomicU32,
}

/// The labels of one series, copied out of their source. Reused for all newcomers of a batch.
#[derive(Default)]
pub(super) struct LabelBuffer {
    bytes: Vec<u8>,
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

// === impl Admission ===

impl<'a> Admission<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        settings: &'a Settings,
        visit: &'a Visit<'a>,
        replica: &'a Replica,
        before: Option<Arc<str>>,
        cursor: &Cursor,
    ) -> Self {
        let mut walk = pipeline.series.walk(cursor);
        if visit.wiring.is_whole() {
            walk.leave_trail();
        }
        Self {
            pipeline,
            settings,
            visit,
            replica,
            before,
            walk,
            now_s: seconds(visit.now_ms),
            labels: LabelBuffer::default(),
            at: None,
        }
    }

    /// The series that `span` belongs to; `None` if no rule selects it. `observer` says of those that go for
    /// it that they end.
    #[inline]
    pub(super) fn admit(
        &mut self,
        span: &SeriesSpan,
        observer: &mut Observer<'_, impl Emit>,
    ) -> Result<Option<&mut Series>, Reason> {
        let generation = self.settings.generation;
        if let Some(id) = self.walk.step(&span.key, generation) {
            self.at = Some(id);
            return Ok(self.walk.series(id));
        }
        let id = match self.walk.find(&span.key) {
            Found::Known(id) => id,
            Found::Unselected => return Ok(None),
            Found::New => match self.meet(span, observer)? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        self.at = Some(id);
        if self.walk.series(id).is_some_and(|series| series.generation != generation)
            && !self.select_anew(id, observer)
        {
            self.remember_unselected(span);
            return Ok(None);
        }
        Ok(self.walk.series(id))
    }

    /// Where the series in hand lies.
    pub(super) fn at(&self) -> Option<SlotId> {
        self.at
    }

    /// Where the sender's next batch begins. The table is let go of.
    pub(super) fn into_cursor(self) -> Cursor {
        self.walk.into_cursor()
    }

    /// Forgets the series in hand: its state may be half changed.
    pub(super) fn bury(&mut self, observer: &mut Observer<'_, impl Emit>) {
        self.walk.release();
        if let Some((_, farewell)) = self.at.take().and_then(|id| self.pipeline.evict(self.settings, id)) {
            observer.bid(&farewell);
        }
    }

    /// A key that was never met: another spelling of a known series, an unselected or a new one.
    #[cold]
    fn meet(
        &mut self,
        span: &SeriesSpan,
        observer: &mut Observer<'_, impl Emit>,
    ) -> Result<Option<SlotId>, Reason> {
        self.walk.release();
        self.labels.fill(self.visit, span);
        let sorted = self.labels.sorted().ok_or(Reason::Labels)?;
        let newcomer =
            Newcomer { scope: self.visit.scope, key: span.key, sorted: &sorted, now_s: self.now_s };
        let table = &self.pipeline.series;
        if let Some(known) = table.recognise(&newcomer)? {
            self.take_over(known);
            return Ok(Some(known));
        }
        let Some(rule) = self.settings.select(&sorted) else {
            if self.visit.wiring == Wiring::Gateway
                && let Some(farewell) = self.pipeline.give_way(self.settings, self.visit.scope, &sorted)
            {
                observer.bid(&farewell);
            }
            self.remember_unselected(span);
            return Ok(None);
        };
        // A page that must not teach must not make series either.
        if !self.visit.wiring.teaches() {
            return Ok(None);
        }
        let estate = self.estate(&sorted);
        self.pipeline.make_room(self.settings, &newcomer, rule)?;
        // Also of this series, where it comes back: what it has sent before ends before it begins anew.
        self.pipeline.bid_farewells(self.visit.scope, self.replica, observer);
        let id = table.insert(&newcomer, rule, self.settings.generation).ok_or(Reason::SeriesLimit)?;
        let detector = observer.detector;
        table.with(id, |series| detector.begin(&mut series.state, |label| series.labels.get(label)));
        let (pipeline, settings, tally) = (self.pipeline, self.settings, &mut observer.tally);
        match estate {
            Some(estate) => pipeline.endow(settings, id, estate, tally),
            None => {
                let begun_ms = self.visit.batch.samples_of(span).first().map(|first| first.timestamp_ms);
                let begun_ms = begun_ms.unwrap_or(self.visit.now_ms);
                pipeline.welcome(settings, self.visit.scope, id, begun_ms, self.now_s, tally);
            }
        }
        self.walk.continue_behind(id);
        if let Some(series) = self.walk.series(id) {
            self.pipeline.enrol(self.settings, series, &sorted, observer);
            let watched = self.pipeline.watch(self.settings, series, id, self.visit.now_ms);
            observer.tally.groups_refused += u64::from(!watched);
        }
        Ok(Some(id))
    }

    /// A sender has a series of the labels of one that is made of others: it is the sender's from now on.
    fn take_over(&mut self, id: SlotId) {
        if let Some(series) = self.walk.series(id).filter(|series| series.made) {
            (series.made, series.state, series.score) = (false, Default::default(), None);
            (series.taught, series.newest) = (None, None);
            series.generation = series.generation.wrapping_sub(1); // it is to be selected anew
        }
    }

    /// What the other replica of the pair leaves to the series of labels `sorted`, if that was heard before.
    fn estate(&self, sorted: &[(&str, &str)]) -> Option<Estate> {
        let before = self.before.as_deref()?;
        self.pipeline.estate_of(self.settings, self.visit.scope, sorted, before, self.now_s)
    }

    /// The rules have changed since the series was selected: asks them again. `false` if none selects it.
    #[cold]
    pub(super) fn select_anew(&mut self, id: SlotId, observer: &mut Observer<'_, impl Emit>) -> bool {
        let settings = self.settings;
        let Some(series) = self.walk.series(id) else { return false };
        self.pipeline.move_to_its_replica(settings, series);
        let labels: Vec<_> = series.labels.scored().collect();
        let rule = match series {
            Series { made: true, .. } => settings.select_made(&labels),
            Series { histograms: true, .. } => settings.select_histograms(&labels),
            _ => settings.select(&labels),
        };
        if let Some(rule) = rule {
            let plan = settings.plan(rule);
            if let Some(farewell) = self.pipeline.rename(settings, series, plan) {
                observer.bid(&farewell);
            }
            series.rule = rule;
            series.generation = settings.generation;
            plan.series.fetch_add(1, Ordering::Relaxed);
            if series.memberships.are_outdated(&settings.signals) {
                let labels = Arc::clone(&series.labels);
                let mut sorted: Vec<_> = labels.scored().collect();
                sorted.sort_unstable();
                self.pipeline.join_groups(settings, series, &sorted, observer);
            }
            let watched = self.pipeline.watch(settings, series, id, self.visit.now_ms);
            observer.tally.groups_refused += u64::from(!watched);
            let signal = plan.signal(series.labels.metric_name(), series.made);
            if signal != series.signal {
                // What was learned of the value says nothing of the rate.
                (series.signal, series.state, series.taught) = (signal, Default::default(), None);
                series.inherited = None;
            }
            return true;
        }
        self.walk.release();
        if let Some((_, farewell)) = self.pipeline.evict(settings, id) {
            observer.bid(&farewell);
        }
        false
    }

    pub(super) fn remember_unselected(&self, span: &SeriesSpan) {
        let (settings, table) = (self.settings, &self.pipeline.series);
        table.remember_unselected(span.key, settings.limits.max_series, settings.generation);
    }
}

// === impl Pipeline: the budget of series ===

impl Pipeline {
    /// Makes sure that one more series may be inserted, evicting idle or less important ones.
    pub(super) fn make_room(
        &self,
        settings: &Settings,
        newcomer: &Newcomer<'_>,
        rule: u16,
    ) -> Result<(), Refused> {
        let limits = &settings.limits;
        if newcomer.scope.series() >= limits.max_series_per_scope {
            return Err(Refused::ScopeFull);
        }
        if self.series.len() < limits.max_series {
            return Ok(());
        }
        if newcomer.now_s < self.sheds.not_before_s.load(Ordering::Relaxed) {
            return Err(Refused::TableFull);
        }
        let victims = self.victims(settings, newcomer.now_s, rule);
        if victims.is_empty() {
            self.sheds.not_before_s.store(newcomer.now_s.saturating_add(SWEEP_PAUSE_S), Ordering::Relaxed);
            return Err(Refused::TableFull);
        }
        for (scope, farewell) in victims.into_iter().filter_map(|id| self.evict(settings, id)) {
            self.keep(settings, &scope, farewell, newcomer.now_s);
        }
        Ok(())
    }

    /// Takes the series of scopes that made room for others out of the table.
    #[cold]
    pub(super) fn evict_left_series(&self, settings: &Settings) {
        let mut left = Vec::new();
        self.series.for_each(|id, series| {
            if series.scope().is_gone() {
                left.push(id);
            }
        });
        // Their scopes are gone, so there is nobody to whom a farewell could be said.
        left.into_iter().for_each(|id| drop(self.evict(settings, id)));
    }

    /// Who goes: the longest idle; where nobody is idle, series of the least important rule, if `rule`
    /// is more important.
    fn victims(&self, settings: &Settings, now_s: u32, rule: u16) -> Vec<SlotId> {
        let limits = &settings.limits;
        let idle_before = now_s.saturating_sub(limits.idle_after_s);
        let least = settings.least_important().filter(|least| settings.outranks(rule, *least));
        let (mut idle, mut minor) = (Vec::new(), Vec::new());
        self.series.for_each(|id, series| {
            if series.seen_s < idle_before {
                idle.push((series.seen_s, id));
            } else if series.generation == settings.generation && Some(series.rule) == least {
                minor.push((series.seen_s, id));
            }
        });
        let mut victims = if idle.is_empty() { minor } else { idle };
        victims.sort_unstable_by_key(|(seen_s, _)| *seen_s);
        victims.truncate((limits.max_series / SHED_SHARE).max(1));
        victims.into_iter().map(|(_, id)| id).collect()
    }

    /// Takes a series out of the table and out of every count. What it owes is to be sent.
    pub(super) fn evict(&self, settings: &Settings, id: SlotId) -> Option<(Arc<Scope>, Farewell)> {
        let (series, farewell) = self.take_out(settings, id)?;
        farewell.map(|farewell| (Arc::clone(series.scope()), farewell))
    }

    /// The same, and what it has learned is given too.
    pub(super) fn take_out(&self, settings: &Settings, id: SlotId) -> Option<(Series, Option<Farewell>)> {
        let mut series = self.series.evict(id)?;
        let farewell = self.retire(settings, &mut series);
        if !series.memberships.is_empty() {
            let end_ms = end_of(&series);
            let departure = Departure::Left(std::mem::take(&mut series.memberships), end_ms);
            series.scope().depart(departure);
        }
        if let Some(place) = series.habit.as_ref().and_then(|habit| habit.place()) {
            series.scope().absences().leave(place);
        }
        if series.generation == settings.generation {
            settings.plan(series.rule).series.fetch_sub(1, Ordering::Relaxed);
        }
        Some((series, farewell))
    }

    /// What `series` owes when what is made of it is what `plan` says from now on, called by `settings`. Scores that stay
    /// are claimed again with the next sample, forecasts that stay are kept.
    fn rename(&self, settings: &Settings, series: &mut Series, plan: &Plan) -> Option<Farewell> {
        let names = settings.names_of(series.generation);
        let renamed = !names.are(&settings.names);
        let given_up = self.give_up_forecasts(series, &plan.fans);
        let forecasts = given_up.names().collect();
        if series.emitting == plan.outputs && !renamed {
            return Farewell::of(series, Outputs::NONE, forecasts, names);
        }
        let sent = self.release(series);
        Farewell::of(series, if renamed { sent } else { sent.without(plan.outputs) }, forecasts, names)
    }
}

impl Settings {
    /// The rule with series in the table that ranks last.
    fn least_important(&self) -> Option<u16> {
        let held = (0..self.plans.len() as u16).filter(|rule| self.series_of(*rule) > 0);
        held.reduce(|least, rule| if self.outranks(least, rule) { rule } else { least })
    }

    /// Whether `rule` outranks `other`: by priority, then by what one finding of it has cost in series.
    fn outranks(&self, rule: u16, other: u16) -> bool {
        let rank = |rule: u16| (self.plan(rule).priority, -self.cost_per_finding(rule));
        rank(rule) > rank(other)
    }

    fn series_of(&self, rule: u16) -> usize {
        self.plan(rule).series.load(Ordering::Relaxed)
    }

    /// Series that a rule holds in the table for each anomaly that it has found.
    fn cost_per_finding(&self, rule: u16) -> f64 {
        let findings = self.plan(rule).findings.load(Ordering::Relaxed);
        self.series_of(rule) as f64 / (findings + 1) as f64
    }
}

impl From<Refused> for Reason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TableFull => Self::SeriesLimit,
            Refused::ScopeFull => Self::ScopeLimit,
            Refused::Collision => Self::Labels,
        }
    }
}

// === impl LabelBuffer ===

impl LabelBuffer {
    pub(super) fn fill(&mut self, visit: &Visit<'_>, span: &SeriesSpan) {
        self.bytes.clear();
        self.pairs.clear();
        let Self { bytes, pairs } = self;
        visit.labels.for_each_label(&span.labels, &mut |name, value| {
            let start = bytes.len();
            bytes.extend_from_slice(name);
            let middle = bytes.len();
            bytes.extend_from_slice(value);
            pairs.push((start..middle, middle..bytes.len()));
        });
    }

    /// The labels sorted by name, without empty values, which are the same as no label. `None` if they are
    /// not text or a name stands twice.
    pub(super) fn sorted(&self) -> Option<Vec<(&str, &str)>> {
        let text = |range: &Range<usize>| std::str::from_utf8(&self.bytes[range.clone()]).ok();
        let mut sorted = Vec::with_capacity(self.pairs.len());
        for (name, value) in self.pairs.iter().filter(|(_, value)| !value.is_empty()) {
            sorted.push((text(name)?, text(value)?));
        }
        sorted.sort_unstable();
        let repeated = sorted.windows(2).any(|two| two[0].0 == two[1].0);
        (!repeated && !sorted.is_empty()).then_some(sorted)
    }
}
