//! Why a value is given its score: what the judging functions saw and made of it.

use super::forest;
use super::math::clip;
use super::onset::Onset;
use super::{
    Demands, Error, Errors, Hybrid, Judgement, LARGEST_VALUE, Method, OUTSIDE_DATA_RANGE, State, Weighed,
};
use crate::detect::explanation::{
    Calibrated, Explanation, Isolation, Rarity, Residual, Residuals, Shares, Voice,
};

/// Orders of magnitude from which on a number is rare.
const RARE: f32 = 2.0;
/// How often verdicts are right on labelled series where none of those who are asked agrees, and where all do.
const RIGHT_ANOMALY: [f64; 2] = [0.42, 0.74];
const RIGHT_ORDINARY: [f64; 2] = [0.45, 0.95];
/// Samples after which half of the confidence is there that a long past gives.
const HALF_SEEN: f64 = 50.0;

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
        let look = self.look(state, at_ms, value, demands);
        let judged = self.judge_look(state, &look, value, demands);
        let weighed = self.weigh(state, &look, value, demands);
        let rarities = self.rarities_at(state, &weighed.places);
        let onset = weighed.onset.as_ref();
        let isolation = self.isolated(state, &rarities);
        let spoke = self.voice(state, &weighed, &judged, value, demands);
        Some(Explanation {
            timestamp_ms: at_ms,
            value,
            score: judged.score,
            expected: judged.expected,
            lower: judged.lower,
            upper: judged.upper,
            detector: demands.method,
            spoke,
            confidence: confidence(state, &weighed, &rarities, isolation.as_ref(), &judged, value),
            shares: shares(&weighed, &judged, spoke, demands.method),
            samples_seen: state.samples,
            step_seconds: look.pace.step_s,
            steps: look.pace.steps,
            window: state.short.window(),
            season: state.seasons.heeded(&look.seen.season),
            residuals: weighed.errors.into(),
            energy: weighed.energy.levels(),
            places: weighed.places.into(),
            rarities: rarities.into(),
            isolation,
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

/// How far the verdict is to be trusted: by how many of those who are asked agree with it, and less where little has
/// been seen.
fn confidence(
    state: &State,
    weighed: &Weighed,
    rarities: &[f32; forest::INPUTS],
    isolation: Option<&Isolation>,
    judged: &Judgement,
    value: f64,
) -> f64 {
    let [short, season, hour, energy] = rarities.map(|rarity| rarity >= RARE);
    let extremes = weighed.onset.as_ref().is_some_and(|onset| onset.extreme + onset.record > 0.0);
    let isolated = isolation.is_some_and(|isolation| isolation.rarity >= RARE);
    let outside = value < judged.lower || value > judged.upper;
    let voices = [short, season, hour, energy, isolated, extremes, outside];
    let is_anomaly = judged.score >= 1.0;
    let agree = voices.iter().filter(|voice| **voice == is_anomaly).count() as f64 / voices.len() as f64;
    let [none, all] = if is_anomaly { RIGHT_ANOMALY } else { RIGHT_ORDINARY };
    let seen = f64::from(state.samples);
    (none + agree * (all - none)) * seen / (seen + HALF_SEEN)
}

/// What share of a score is due to what.
fn shares(weighed: &Weighed, judged: &Judgement, spoke: Voice, method: Method) -> Option<Shares> {
    match spoke {
        Voice::WarmUp | Voice::Nobody => None,
        Voice::DataRange => Some(Shares { data_range: 1.0, ..Shares::default() }),
        Voice::Error if method == Method::IsolationForest => {
            Some(Shares { forest: 1.0, ..Shares::default() })
        }
        Voice::Error => Some(Shares { errors: 1.0, ..Shares::default() }),
        Voice::Onset | Voice::State => {
            let square = judged.score * judged.score;
            let state = (weighed.state_score * weighed.state_score / square).min(1.0);
            let causes =
                weighed.onset.as_ref().map_or([0.0; 3], Onset::causes).map(|cause| f64::from(cause).max(0.0));
            let all: f64 = causes.iter().sum();
            let begins = if all > 0.0 { (1.0 - state) / all } else { 0.0 };
            let [errors, forest, extremes] = causes.map(|cause| cause * begins);
            Some(Shares { state, errors, forest, extremes, data_range: 0.0 })
        }
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
