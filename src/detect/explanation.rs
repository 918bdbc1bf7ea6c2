//! Why a value was given its score.

use serde::Serialize;

use super::Method;

/// What the detector saw of one value and made of it, by the very functions that judge.
///
/// Values are in the unit of what is judged: of a counter, its increase per second. A place is `log2` of how many
/// standard deviations an error is; a rarity is `-log10` of the share of the past that was at least as large.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// When, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The value that was judged.
    pub value: f64,
    /// Its score.
    pub score: f64,
    /// The forecast for it, and the band that holds ordinary values.
    pub expected: f64,
    /// The lower edge of the band; `null` in JSON where only rises count.
    pub lower: f64,
    /// The upper edge of the band; `null` in JSON where only falls count.
    pub upper: f64,
    /// The detector of the rule.
    pub detector: Method,
    /// Which part of it decided.
    pub spoke: Voice,
    /// How far the verdict, anomaly or none, is to be trusted, 0 to 1: by how much has been seen, and how many of the
    /// parts and the band agree with it.
    pub confidence: f64,
    /// What share of the score is due to what; nothing where the score is 0.
    pub shares: Option<Shares>,
    /// How many samples had taught before.
    pub samples_seen: u32,
    /// Seconds from sample to sample, as far as is known.
    pub step_seconds: f64,
    /// Steps since the sample before: 1, or more after a gap.
    pub steps: f64,
    /// What the autoregression looked back on.
    pub window: Window,
    /// The season that was heeded.
    pub season: SeasonHeeded,
    /// The errors of the value by each forecast, less what the rule passes over.
    pub residuals: Residuals,
    /// Squared standardised errors of late, over about 5, 17 and 170 samples, below and above the expected value.
    pub energy: [[f32; 2]; 3],
    /// Where the errors and the energy lie.
    pub places: Calibrated,
    /// How rare they are in the past of the series.
    pub rarities: Calibrated,
    /// How isolated the four rarities are together, by the forest; nothing where it was not asked.
    pub isolation: Option<Isolation>,
    /// How far the value is outside of its whole past range, 0 to 1.
    pub extreme: f32,
    /// How far the seasonal error is beyond the largest so far, 0 to 1.
    pub record: f32,
    /// That something begins.
    pub onset: Rarity,
    /// That something goes on.
    pub state: Rarity,
}

/// Who decided a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// Nobody yet: too few samples have been seen.
    WarmUp,
    /// Nobody: nothing about the value is an anomaly.
    Nobody,
    /// That something begins.
    Onset,
    /// That something goes on.
    State,
    /// The error of a simpler detector.
    Error,
    /// The range that the rule allows.
    DataRange,
}

/// What share of a score is due to what. Together 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Shares {
    /// That something goes on: the energy of late.
    pub state: f64,
    /// That something begins: errors that are rare.
    pub errors: f64,
    /// That they are rare together, by the forest.
    pub forest: f64,
    /// That the value or its error is the most extreme so far.
    pub extremes: f64,
    /// That the value is outside of the range that the rule allows.
    pub data_range: f64,
}

/// The newest values before the one that is judged, newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Window {
    /// As they were.
    pub values: [f64; 4],
    /// In robust standard deviations from the robust mean.
    pub z: [f64; 4],
}

/// The season that was heeded, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeasonHeeded {
    /// The season that forecasts best.
    pub chosen: Season,
    /// The level under it.
    pub level: f64,
    /// What of the seasonal forecast is season.
    pub value: f64,
    /// The profile of the hour at this time, heeded or not.
    pub hour: f64,
    /// That of the day.
    pub day: f64,
    /// What the profile of the week adds to it.
    pub week: f64,
    /// Average absolute errors of the forecasts without a season, by the hour, by the day and by the week.
    pub costs: [f64; 4],
}

/// What of a season a forecast heeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// A level alone.
    #[default]
    None,
    /// The minute of the hour.
    Hour,
    /// The time of the day.
    Day,
    /// The time of the day and the hour of the week.
    Week,
}

/// The errors of one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Residuals {
    /// By the autoregression.
    pub short: Residual,
    /// By the level and the season.
    pub season: Residual,
    /// By the mean of the last hour.
    pub hour: Residual,
    /// By the long mean, with or without the season, whichever is further away.
    pub long: Residual,
}

/// One error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Residual {
    /// The value less what was expected.
    pub error: f64,
    /// In standard deviations of such errors, without a sign; 0 where there is none yet or the rule passes it over.
    pub z: f64,
}

/// One number for each of what is calibrated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibrated {
    /// The short-term error.
    pub short: f32,
    /// The seasonal error.
    pub season: f32,
    /// The error by the last hour.
    pub hour: f32,
    /// The energy, over all horizons.
    pub energy: f32,
}

/// The forest's answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Isolation {
    /// Mean length of the paths: the shorter, the more isolated.
    pub path: f32,
    /// How rare so short a path is.
    pub rarity: f32,
}

/// A part of the score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rarity {
    /// In orders of magnitude.
    pub rarity: f32,
    /// In units of the score: the score of the hybrid is the root of the sum of squares of both parts.
    pub score: f64,
}

// === impl Shares ===

impl Shares {
    /// The names of all shares.
    pub const NAMES: [&'static str; 5] = ["state", "errors", "forest", "extremes", "data_range"];

    /// All shares, in the order of their names.
    pub fn all(&self) -> [f64; Self::NAMES.len()] {
        [self.state, self.errors, self.forest, self.extremes, self.data_range]
    }
}
