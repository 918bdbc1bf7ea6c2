//! The series that are made of others: they walk the corridor behind the batch that completed them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::admit::Admission;
use super::observe::{self, Observer};
use super::settings::Settings;
use super::tally::Reason;
use super::{Pipeline, Wiring};
use crate::inject::Emit;
use crate::series::{Newcomer, Series, SlotId};
use crate::signals::{Joining, Made, MadeId};

// === impl Pipeline: what is made of others ===

impl Pipeline {
    /// Ends the series that were made of others because an earlier configuration asked for them.
    pub(super) fn end_unasked(&self, settings: &Settings, observer: &mut Observer<'_, impl Emit>) {
        let Some(groups) = &mut observer.groups else { return };
        for id in groups.go_by(&settings.signals) {
            let is_made = self.series.with(id, |series| series.made) == Some(true);
            if let Some((_, farewell)) = Some(id).filter(|_| is_made).and_then(|id| self.evict(settings, id))
            {
                observer.bid(&farewell);
            }
        }
    }

    /// Counts a newcomer in under its rule, and in its groups.
    pub(super) fn enrol(
        &self,
        settings: &Settings,
        series: &mut Series,
        sorted: &[(&str, &str)],
        observer: &mut Observer<'_, impl Emit>,
    ) {
        let plan = settings.plan(series.rule);
        plan.series.fetch_add(1, Ordering::Relaxed);
        series.signal = plan.signal(series.labels.metric_name(), series.made);
        self.join_groups(settings, series, sorted, observer);
    }

    /// Makes `series` a part of the groups that it belongs to.
    pub(super) fn join_groups(
        &self,
        settings: &Settings,
        series: &mut Series,
        sorted: &[(&str, &str)],
        observer: &mut Observer<'_, impl Emit>,
    ) {
        if series.made || (settings.signals.is_empty() && series.memberships.is_empty()) {
            return;
        }
        let Some(groups) = &mut observer.groups else { return };
        let (own, interner) = (&series.labels, self.series.interner());
        let newcomer = Joining { labels: sorted, own, histograms: series.histograms };
        let (memberships, refused) = groups.join(&settings.signals, newcomer, &series.memberships, interner);
        series.memberships = memberships;
        observer.tally.groups_refused += refused;
    }
}

// === impl Admission: what is made of others ===

impl Admission<'_> {
    /// Has everything scored that the batch has completed.
    pub(super) fn score_made(&mut self, observer: &mut Observer<'_, impl Emit>) {
        while let Some(made) = observer.groups.as_mut().and_then(|groups| groups.next_made()) {
            let scored = catch_unwind(AssertUnwindSafe(|| self.score_one(made, observer)));
            if scored.is_err() {
                observer.tally.unscored(Reason::Panic, 1);
                self.bury(observer);
            }
        }
        if let Some(groups) = &mut observer.groups {
            observer.tally.late += groups.take_late();
        }
        if matches!(self.visit.wiring, Wiring::Page { .. }) {
            self.repeat_made(observer);
        }
    }

    fn score_one(&mut self, made: Made, observer: &mut Observer<'_, impl Emit>) {
        let heaviest = observer.groups.as_ref().and_then(|groups| groups.heaviest(made.of));
        match self.admit_made(made.of, observer) {
            Ok(Some(series)) => {
                if let Some(part) = heaviest.as_ref().map(|labels| labels.metric_name()) {
                    observer.turn_to(series, part, made.sample.timestamp_ms);
                }
                match made.given {
                    Some(given) => observer.observe_given(series, made.sample, given),
                    None => observer.observe(series, made.sample),
                }
                observer.note_due(self.at());
            }
            Ok(None) => {} // it ended before it began
            Err(reason) => observer.tally.unscored(reason, 1),
        }
    }

    /// The series in the table that `of` stands for, put there if need be.
    fn admit_made(
        &mut self,
        of: MadeId,
        observer: &mut Observer<'_, impl Emit>,
    ) -> Result<Option<&mut Series>, Reason> {
        let Some(made) = observer.groups.as_mut().and_then(|groups| groups.series(of)) else {
            return Ok(None);
        };
        let is_it = |series: &Series| series.made && Arc::ptr_eq(&series.labels, &made.labels);
        let known = made.at.filter(|id| self.walk.visit(*id).is_some_and(|series| is_it(series)));
        let id = match known {
            Some(id) => id,
            None => self.settle_made(of, observer)?,
        };
        self.at = Some(id);
        let generation = self.settings.generation;
        if self.walk.series(id).is_some_and(|series| series.generation != generation)
            && !self.select_anew(id, observer)
        {
            return Ok(None);
        }
        Ok(self.walk.series(id))
    }

    /// Finds the place of a made series in the table, or gives it one.
    #[cold]
    fn settle_made(&mut self, of: MadeId, observer: &mut Observer<'_, impl Emit>) -> Result<SlotId, Reason> {
        self.walk.release();
        let (settings, pipeline, scope) = (self.settings, self.pipeline, self.visit.scope);
        let made = observer.groups.as_mut().and_then(|groups| groups.series(of)).ok_or(Reason::Labels)?;
        let labels = Arc::clone(&made.labels);
        let mut sorted: Vec<_> = labels.scored().collect();
        sorted.sort_unstable();
        let table = &pipeline.series;
        let id = match table.look_up(scope, sorted.clone()) {
            Some(id) if table.with(id, |series| series.made) == Some(true) => id,
            // The stream has a series of these labels of its own.
            Some(_) => return Err(Reason::Clash),
            None => {
                let rule = settings.select_made(&sorted).ok_or(Reason::Labels)?;
                let key = table.key(scope, sorted.iter().copied());
                let newcomer =
                    Newcomer { scope, key, sorted: &sorted, now_s: observe::seconds(self.visit.now_ms) };
                pipeline.make_room(settings, &newcomer, rule)?;
                let id = table.insert(&newcomer, rule, settings.generation).ok_or(Reason::SeriesLimit)?;
                settings.plan(rule).series.fetch_add(1, Ordering::Relaxed);
                table.with(id, |series| series.made = true);
                id
            }
        };
        made.labels = table.with(id, |series| Arc::clone(&series.labels)).ok_or(Reason::SeriesLimit)?;
        made.at = Some(id);
        Ok(id)
    }

    /// A series that is not on a page has ended: what goes on without news is repeated.
    fn repeat_made(&mut self, observer: &mut Observer<'_, impl Emit>) {
        let Some(groups) = &observer.groups else { return };
        for id in groups.places().collect::<Vec<_>>() {
            let generation = self.settings.generation;
            if let Some(series) = self.walk.series(id).filter(|s| s.made && s.generation == generation) {
                observer.repeat(series);
            }
        }
    }
}
