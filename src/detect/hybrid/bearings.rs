//! What a forecast of the far future takes from what was learned of the next sample.

use super::clock::Pace;
use super::{Hybrid, State};
use crate::detect::Demands;

/// Where a series is, as its newest sample was judged.
#[derive(Clone, Copy, Debug)]
pub(in crate::detect) struct Bearings {
    /// Whether enough was seen for a score.
    pub(in crate::detect) is_warm: bool,
    /// Seconds since the first sample.
    pub(in crate::detect) age_s: f64,
    /// Seconds from sample to sample.
    pub(in crate::detect) step_s: f64,
    /// What of the newest sample is season.
    pub(in crate::detect) season: f64,
    /// The median.
    pub(in crate::detect) median: f64,
    /// The variance around it, outliers in full.
    pub(in crate::detect) variance: f64,
    /// The variance of the errors of a forecast for the next sample.
    pub(in crate::detect) step_variance: f64,
}

// === impl Hybrid ===

impl Hybrid {
    /// Where the series is.
    #[inline]
    pub(in crate::detect) fn bearings(&self, state: &State, demands: &Demands) -> Bearings {
        let short = state.short.error_variance;
        let errors = if state.is_short() { short } else { state.seasons.error_variance };
        Bearings {
            is_warm: state.is_warm(demands),
            age_s: state.clock.age_s(),
            step_s: self.pace(state).step_s,
            season: state.seasons.of(&state.seen.season),
            median: state.distances.median.median,
            variance: state.distances.plain.variance,
            step_variance: errors,
        }
    }

    /// The season that the forecast which errs least sees at `local_ms`.
    pub(in crate::detect) fn season_at(&self, state: &State, local_ms: i64) -> f64 {
        let pace = self.pace(state);
        let forecast = state.seasons.forecast(&state.slow().profiles, local_ms, &pace, self.heeded());
        state.seasons.of(&forecast)
    }

    #[inline]
    fn pace(&self, state: &State) -> Pace {
        state.clock.pace(state.seen.at_ms)
    }
}
