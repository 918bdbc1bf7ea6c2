//! What series will be: forecasts are made behind the batch that they were due in, so that no score waits for them.
//!
//! A forecast is of the state that its series' newest sample left, and stands at that sample's time, however samples are
//! spread over batches. So one that was not made behind its batch, because the same batch has a later sample of the
//! series or too many were due, is made before the next sample of the series.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Pipeline;
use super::clash::Claimed;
use super::observe::Observer;
use super::settings::{Plan, Settings};
use super::tally::Reason;
use crate::batch::{Sample, stale_marker};
use crate::detect::Foretold;
use crate::inject::{Emit, Fan, Fans};
use crate::series::{Series, SlotId};

/// Series that are forecast behind one batch, at the most: some milliseconds of work.
const MOST_BEHIND_A_BATCH: usize = 1_024;
/// Who asks for the newest scores is told of forecasts that are no older: a Prometheus would refuse what is older than
/// an hour.
const NEWEST_MS: i64 = 1_800_000;

// === impl Pipeline ===

impl Pipeline {
    /// Makes the forecasts that became due in the batch of `observer`.
    pub(super) fn forecast(&self, settings: &Settings, observer: &mut Observer<'_, impl Emit>) {
        let due = std::mem::take(&mut observer.due);
        for id in due.into_iter().take(MOST_BEHIND_A_BATCH) {
            let forecast = || self.series.with(id, |series| observer.forecast(series));
            if catch_unwind(AssertUnwindSafe(forecast)).is_err() {
                observer.tally.unscored(Reason::Panic, 1);
                if let Some((_, farewell)) = self.evict(settings, id) {
                    observer.bid(&farewell);
                }
            }
        }
    }

    /// Gives back what `series` has claimed for forecasts other than `kept`, which is what they are.
    pub(super) fn give_up_forecasts(&self, series: &mut Series, kept: &Fans) -> Fans {
        let Some(sent) = series.forecasting.take() else { return Fans::default() };
        let given_up = sent.without(kept);
        let stays = sent.without(&given_up);
        self.injected.fetch_sub(given_up.count(), Ordering::Relaxed);
        series.forecasting = (!stays.is_empty()).then(|| Arc::new(stays));
        given_up
    }
}

// === impl Observer ===

impl<E: Emit> Observer<'_, E> {
    /// Lets the newest sample teach what forecasts need, if its rule asks for them.
    #[inline]
    pub(super) fn look_ahead(&mut self, series: &mut Series, plan: &Plan, sample: Sample) {
        let Series { state, labels, .. } = series;
        state.look_out_for(&plan.horizons, || labels.phase());
        if plan.horizons.is_empty() || self.is_suppressed(series, sample.timestamp_ms) {
            return;
        }
        let Series { state, signal, taught, .. } = series;
        if let Some(signal) = signal.at(*taught, sample) {
            self.is_due |= self.detector.look_ahead(state, sample.timestamp_ms, signal, &plan.demands);
        }
    }

    /// Keeps in mind that the series `at` is to be forecast, if its last sample had a forecast become due.
    #[inline]
    pub(super) fn note_due(&mut self, at: Option<SlotId>) {
        if std::mem::take(&mut self.is_due) {
            self.due.extend(at);
        }
    }

    /// Makes the forecasts of `series` that are due, and sends them.
    #[cold]
    pub(super) fn forecast(&mut self, series: &mut Series) {
        let plan = self.settings.plan(series.rule);
        let mut foretold = Vec::new();
        self.detector.forecast(&mut series.state, &plan.demands, &mut |told| foretold.push(told));
        if foretold.is_empty() || !self.claim_forecasts(series, plan) {
            return;
        }
        for told in foretold {
            self.tell(series, &told, told.made_ms);
        }
    }

    /// Sends again the forecasts that were made at the time of the newest sample, at `timestamp_ms`.
    #[cold]
    pub(super) fn repeat_forecasts(&mut self, series: &Series, plan: &Plan, timestamp_ms: i64) {
        let Some(newest) = series.newest else { return };
        for told in series.state.foretold(&plan.demands).filter(|told| told.made_ms == newest.timestamp_ms) {
            self.tell(series, &told, timestamp_ms);
        }
    }

    /// Sends again what was lately forecast, each at its time.
    pub(super) fn tell_forecasts(&mut self, series: &Series, plan: &Plan) {
        let Some(newest) = series.newest else { return };
        let oldest_ms = newest.timestamp_ms.saturating_sub(NEWEST_MS);
        for told in series.state.foretold(&plan.demands).filter(|told| told.made_ms >= oldest_ms) {
            self.tell(series, &told, told.made_ms);
        }
    }

    fn tell(&mut self, series: &Series, told: &Foretold, timestamp_ms: i64) {
        let fans = series.forecasting.as_ref();
        let Some(Fan { names, .. }) = fans.and_then(|fans| fans.of(told.horizon)) else { return };
        for (name, value) in names.iter().zip([told.expected, told.lower, told.upper]) {
            self.out.emit(&series.labels, name, Sample { timestamp_ms, value });
        }
    }

    /// Claims room for the forecasts of `plan`, but those that `series` has; whether any may be sent.
    fn claim_forecasts(&mut self, series: &mut Series, plan: &Plan) -> bool {
        let claimed = series.forecasting.as_ref().map_or(0, |fans| fans.count());
        let more = plan.fans.count().saturating_sub(claimed);
        if more == 0 {
            return claimed > 0;
        }
        if self.pipeline.is_taken(series.scope(), &series.labels, [Claimed::Forecasts].into_iter()) {
            self.tally.unscored(Reason::Clash, 1);
            return claimed > 0;
        }
        let before = self.pipeline.injected.fetch_add(more, Ordering::Relaxed);
        if before + more > self.settings.limits.max_injected {
            self.pipeline.injected.fetch_sub(more, Ordering::Relaxed);
            self.tally.unscored(Reason::ScoreLimit, 1);
            return claimed > 0;
        }
        series.forecasting = Some(Arc::clone(&plan.fans));
        true
    }

    /// Ends the forecasts of `series`.
    pub(super) fn end_forecasts(&mut self, series: &Series, timestamp_ms: i64) {
        let Some(fans) = &series.forecasting else { return };
        let end = Sample { timestamp_ms, value: stale_marker() };
        fans.names().for_each(|name| self.out.emit(&series.labels, name, end));
    }
}
