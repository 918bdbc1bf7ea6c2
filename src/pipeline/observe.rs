//! One sample of one series: settle what came before, judge, send.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::clash::Claimed;
use super::inherit::Left;
use super::leave::Farewell;
use super::settings::{Plan, Settings};
use super::tally::{Reason, Tally};
use super::{Pipeline, Visit, Wiring};
use crate::batch::{Sample, is_stale_marker, stale_marker};
use crate::context::{Board, Effect};
use crate::detect::{Detector, Explanation, Judgement, Shares};
use crate::inject::{Emit, Injected, Replica, Telling};
use crate::rules::Output;
use crate::series::labels::{Interner, PART, SeriesLabels};
use crate::series::{PartLabels, Series, SlotId, Standing};
use crate::signals::{Given, Groups, News, Seen, Signal};

/// A longer time between two samples of a series was not scored.
const LONGEST_STEP_MS: i64 = 3_600_000;
/// What is said where nothing can be said.
const NOTHING: Judgement = Judgement { score: 0.0, expected: f64::NAN, lower: f64::NAN, upper: f64::NAN };
/// What is said of a sample that is not judged at all.
const UNJUDGED: Judgement = Judgement { score: f64::NAN, ..NOTHING };

/// Judges the samples of one batch and sends what the rules ask for.
pub(super) struct Observer<'a, E> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) detector: &'a Detector,
    pub(super) settings: &'a Settings,
    pub(super) board: &'a Board,
    latest_ms: i64,
    pub(super) now_s: u32,
    pub(super) teach: bool,
    /// The groups of the scope; nobody's where a score is only repeated.
    pub(super) groups: Option<MutexGuard<'a, Groups>>,
    /// Series that ended, and may leave something.
    pub(super) left: Vec<Left>,
    /// What became known of series whose end would be missed.
    pub(super) news: Vec<News>,
    pub(super) out: &'a mut E,
    /// Whether a forecast became due, and where the series lie of which one did.
    pub(super) is_due: bool,
    pub(super) due: Vec<SlotId>,
    pub(super) tally: Tally,
}

// === impl Observer ===

impl<'a, E: Emit> Observer<'a, E> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        detector: &'a Detector,
        (settings, board): (&'a Settings, &'a Board),
        visit: &'a Visit<'_>,
        out: &'a mut E,
    ) -> Self {
        Self {
            pipeline,
            detector,
            settings,
            board,
            latest_ms: visit.now_ms.saturating_add(settings.limits.max_future_ms),
            now_s: seconds(visit.now_ms),
            teach: visit.wiring.teaches(),
            groups: Some(visit.scope.groups()),
            out,
            left: Vec::new(),
            news: Vec::new(),
            is_due: false,
            due: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Judges `sample`, lets it teach if this batch does, and sends its score.
    #[inline]
    pub(super) fn observe(&mut self, series: &mut Series, sample: Sample) {
        let plan = self.settings.plan(series.rule);
        if let Err(reason) = self.check(series, sample) {
            return self.pass_by(series, plan, sample, reason);
        }
        if self.teach && series.state.is_forecast_due() {
            self.forecast(series);
        }
        if is_stale_marker(sample.value) {
            return self.end(series, sample.timestamp_ms);
        }
        if self.teach {
            self.settle(series, plan);
        }
        let mut judged = NOTHING;
        if plan.judged {
            judged = self.judge(series, plan, sample);
            judged = self.in_context(series, sample.timestamp_ms, judged);
        }
        if self.teach {
            self.contribute(series, plan, sample, judged.score);
            self.attend(series, plan, sample);
        }
        if !plan.told {
            return self.look_at(series, sample);
        }
        if self.teach {
            self.remember(series, plan, sample, judged.score);
            self.out.hear(&series.labels, sample, judged);
            self.look_ahead(series, plan, sample);
        } else if series.forecasting.is_some() {
            self.repeat_forecasts(series, plan, sample.timestamp_ms);
        }
        self.send(series, plan, sample, judged);
    }

    /// Sends what a group says of `sample`, which no detector judges.
    pub(super) fn observe_given(&mut self, series: &mut Series, sample: Sample, given: Given) {
        let plan = self.settings.plan(series.rule);
        if let Err(reason) = self.check(series, sample) {
            return self.pass_by(series, plan, sample, reason);
        }
        let judged = match given {
            Given::Away { expected, spread, distance } => {
                plan.demands.judge_distance(sample.value, expected, spread, distance)
            }
            Given::Together(parts) => {
                // It teaches at once, since a step closes once; but not where nothing is to be learned.
                let (at_ms, demands) = (sample.timestamp_ms, &plan.demands);
                let suppressed = self.is_suppressed(series, at_ms).then(|| series.state.clone());
                let judged = self.detector.judge_together(&mut series.state, at_ms, &parts, demands);
                suppressed.into_iter().for_each(|before| series.state = before);
                judged
            }
        };
        series.taught = series.newest.filter(|newest| newest.value.is_finite());
        **series.given.get_or_insert_with(|| Box::new(judged)) = judged;
        let judged = self.in_context(series, sample.timestamp_ms, judged);
        self.remember(series, plan, sample, judged.score);
        self.out.hear(&series.labels, sample, judged);
        self.send(series, plan, sample, judged);
    }

    /// Hands `sample` and its score to the groups that the series is a part of.
    #[inline]
    fn contribute(&mut self, series: &mut Series, plan: &Plan, sample: Sample, score: f64) {
        if series.memberships.is_empty() {
            return;
        }
        series.memberships.present = true;
        let rate = Signal::Rate.at(series.taught, sample);
        // While a part warms up nothing is known of it, which is not the same as nothing being rare.
        // Neither is a score that a context has made 0.
        let silenced = self.effect_at(series, sample.timestamp_ms).is_some_and(Effect::silences);
        let score = if silenced { f64::NAN } else { score };
        let score = (plan.judged && series.state.is_warm(&plan.demands)).then_some(score);
        let Some(groups) = &mut self.groups else { return };
        groups.put(&series.memberships, &Seen { sample, rate, score });
    }

    /// A series that no rule selects, but that something is made of: nothing is said of it.
    fn look_at(&mut self, series: &mut Series, sample: Sample) {
        if self.teach {
            (series.newest, series.seen_s, series.score) = (Some(sample), self.now_s, None);
            if series.standing != Standing::Out {
                self.pipeline.stand(self.settings, series, Standing::Out);
            }
        }
        self.tally.unselected += 1;
    }

    /// Whether `sample` is news: newer than its series' newest, not too new, and a number.
    #[inline]
    pub(super) fn check(&self, series: &Series, sample: Sample) -> Result<(), Reason> {
        if sample.timestamp_ms > self.latest_ms {
            return Err(Reason::Future);
        }
        // A page that does not teach is judged against the state before its interval, whatever came since.
        if let Some(newest) = series.newest.filter(|_| self.teach) {
            if sample.timestamp_ms < newest.timestamp_ms {
                return Err(Reason::OutOfOrder);
            }
            // One replica of a pair says that the series ended, the other that it goes on: it goes on.
            let goes_on = is_stale_marker(newest.value) && !is_stale_marker(sample.value);
            if sample.timestamp_ms == newest.timestamp_ms && !goes_on {
                return Err(Reason::Duplicate);
            }
        }
        if !sample.value.is_finite() && !is_stale_marker(sample.value) {
            return Err(Reason::NotFinite);
        }
        Ok(())
    }

    /// A sample that teaches nothing. A repeat of the newest sample, as a retry brings it, is sent again
    /// what was sent for it.
    #[cold]
    pub(super) fn pass_by(&mut self, series: &mut Series, plan: &Plan, sample: Sample, reason: Reason) {
        if self.teach {
            series.seen_s = self.now_s;
            if reason == Reason::NotFinite {
                self.attend(series, plan, sample); // it is there, whatever it says
                if plan.told {
                    self.out.hear(&series.labels, sample, UNJUDGED);
                }
            }
        }
        let repeated = reason == Reason::Duplicate && series.newest == Some(sample);
        if repeated && series.forecasting.is_some() {
            self.repeat_forecasts(series, plan, sample.timestamp_ms);
        }
        match series.score.filter(|_| repeated) {
            Some(end) if is_stale_marker(end) => self.emit_stale(series, plan, sample.timestamp_ms),
            Some(score) if series.is_emitting() => {
                let again = Judgement { score, ..self.judge(series, plan, sample) };
                self.emit(series, plan, sample, again);
            }
            _ if repeated => {}
            _ => self.tally.unscored(reason, 1),
        }
    }

    /// Lets the newest sample teach, now that the next one has come.
    #[inline]
    fn settle(&self, series: &mut Series, plan: &Plan) {
        let Some(newest) = series.newest.take_if(|newest| newest.value.is_finite()) else { return };
        if plan.judged
            && series.given.is_none()
            && !self.is_suppressed(series, newest.timestamp_ms)
            && let Some(signal) = series.signal.at(series.taught, newest)
        {
            self.detector.learn(&mut series.state, newest.timestamp_ms, signal, &plan.demands);
        }
        series.taught = Some(newest);
    }

    #[inline]
    fn judge(&self, series: &mut Series, plan: &Plan, sample: Sample) -> Judgement {
        if let Some(given) = &series.given {
            return **given;
        }
        // A counter's first sample has no rate and a series' first no forecast: both warm up.
        let Some(signal) = series.signal.at(series.taught, sample) else { return NOTHING };
        self.detector.judge(&mut series.state, sample.timestamp_ms, signal, &plan.demands).unwrap_or(NOTHING)
    }

    #[inline]
    fn remember(&mut self, series: &mut Series, plan: &Plan, sample: Sample, score: f64) {
        series.newest = Some(sample);
        series.score = Some(score);
        series.seen_s = self.now_s;
        let standing = if score >= 1.0 { Standing::Anomalous } else { Standing::Ordinary };
        if standing != series.standing {
            self.turn(series, plan, standing);
        }
        if let Some(before) = series.taught {
            let since_ms = sample.timestamp_ms.saturating_sub(before.timestamp_ms);
            let since_ms = since_ms.clamp(0, LONGEST_STEP_MS);
            self.tally.scored_ms += since_ms as u64;
            self.tally.allowed_ms += (since_ms as f64 * plan.demands.budget.a_week()) as u64;
        }
        self.tally.count_score(score);
        self.tally.anomalous += u64::from(standing == Standing::Anomalous);
    }

    #[inline]
    fn send(&mut self, series: &mut Series, plan: &Plan, sample: Sample, judged: Judgement) {
        let wanted = plan.emit.is_sent(judged.score, series.is_emitting());
        let sent = wanted && (series.is_emitting() || self.claim(series, plan));
        if sent {
            self.emit(series, plan, sample, judged);
        } else if series.is_emitting() {
            self.emit_stale(series, plan, sample.timestamp_ms);
        }
        if self.teach && !sent {
            self.pipeline.release(series);
        }
    }

    #[inline]
    fn emit(&mut self, series: &mut Series, plan: &Plan, sample: Sample, judged: Judgement) {
        let timestamp_ms = sample.timestamp_ms;
        if !plan.band {
            let sample = Sample { timestamp_ms, value: judged.score };
            return self.out.emit(&series.labels, self.settings.names.of(Injected::AnomalyScore), sample);
        }
        let told = if plan.outputs.are_explained() { self.explain(series, plan, sample) } else { None };
        for output in plan.outputs.iter() {
            let value = match Injected::from(output) {
                Injected::Yhat => judged.expected,
                Injected::YhatLower => judged.lower,
                Injected::YhatUpper => judged.upper,
                Injected::AnomalyConfidence => told.as_ref().map_or(f64::NAN, |told| told.confidence),
                Injected::AnomalyPart if series.state.joint().is_some() => {
                    self.emit_heaviest(series, timestamp_ms);
                    continue;
                }
                Injected::AnomalyPart => {
                    // A score of 0 has no parts, whatever made it 0.
                    let shares = told.as_ref().and_then(|told| told.shares).filter(|_| judged.score > 0.0);
                    shares.into_iter().for_each(|shares| self.emit_parts(series, timestamp_ms, shares.all()));
                    continue;
                }
                _ => judged.score,
            };
            // A forecast that does not exist yet is not sent.
            if !value.is_nan() {
                let name = self.settings.names.of(output.into());
                self.out.emit(&series.labels, name, Sample { timestamp_ms, value });
            }
        }
    }

    #[cold]
    fn explain(&self, series: &Series, plan: &Plan, sample: Sample) -> Option<Explanation> {
        let signal = series.signal.at(series.taught, sample)?;
        self.detector.explain(&series.state, sample.timestamp_ms, signal, &plan.demands)
    }

    /// Sends a value for each part of the score.
    fn emit_parts(&mut self, series: &mut Series, timestamp_ms: i64, values: [f64; Shares::NAMES.len()]) {
        let interner = self.pipeline.series.interner();
        let labels = series.parts.get_or_insert_with(|| Box::new(labels_of_parts(&series.labels, interner)));
        let name = self.settings.names.of(Injected::AnomalyPart);
        for (labels, value) in labels.0.iter().zip(values) {
            self.out.emit(labels, name, Sample { timestamp_ms, value });
        }
    }

    /// Sends what the heaviest part of an entity weighs, if it weighs anything.
    fn emit_heaviest(&mut self, series: &Series, timestamp_ms: i64) {
        let share = series.state.joint().map_or(0.0, |joint| f64::from(joint.share));
        let name = self.settings.names.of(Injected::AnomalyPart);
        let labels = series.parts.iter().flat_map(|parts| &parts.0).filter(|_| share > 0.0);
        labels.for_each(|labels| self.out.emit(labels, name, Sample { timestamp_ms, value: share }));
    }

    /// Turns to the part called `heaviest` for what [`Self::emit_heaviest`] sends; that of another one ends.
    pub(super) fn turn_to(&mut self, series: &mut Series, heaviest: &str, timestamp_ms: i64) {
        if !self.settings.plan(series.rule).outputs.contains(Output::AnomalyPart) {
            return;
        }
        let told = series.parts.iter().flat_map(|parts| &parts.0);
        if told.into_iter().any(|labels| labels.get(PART) == Some(heaviest)) {
            return;
        }
        let (name, end) =
            (self.settings.names.of(Injected::AnomalyPart), Sample { timestamp_ms, value: stale_marker() });
        if let Some(before) = series.parts.take().filter(|_| series.is_emitting()) {
            before.0.iter().for_each(|labels| self.out.emit(labels, name, end));
        }
        let labels = series.labels.with_part(heaviest, self.pipeline.series.interner());
        series.parts = Some(Box::new(PartLabels(vec![Arc::new(labels)])));
    }

    /// Sends again what was last sent of `series`, unless it has ended.
    pub(super) fn repeat(&mut self, series: &mut Series) {
        let (Some(newest), Some(score), true) = (series.newest, series.score, series.is_emitting()) else {
            return;
        };
        let plan = self.settings.plan(series.rule);
        let judged = Judgement { score, ..self.judge(series, plan, newest) };
        self.emit(series, plan, newest, judged);
    }

    /// Sends the counts of the workloads of `visit`'s scope and replica, behind its scores.
    pub(super) fn tell_workloads(&mut self, visit: &Visit<'_>, replica: &Replica) {
        let page = matches!(visit.wiring, Wiring::Page { .. });
        // The times of a page's samples are the page's own affair; a count stands at the time of the scrape.
        let newest = visit.batch.samples.iter().map(|sample| sample.timestamp_ms).max();
        let at_ms = newest.filter(|_| !page).map_or(visit.now_ms, |newest| newest.min(visit.now_ms));
        let telling = Telling { names: &self.settings.names, at_ms, page };
        let taken = |output, labels: &_| {
            self.pipeline.is_taken(visit.scope, labels, [Claimed::Output(output)].into_iter())
        };
        self.pipeline.workloads.tell(visit.scope, replica, telling, taken, self.out);
    }

    /// The series ended: so do the series that were made of it.
    pub(super) fn end(&mut self, series: &mut Series, timestamp_ms: i64) {
        let plan = self.settings.plan(series.rule);
        if series.is_emitting() {
            self.emit_stale(series, plan, timestamp_ms);
        }
        self.end_forecasts(series, timestamp_ms);
        if !self.teach {
            return;
        }
        self.settle(series, plan);
        if plan.told && !series.histograms {
            self.out.hear(&series.labels, Sample { timestamp_ms, value: stale_marker() }, UNJUDGED);
        }
        if let Some(groups) = &mut self.groups {
            series.memberships.present = false;
            groups.end(&series.memberships, timestamp_ms);
        }
        if let Some(habit) = &mut series.habit {
            habit.end(timestamp_ms, &mut self.news);
        }
        let has_ended = series.newest.is_some_and(|newest| is_stale_marker(newest.value));
        series.newest = Some(Sample { timestamp_ms, value: stale_marker() });
        series.score = series.is_emitting().then_some(stale_marker());
        // Its end was sent, in time.
        drop(self.pipeline.retire(self.settings, series));
        series.seen_s = self.now_s;
        if !has_ended {
            self.left.extend(Left::of(self.settings, series, timestamp_ms));
        }
    }

    /// The series became anomalous, or ordinary again, or is counted from now on.
    #[cold]
    fn turn(&mut self, series: &mut Series, plan: &Plan, standing: Standing) {
        if standing == Standing::Anomalous {
            self.tally.alerts += 1;
            plan.findings.fetch_add(1, Ordering::Relaxed);
        }
        self.pipeline.stand(self.settings, series, standing);
    }

    /// Claims room for the series that are made of this one; `false` if `scores.max_series` are being sent, or if
    /// the stream has one that is called the same.
    #[cold]
    fn claim(&mut self, series: &mut Series, plan: &Plan) -> bool {
        if !self.teach {
            return false; // what the teaching scrape of this interval did not send is not sent now either
        }
        let claims = plan.outputs.iter().map(|output| Claimed::Output(output.into()));
        if self.pipeline.is_taken(series.scope(), &series.labels, claims) {
            self.tally.unscored(Reason::Clash, 1);
            return false;
        }
        let count = plan.outputs.count();
        let before = self.pipeline.injected.fetch_add(count, Ordering::Relaxed);
        if before + count > self.settings.limits.max_injected {
            self.pipeline.injected.fetch_sub(count, Ordering::Relaxed);
            self.tally.unscored(Reason::ScoreLimit, 1);
            return false;
        }
        series.emitting = plan.outputs;
        true
    }

    /// Sends the stale markers that a series owes which leaves without an end of its own.
    #[cold]
    pub(super) fn bid(&mut self, farewell: &Farewell) {
        self.tally.stale += 1;
        let end = Sample { timestamp_ms: farewell.at_ms, value: stale_marker() };
        for output in farewell.outputs.iter().map(Injected::from) {
            let name = farewell.names.of(output);
            if output == Injected::AnomalyPart {
                farewell.parts.0.iter().for_each(|labels| self.out.emit(labels, name, end));
            } else {
                self.out.emit(&farewell.labels, name, end);
            }
        }
        farewell.forecasts.iter().for_each(|name| self.out.emit(&farewell.labels, name, end));
    }

    fn emit_stale(&mut self, series: &mut Series, plan: &Plan, timestamp_ms: i64) {
        self.tally.stale += 1;
        for output in plan.outputs.iter().map(Injected::from) {
            let (name, end) =
                (self.settings.names.of(output), Sample { timestamp_ms, value: stale_marker() });
            if output == Injected::AnomalyPart {
                let parts = series.parts.iter().flat_map(|parts| &parts.0);
                parts.for_each(|labels| self.out.emit(labels, name, end));
                continue;
            }
            self.out.emit(&series.labels, name, end);
        }
    }
}

/// The labels of each part of the score of the series that `labels` are of.
fn labels_of_parts(labels: &SeriesLabels, interner: &Interner) -> PartLabels {
    PartLabels(Shares::NAMES.iter().map(|part| Arc::new(labels.with_part(part, interner))).collect())
}

/// Sends again what was last sent of `series`, unless it has ended.
pub(super) fn repeat(
    pipeline: &Pipeline,
    detector: &Detector,
    (settings, board): (&Settings, &Board),
    series: &mut Series,
    out: &mut impl Emit,
) {
    let mut observer = Observer {
        pipeline,
        detector,
        settings,
        board,
        latest_ms: i64::MAX,
        now_s: series.seen_s,
        teach: false,
        groups: None,
        out,
        left: Vec::new(),
        news: Vec::new(),
        is_due: false,
        due: Vec::new(),
        tally: Tally::default(),
    };
    observer.repeat(series);
    observer.tell_forecasts(series, settings.plan(series.rule));
}

/// Milliseconds since the epoch as whole seconds, held to what 32 bits can say.
pub(super) fn seconds(ms: i64) -> u32 {
    u32::try_from(ms.max(0) / 1_000).unwrap_or(u32::MAX)
}
