//! Why a value is given its score: what the judging functions saw and made of it.

use super::forest;
use super::math::clip;
use super::onset::Onset;
use super::{
    Demands, Error, Errors, Hybrid, Judgement, LARGEST_VALUE, Method, OUTSIDE_DATA_RANGE, State, Weighed,
};
use crate::detect::explanation::{Calibrated, Explanation, Isolation, Rarity, Residual, Residuals, Voice};

// === impl Hybrid ===

impl Hybrid {
    /// Judges once more, and tells of it.
    pub(in crate::detect) fn explain(
        &self,
        state: &State,
        at_ms: i64,
        value: f64,
        demands: &Demands,
    ) -> Option<Explanation> {
        if state.samples == 0 {
            return None;
        }
        let value = clip(value, LARGEST_VALUE);
        let look = self.look(state, at_ms, value);
        let judged = self.judge_look(state, &look, value, demands);
        let weighed = self.weigh(state, &look, value, demands);
        let rarities = self.rarities_at(state, &weighed.places);
        let onset = weighed.onset.as_ref();
        Some(Explanation {
            timestamp_ms: at_ms,
            value,
            score: judged.score,
            expected: judged.expected,
            lower: judged.lower,
            upper: judged.upper,
            detector: demands.method,
            spoke: self.voice(state, &weighed, &judged, value, demands),
            samples_seen: state.samples,
            step_seconds: look.pace.step_s,
            steps: look.pace.steps,
            window: state.short.window(),
            season: state.seasons.heeded(&look.seen.season, self.most()),
            residuals: weighed.errors.into(),
            energy: weighed.energy.levels(),
            places: weighed.places.into(),
            rarities: rarities.into(),
            isolation: self.isolated(state, &rarities),
            extreme: onset.map_or(0.0, |onset| onset.extreme),
            record: onset.map_or(0.0, |onset| onset.record),
            onset: Rarity { rarity: onset.map_or(0.0, Onset::rarity), score: weighed.onset_score },
            state: Rarity { rarity: weighed.lasting, score: weighed.state_score },
        })
    }

    /// Who decided the score.
    fn voice(
        &self,
        state: &State,
        weighed: &Weighed,
        judged: &Judgement,
        value: f64,
        demands: &Demands,
    ) -> Voice {
        let score = judged.score;
        let is_hybrid = demands.method == Method::Hybrid && demands.threshold.is_none();
        match () {
            () if score == OUTSIDE_DATA_RANGE && demands.outside_range(value) => Voice::DataRange,
            () if !state.is_warm(demands) => Voice::WarmUp,
            () if score == 0.0 => Voice::Nobody,
            () if !is_hybrid => Voice::Error,
            () if weighed.onset_score > weighed.state_score => Voice::Onset,
            () => Voice::State,
        }
    }

    /// The forest's answer to four rarities, if it is asked.
    fn isolated(&self, state: &State, rarities: &[f32; forest::INPUTS]) -> Option<Isolation> {
        let place = self.place(rarities)?;
        Some(Isolation { path: self.forest.path(rarities), rarity: self.isolation(state, Some(place)) })
    }
}

// === what is told of the parts ===

impl From<Errors> for Residuals {
    fn from(Errors { short, season, hour, long }: Errors) -> Self {
        Self { short: short.into(), season: season.into(), hour: hour.into(), long: long.into() }
    }
}

impl From<Error> for Residual {
    fn from(error: Error) -> Self {
        Self { error: error.size, z: f64::from(error.z2).sqrt() }
    }
}

impl From<[f32; forest::INPUTS]> for Calibrated {
    fn from([short, season, hour, energy]: [f32; forest::INPUTS]) -> Self {
        Self { short, season, hour, energy }
    }
}
