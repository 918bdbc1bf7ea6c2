//! The profile as a person reads it.

use std::fmt;

use super::Profile;
use super::advice::percent;
use super::shape::Trait;
use crate::backtest::Moment;
use crate::backtest::report::{duration, short};

// === impl Profile ===

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.series)?;
        self.write_times(f)?;
        self.write_shape(f)?;
        self.write_forecasts(f)?;
        self.write_trial(f)?;
        writeln!(f, "\n  why")?;
        for reason in &self.reasons {
            writeln!(f, "    {reason}")?;
        }
        writeln!(f, "\n  rule:")?;
        let yaml = serde_saphyr::to_string(&[&self.rule]).map_err(|_| fmt::Error)?;
        yaml.lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl Profile {
    fn write_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = &self.times;
        let lasts = duration(times.to_ms - times.from_ms);
        let (from, to) = (Moment(times.from_ms), Moment(times.to_ms));
        writeln!(f, "  samples   {}, one every {}", times.samples, duration(times.step_ms))?;
        writeln!(f, "  span      {lasts}, {from} to {to}")?;
        let missing = percent(times.missing as f64 / (times.missing as f64 + times.samples as f64));
        match times.gaps {
            0 => writeln!(f, "  gaps      none")?,
            gaps => writeln!(
                f,
                "  gaps      {gaps}, the longest {}; {missing} is missing",
                duration(times.longest_gap_ms)
            )?,
        }
        let irregular = percent(times.irregular as f64 / times.samples as f64);
        if times.irregular > 0 { writeln!(f, "  steps     {irregular} irregular") } else { Ok(()) }
    }

    fn write_shape(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = &self.shape;
        let (min, median, max) = (short(shape.min), short(shape.median), short(shape.max));
        writeln!(f, "  values    {min} to {max}, median {median}, {} different", shape.distinct)?;
        let traits: Vec<&str> = shape.traits.iter().map(|name| name.name()).collect();
        let traits = if traits.is_empty() { "nothing in particular".to_owned() } else { traits.join(", ") };
        writeln!(f, "  it is     {traits}")
    }

    fn write_forecasts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(forecasts) = &self.forecasts else {
            return writeln!(f, "\n  forecasts: too few samples to compare any");
        };
        let judged = forecasts.judged;
        writeln!(f, "\n  forecasts{}: mean absolute error over the last {judged} samples", self.of_what())?;
        for contest in &forecasts.errors {
            let name = format!("season {}", contest.season);
            let mark = if contest.season == forecasts.season { "  <- suits" } else { "" };
            match contest.error {
                Some(error) => writeln!(f, "    {name:<18}{:>10}{mark}", short(error))?,
                None => writeln!(f, "    {name:<18}{:>10}", "too short")?,
            }
        }
        Ok(())
    }

    fn write_trial(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(trial) = &self.trial else {
            return writeln!(f, "\n  detectors: there is too little to try them on");
        };
        let [least, most] = trial.sizes.map(short);
        writeln!(
            f,
            "\n  detectors{}: disturbances of size {least} to {most} found, and alerts a week without them",
            self.of_what()
        )?;
        for result in &trial.results {
            let found = format!("{} of {}", result.found, result.disturbances);
            let mark = if result.detector == trial.detector { "  <- suits" } else { "" };
            writeln!(
                f,
                "    {:<18}{found:>10}{:>8}{mark}",
                result.detector.name(),
                short(result.alerts_a_week)
            )?;
        }
        Ok(())
    }

    fn of_what(&self) -> &'static str {
        if self.is_counter { " of the rate per second" } else { "" }
    }
}

// === impl Trait ===

impl Trait {
    fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::NearlyConstant => "nearly constant",
            Self::Integer => "whole numbers",
            Self::MostlyZero => "mostly zero",
            Self::UnitInterval => "between 0 and 1",
            Self::NonNegative => "never negative",
            Self::Counter => "a counter",
            Self::Bursty => "bursty",
            Self::Trending => "trending",
        }
    }
}
