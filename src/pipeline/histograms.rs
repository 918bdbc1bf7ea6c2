//! Native histograms on their way through the corridor. They are not scored themselves; something may be made of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Pipeline;
use super::admit::Admission;
use super::observe::Observer;
use super::tally::Reason;
use crate::batch::{NativeHistogram, Sample, SeriesSpan, Unreadable};
use crate::inject::Emit;
use crate::series::{Found, Newcomer, Series, SlotId};

// === impl Admission: native histograms ===

impl Admission<'_> {
    /// Reads the native histograms of the batch of which something is made, and steps over the others.
    pub(super) fn take_histograms(&mut self, observer: &mut Observer<'_, impl Emit>) {
        let batch = self.visit.batch;
        if batch.histograms.series.is_empty() {
            return;
        }
        let mut histogram = observer.groups.as_mut().map(|groups| groups.lend()).unwrap_or_default();
        for span in &batch.histograms.series {
            let taken =
                catch_unwind(AssertUnwindSafe(|| self.take_histograms_of(span, &mut histogram, observer)));
            if taken.is_err() {
                observer.tally.unscored(Reason::Panic, 1);
                self.bury(observer);
            }
        }
        if let Some(groups) = &mut observer.groups {
            groups.take_back(histogram);
        }
    }

    fn take_histograms_of(
        &mut self,
        span: &SeriesSpan,
        histogram: &mut NativeHistogram,
        observer: &mut Observer<'_, impl Emit>,
    ) {
        let (visit, histograms) = (self.visit, &self.visit.batch.histograms);
        let messages = histograms.messages_of(span);
        let series = match self.admit_histograms(span, observer) {
            Ok(Some(series)) => series,
            Ok(None) => return,
            Err(reason) => return observer.tally.unscored(reason, messages.len() as u64),
        };
        for at in messages {
            match visit.labels.read_histogram(at, histograms.max_buckets, histogram) {
                Ok(()) => observer.observe_histogram(series, histogram),
                Err(unreadable) => observer.tally.unscored(unreadable.into(), 1),
            }
        }
    }

    /// The series whose native histograms stand at `span`; `None` if nothing is made of them.
    fn admit_histograms(
        &mut self,
        span: &SeriesSpan,
        observer: &mut Observer<'_, impl Emit>,
    ) -> Result<Option<&mut Series>, Reason> {
        let generation = self.settings.generation;
        let id = match self.walk.find(&span.key) {
            Found::Known(id) => id,
            Found::Unselected => return Ok(None),
            Found::New => match self.meet_histograms(span, observer)? {
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
        match self.walk.series(id) {
            // It has samples that are scored, or is made of others.
            Some(series) if !series.histograms => Err(Reason::Clash),
            found => Ok(found),
        }
    }

    #[cold]
    fn meet_histograms(
        &mut self,
        span: &SeriesSpan,
        observer: &mut Observer<'_, impl Emit>,
    ) -> Result<Option<SlotId>, Reason> {
        self.walk.release();
        self.labels.fill(self.visit, span);
        let sorted = self.labels.sorted().ok_or(Reason::Labels)?;
        let newcomer =
            Newcomer { scope: self.visit.scope, key: span.key, sorted: &sorted, now_s: self.now_s };
        let (pipeline, settings): (&Pipeline, _) = (self.pipeline, self.settings);
        let Some(rule) = settings.select_histograms(&sorted) else {
            self.remember_unselected(span);
            return Ok(None);
        };
        if let Some(known) = pipeline.series.recognise(&newcomer)? {
            return Ok(Some(known));
        }
        pipeline.make_room(settings, &newcomer, rule)?;
        let id = pipeline.series.insert(&newcomer, rule, settings.generation).ok_or(Reason::SeriesLimit)?;
        self.walk.continue_behind(id);
        if let Some(series) = self.walk.series(id) {
            series.histograms = true;
            pipeline.enrol(settings, series, &sorted, observer);
        }
        Ok(Some(id))
    }
}

// === impl Observer: native histograms ===

impl<E: Emit> Observer<'_, E> {
    /// Has everything made of `histogram` that is asked for, if it is news.
    fn observe_histogram(&mut self, series: &mut Series, histogram: &NativeHistogram) {
        let value = if histogram.is_stale() { histogram.sum } else { histogram.count };
        let sample = Sample { timestamp_ms: histogram.timestamp_ms, value };
        if let Err(reason) = self.check(series, sample) {
            return self.pass_by(series, self.settings.plan(series.rule), sample, reason);
        }
        if histogram.is_stale() {
            return self.end(series, sample.timestamp_ms);
        }
        if let Some(groups) = &mut self.groups {
            series.memberships.present = !series.memberships.is_empty();
            groups.put_histogram(&series.memberships, histogram);
        }
        (series.newest, series.seen_s) = (Some(sample), self.now_s);
    }
}

impl From<Unreadable> for Reason {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Damaged => Self::Undecodable,
            Unreadable::TooLarge => Self::Limit,
        }
    }
}
