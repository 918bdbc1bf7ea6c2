//! What kind of series is this, and what suits it?
//!
//! [`times`] looks at when its samples come, [`shape`] at its values, [`forecasts`] compares seasons by what they
//! err, [`trial`] compares detectors by disturbances that are put into a copy, and [`advice`] makes a rule of it.

mod advice;
mod forecasts;
mod shape;
mod text;
mod times;
mod trial;

use serde::Serialize;

pub use self::forecasts::{Forecasts, Season};
pub use self::shape::{Shape, Trait};
pub use self::times::Times;
pub use self::trial::{Trial, TrialError};

use super::{CorridorError, Series};
use crate::batch::Sample;
use crate::rules::RawRule;
use crate::signals::Signal;

/// All that is found out about a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// What it is called; `{}` where it has no name.
    pub series: String,
    /// When its samples come.
    pub times: Times,
    /// What its values are like.
    pub shape: Shape,
    /// Whether it is judged by its rate per second. What follows is of the rate then.
    pub is_counter: bool,
    /// What forecasts err; nothing of a series that is too short to compare them.
    pub forecasts: Option<Forecasts>,
    /// How detectors fare; nothing of a series that is too short to try them.
    pub trial: Option<Trial>,
    /// The rule that suits it.
    pub rule: RawRule,
    /// Why it is so, a sentence each.
    pub reasons: Vec<String>,
}

impl Profile {
    /// The profile of `series` with `samples`, which are in order of time; nothing of no samples.
    ///
    /// # Errors
    ///
    /// A series that is never scored.
    pub fn of(
        series: &Series,
        samples: &[Sample],
        counter: Option<bool>,
    ) -> Result<Option<Self>, CorridorError> {
        let Some(times) = Times::of(samples) else { return Ok(None) };
        let shape = Shape::of(samples);
        let is_counter = counter.unwrap_or_else(|| shape.has(Trait::Counter));
        let judged = if is_counter { rates(samples) } else { samples.to_vec() };
        let forecasts = Forecasts::of(&judged, &times);
        let trial = forecasts.as_ref().map(|known| Trial::of(&judged, known)).transpose()?.flatten();
        let mut profile = Self {
            series: series.to_string(),
            times,
            shape,
            is_counter,
            forecasts,
            trial,
            rule: RawRule::default(),
            reasons: Vec::new(),
        };
        (profile.rule, profile.reasons) = profile.advice(series, &judged);
        Ok(Some(profile))
    }
}

/// What is judged of a counter.
fn rates(samples: &[Sample]) -> Vec<Sample> {
    let mut before = None;
    let rate = |sample: &Sample| {
        let value = Signal::Rate.at(before.replace(*sample), *sample)?;
        Some(Sample { value, ..*sample })
    };
    samples.iter().filter_map(rate).collect()
}

/// The middle of `numbers`; of none, 0.
fn median(mut numbers: Vec<f64>) -> f64 {
    let middle = numbers.len() / 2;
    if numbers.is_empty() { 0.0 } else { *numbers.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 86_400;

    /// `days` of samples every five minutes from a Monday on.
    fn samples(days: i64, value: impl Fn(i64, f64) -> f64) -> Vec<Sample> {
        let count = days * 288;
        let sample = |at: i64| {
            let day = (at * 300) as f64 / DAY_S as f64;
            Sample { timestamp_ms: (1_767_571_200 + at * 300) * 1_000, value: value(at, day) }
        };
        (0..count).map(sample).collect()
    }

    /// -0.5 to 0.5, without a pattern.
    fn noise(at: i64) -> f64 {
        let mixed = (at as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    }

    fn profile(name: &str, samples: &[Sample]) -> Profile {
        Profile::of(&name.parse().unwrap(), samples, None).unwrap().unwrap()
    }

    #[test]
    fn a_daily_series_has_the_season_of_a_day_and_a_rule_that_can_be_pasted() {
        let day = |at, day: f64| 100.0 + 40.0 * (day * std::f64::consts::TAU).sin() + noise(at);
        let found = profile("load{instance=\"a\"}", &samples(21, day));
        let forecasts = found.forecasts.as_ref().unwrap();
        assert_eq!(forecasts.season, Season::Day, "{forecasts:?}");
        let hybrid = &found.trial.as_ref().unwrap().results[0];
        assert!(hybrid.found * 2 > hybrid.disturbances, "{hybrid:?}");
        let text = found.to_string();
        let rule = text.split_once("rule:\n").unwrap().1;
        let config = format!("rules:\n{rule}");
        crate::config::Config::from_yaml(&config, &|_| None).unwrap();
    }

    #[test]
    fn a_quiet_weekend_is_the_season_of_a_week() {
        let week = |at, day: f64| if day as i64 % 7 >= 5 { 5.0 } else { 50.0 } + noise(at);
        assert_eq!(profile("load", &samples(28, week)).forecasts.unwrap().season, Season::Week);
    }

    #[test]
    fn what_repeats_every_hour_is_the_season_of_an_hour() {
        let hour = |at: i64, _| if at % 12 == 0 { 30.0 } else { 3.0 } + noise(at);
        assert_eq!(profile("load", &samples(7, hour)).forecasts.unwrap().season, Season::Hour);
    }

    #[test]
    fn noise_has_no_season() {
        let forecasts = profile("load", &samples(21, |at, _| 10.0 + noise(at))).forecasts.unwrap();
        assert_eq!(forecasts.season, Season::None);
    }

    #[test]
    fn a_counter_is_judged_by_its_rate() {
        let mut total = 0.0;
        let mut counted = samples(7, |at, _| 300.0 + 30.0 * noise(at));
        for (at, sample) in counted.iter_mut().enumerate() {
            total = if at == 1_000 { 0.0 } else { total + sample.value };
            sample.value = total;
        }
        let found = profile("requests", &counted);
        assert!(found.is_counter && found.shape.has(Trait::Counter));
        assert_eq!(found.rule.kind, crate::rules::config::RawKind::Counter);
        assert_eq!(profile("requests_total", &counted).rule.kind, crate::rules::config::RawKind::Auto);
        let error = found.forecasts.unwrap().errors[0].error.unwrap();
        assert!(error < 0.1, "per second: {error}");
    }

    #[test]
    fn a_series_of_nothing_and_one_of_little_have_a_profile_all_the_same() {
        assert_eq!(Profile::of(&Series::default(), &[], None).unwrap(), None);
        let few = profile("load", &samples(1, |at, _| noise(at))[..5]);
        assert!(few.forecasts.is_none() && few.trial.is_none());
        assert!(few.to_string().contains("too few"), "{few}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        /// Whatever the values are, there is a profile without a number that is none, and a rule that can be.
        #[test]
        fn every_series_has_a_rule_that_can_be(
            values in proptest::collection::vec(proptest::prelude::any::<f64>(), 1..400),
            step in 1i64..5_000_000,
        ) {
            let finite = values.iter().filter(|value| value.is_finite());
            let at = |(at, value): (usize, &f64)| Sample { timestamp_ms: at as i64 * step, value: *value };
            let samples: Vec<_> = finite.enumerate().map(at).collect();
            let Some(found) = Profile::of(&Series::default(), &samples, None).unwrap() else { return Ok(()) };
            let rule = RawRule {
                matches: crate::rules::config::OneOrMany(vec!["up".into()]),
                ..found.rule.clone()
            };
            proptest::prop_assert!(rule.check().is_ok(), "{:?}", rule.check());
            proptest::prop_assert!(serde_json::to_string(&found).is_ok());
        }
    }
}
