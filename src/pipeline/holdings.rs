//! What is in the table, by the rules that decide.

use super::Pipeline;
use super::settings::{Plan, STAND_INS, Settings};
use crate::detect::{self, Outlook};
use crate::rules::Emit;
use crate::series::Series;
use crate::signals::absence;

/// The series of one rule, and what is made of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Holding {
    /// Its index; none for what stands where there is no rule: of series that others are made of, and of made ones.
    pub rule: Option<usize>,
    /// What it is called.
    pub name: String,
    /// Series in the table.
    pub series: usize,
    /// Those of them that are made of others.
    pub made: usize,
    /// Series that are sent.
    pub sent: usize,
    /// Samples of them that are sent a second, where each series has one in `interval_ms`.
    pub samples_per_second: f64,
    /// Whether they are sent only while something is found: then all this is at the most.
    pub at_most: bool,
    /// Absent series that may be told besides.
    pub max_absences: usize,
    /// Bytes that the series take, without their labels.
    pub bytes: usize,
}

/// What the table has of one rule.
#[derive(Clone, Copy, Default)]
struct Count {
    series: usize,
    made: usize,
    bytes: usize,
}

// === impl Pipeline ===

impl Pipeline {
    /// What is in the table, in the order of the rules; behind them what is there without a rule.
    pub fn holdings(&self, interval_ms: i64) -> Vec<Holding> {
        let settings = self.settings();
        let each = self.series.bytes_per_series();
        let mut counts = vec![Count::default(); settings.plans.len()];
        self.series.for_each(|_, series| {
            if series.generation == settings.generation {
                let count = &mut counts[usize::from(series.rule)];
                count.series += 1;
                count.made += usize::from(series.made);
                count.bytes += bytes(series, each);
            }
        });
        let holding = |(rule, count)| settings.holding(rule, count, interval_ms);
        counts.into_iter().enumerate().map(holding).collect()
    }
}

impl Settings {
    fn holding(&self, rule: usize, Count { series, made, bytes }: Count, interval_ms: i64) -> Holding {
        let (plan, number) = (&self.plans[rule], rule as u16);
        Holding {
            rule: Some(rule).filter(|rule| *rule < self.plans.len() - STAND_INS),
            name: self.rule_name(number).to_owned(),
            series,
            made,
            sent: series * plan.sent(),
            samples_per_second: series as f64 * plan.samples_per_second(interval_ms),
            at_most: matches!(plan.emit, Emit::Above(_)),
            max_absences: plan.absence.as_ref().map_or(0, |wishes| wishes.max_series),
            bytes: bytes + series * plan.outlook_bytes(),
        }
    }
}

/// Bytes of `series`, where one that is judged by itself and not watched takes `each`.
fn bytes(series: &Series, each: usize) -> usize {
    let together = series.state.joint().is_some();
    let learned = if together { each - detect::State::BYTES + detect::State::BYTES_TOGETHER } else { each };
    learned + if series.habit.is_some() { absence::BYTES_A_SERIES } else { 0 }
}

impl Plan {
    /// Series that are sent for one of its series: also those of forecasts, each of which has a band.
    pub(super) fn sent(&self) -> usize {
        let forecasts = self.horizons.iter().len() * crate::rules::FAN.len();
        if self.told { self.outputs.count() + forecasts } else { 0 }
    }

    /// Samples that are sent a second for one of its series; a forecast is made at most once in a tenth of its horizon.
    fn samples_per_second(&self, interval_ms: i64) -> f64 {
        let rate = |millis: i64| 1e3 / millis.max(1) as f64;
        let fan = crate::rules::FAN.len() as f64;
        let forecasts =
            self.horizons.iter().map(|horizon| fan * rate((horizon.millis() / 10).max(interval_ms)));
        let scores = self.outputs.count() as f64 * rate(interval_ms);
        if self.told { scores + forecasts.sum::<f64>() } else { 0.0 }
    }

    fn outlook_bytes(&self) -> usize {
        let horizons = self.horizons.iter().len();
        if horizons == 0 { 0 } else { Outlook::BYTES + horizons * Outlook::BYTES_A_HORIZON }
    }
}
