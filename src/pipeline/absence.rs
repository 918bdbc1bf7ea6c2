//! Series that stop, against their own habit: `<metric>:absent` is told behind the batch by which it became certain.

use std::sync::Arc;

use super::clash::Claimed;
use super::observe::Observer;
use super::settings::{Plan, Settings};
use super::tally::Reason;
use super::{Pipeline, Visit, Wiring};
use crate::batch::{Key, Sample, stale_marker};
use crate::context::Effect;
use crate::inject::{Emit, Injected, Replica};
use crate::rules::Absence;
use crate::series::labels::{EXPORTED_REASON, Interner, METRIC_NAME, REASON, SeriesLabels};
use crate::series::{Scope, ScopeName, Series, SlotId, Table, identity};
use crate::signals::absence::{
    Book, Cause, Company, Enlisted, Glance, Relation, Room, Sent, Verdict, What, Wishes,
};

/// What Prometheus says of each target.
const UP: &str = "up";
/// The labels that name a target.
const TARGET: [&str; 2] = ["instance", "job"];

/// What the book of a scope asks of the corridor.
struct Known<'a> {
    table: &'a Table,
    settings: &'a Settings,
}

impl Company for Known<'_> {
    fn look(&mut self, at: SlotId, labels: &Arc<SeriesLabels>) -> Option<Glance> {
        let glance = |series: &mut Series| {
            let habit = series.habit.as_mut().filter(|_| Arc::ptr_eq(&series.labels, labels));
            habit.map(|habit| habit.glance())
        };
        self.table.with(at, glance)?
    }

    fn wishes(&mut self, labels: &SeriesLabels) -> Option<Arc<Wishes>> {
        let labels: Vec<_> = labels.scored().collect();
        self.settings.plan(self.settings.select(&labels)?).absence.clone()
    }
}

// === impl Pipeline ===

impl Pipeline {
    /// Has the series at `at` watched if its rule asks for it, or if it is the `up` of a target; from anew, if it was
    /// before. `false` if there is no room for its replica.
    pub(super) fn watch(&self, settings: &Settings, series: &mut Series, at: SlotId, now_ms: i64) -> bool {
        let plan = settings.plan(series.rule);
        let habit = series.habit.take();
        habit.as_ref().and_then(|habit| habit.place()).into_iter().for_each(|place| {
            series.scope().absences().leave(place);
        });
        if series.made || !settings.watches {
            return true; // what is made of others ends when they do
        }
        let relation = self.relation(plan, series.scope(), &series.labels);
        if plan.absence.is_none() && !relation.is_up {
            return true;
        }
        let mut habit = habit.unwrap_or_default();
        let enlisted = Enlisted {
            labels: &series.labels,
            at,
            wishes: plan.absence.as_ref(),
            generation: settings.generation,
            relation,
            habit: &mut habit,
            now_ms,
        };
        let replica = settings.replica_of(series.scope(), &series.labels);
        let has_room = series.scope().absences().watch(&replica, enlisted);
        series.habit = has_room.then_some(habit);
        has_room
    }

    /// The target of a series, and those that are one and the same as it.
    fn relation(&self, plan: &Plan, scope: &Scope, labels: &SeriesLabels) -> Relation {
        let is_page = matches!(scope.name(), ScopeName::Target(_));
        let named = TARGET.iter().filter_map(|name| Some((*name, labels.get(name)?)));
        let of_labels = || Some(self.series.key(scope, named.clone())).filter(|_| named.clone().count() > 0);
        Relation {
            // All of a page is of one target.
            target: if is_page { Some(Key([0, 0])) } else { of_labels() },
            is_up: !is_page && is_up(labels.metric_name()),
            is_watched: plan.absence.is_some(),
            kin: plan.inheritance.as_ref().map(|heirs| identity(scope, &plan.name, labels, &heirs.without)),
            within_ms: plan.inheritance.as_ref().map_or(0, |heirs| heirs.within_ms),
        }
    }

    /// Says which series of `visit`'s scope and replica are absent, and which are not any more.
    pub(super) fn tell_absences(
        &self,
        settings: &Settings,
        visit: &Visit<'_>,
        replica: &Replica,
        observer: &mut Observer<'_, impl Emit>,
    ) {
        let mut books = visit.scope.absences().books();
        for news in std::mem::take(&mut observer.news) {
            if let Some(book) = books.get_mut(news.place.book()) {
                book.take(&news);
            }
        }
        let Some(book) = books.iter_mut().find(|book| book.is_of(replica) && !book.is_empty()) else {
            return;
        };
        let is_page = matches!(visit.wiring, Wiring::Page { .. });
        for sent in book.goodbyes() {
            let at_ms = sent.newest.timestamp_ms.saturating_add(1);
            observer.out.emit(&sent.labels, sent.name, Sample { timestamp_ms: at_ms, value: stale_marker() });
        }
        if visit.wiring.teaches() {
            listen(book, settings, visit);
            let mut known = Known { table: &self.series, settings };
            while let Some(verdict) = book.next(&mut known) {
                self.say(settings, visit, book, verdict, observer);
            }
        }
        if is_page {
            // What is not on a page has ended.
            for sent in book.all_sent() {
                let sample = Sample { timestamp_ms: visit.now_ms, ..sent.newest };
                observer.out.emit(&sent.labels, sent.name, sample);
            }
        }
    }

    fn say(
        &self,
        settings: &Settings,
        visit: &Visit<'_>,
        book: &mut Book,
        verdict: Verdict,
        observer: &mut Observer<'_, impl Emit>,
    ) {
        let Verdict { watch, at_ms, what } = verdict;
        let is_page = matches!(visit.wiring, Wiring::Page { .. });
        match what {
            What::Missed { cause, score } => {
                // What is known beforehand is no anomaly, and takes nobody's room.
                let is_silenced = book.weigh(watch, observer.board, at_ms).is_some_and(Effect::silences);
                if book.sent(watch).is_none() {
                    if is_silenced {
                        return;
                    }
                    let sent = self.claim_absent(settings, visit.scope, book, (watch, cause), observer);
                    book.send(watch, sent);
                }
                let Some(sent) = book.sent_mut(watch) else { return };
                let value = if is_silenced { 0.0 } else { score };
                sent.newest = Sample { timestamp_ms: at_ms, value };
                // A page has all of them at its end.
                if !is_page {
                    observer.out.emit(&sent.labels, sent.name, sent.newest);
                }
            }
            What::Over { returned } => {
                let Some(sent) = book.stop_sending(watch) else { return };
                if returned {
                    let timestamp_ms = if is_page { visit.now_ms } else { at_ms };
                    observer.out.emit(&sent.labels, sent.name, Sample { timestamp_ms, value: 0.0 });
                }
                let timestamp_ms = at_ms.saturating_add(i64::from(returned));
                observer.out.emit(&sent.labels, sent.name, Sample { timestamp_ms, value: stale_marker() });
            }
        }
    }

    /// Claims room for the score of an absent series; nothing where as many are sent as may be, or where the stream has
    /// one that is called the same.
    fn claim_absent(
        &self,
        settings: &Settings,
        scope: &Scope,
        book: &Book,
        (watch, cause): (u32, Cause),
        observer: &mut Observer<'_, impl Emit>,
    ) -> Option<Sent> {
        let (labels, wishes) = (book.labels(watch)?, book.wishes(watch)?);
        let labels = Arc::new(labels_of_absent(labels, cause, self.series.interner()));
        if self.is_taken(scope, &labels, [Claimed::Output(Injected::AnomalyScore)].into_iter()) {
            observer.tally.unscored(Reason::Clash, 1);
            return None;
        }
        let counts = [(&self.injected, settings.limits.max_injected), (&wishes.told, wishes.max_series)];
        let Some(room) = Room::take(counts) else {
            observer.tally.unscored(Reason::ScoreLimit, 1);
            return None;
        };
        observer.tally.absences[cause as usize] += 1;
        let (name, newest) =
            (settings.names.of(Injected::AnomalyScore), Sample { timestamp_ms: 0, value: 0.0 });
        Some(Sent { labels, name, newest, room })
    }

    /// What was last sent of the absent series of `scope`.
    pub(super) fn repeat_absences(&self, scope: &Scope, out: &mut impl Emit) {
        let books = scope.absences().books();
        books.iter().flat_map(|book| book.all_sent()).for_each(|sent| {
            out.emit(&sent.labels, sent.name, sent.newest);
        });
    }
}

// === impl Observer ===

impl<E: Emit> Observer<'_, E> {
    /// Lets a sample teach what is usual for its series, if its end would be missed. What is suppressed teaches nothing:
    /// neither a sample nor a time away that begins or ends there.
    #[inline]
    pub(super) fn attend(&mut self, series: &mut Series, plan: &Plan, sample: Sample) {
        let Some(habit) = &series.habit else { return };
        let at_ms = sample.timestamp_ms;
        let missed = habit.missed_until(at_ms).into_iter().flatten();
        let is_suppressed = missed.chain([at_ms]).any(|moment_ms| self.is_suppressed(series, moment_ms));
        let wishes = plan.absence.as_deref().filter(|_| !is_suppressed);
        let Some(habit) = &mut series.habit else { return };
        habit.note(at_ms, wishes, &mut self.news);
        if habit.is_up() {
            habit.note_up(at_ms, sample.value > 0.0, &mut self.news);
        }
    }
}

// === impl Wishes ===

impl Wishes {
    /// What `absence` asks for, of series that may raise `a_week` alerts.
    pub(super) fn of(absence: &Absence, a_week: f64) -> Self {
        Self {
            after: absence.after,
            seen_for_ms: absence.seen_for_ms,
            forget_after_ms: absence.forget_after_ms,
            a_week,
            max_series: absence.max_series,
            told: Arc::default(),
        }
    }
}

/// Whether series of this name say of targets whether they could be scraped.
pub(super) fn is_up(name: &str) -> bool {
    name == UP
}

/// The book hears when its scope was there, and goes on.
fn listen(book: &mut Book, settings: &Settings, visit: &Visit<'_>) {
    let watermark_ms = match visit.wiring {
        // All of a page comes at once, at the time of its scrape.
        Wiring::Page { .. } => {
            book.hear(visit.now_ms);
            0
        }
        Wiring::Gateway | Wiring::LoopBack => {
            for sample in &visit.batch.samples {
                // A sender whose clock is ahead makes nobody else late.
                book.hear(sample.timestamp_ms.min(visit.now_ms));
            }
            settings.signals.watermark_ms()
        }
    };
    book.go_on(watermark_ms, settings.generation);
}

/// The labels of the score of an absent series: those of its own score, by the name `<metric>:absent`, and the reason.
fn labels_of_absent(labels: &SeriesLabels, cause: Cause, interner: &Interner) -> SeriesLabels {
    let name = format!("{}:absent", labels.metric_name());
    let renamed = labels.scored().map(|(label, value)| match label {
        METRIC_NAME => (label, name.as_str()),
        REASON => (EXPORTED_REASON, value),
        _ => (label, value),
    });
    let labels: Vec<_> = renamed.chain([(REASON, cause.as_str())]).collect();
    SeriesLabels::of_scored(&labels, interner)
}
