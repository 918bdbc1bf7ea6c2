//! The family: the hybrid, and single parts of it as detectors of their own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::look::LONGEST_PATH;
use super::math::squared_z;
use super::{Error, Hybrid, Look, State};

/// Which detector judges. All of them learn alike, so that one can take over from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A forecast, how rare its errors are in the past of the series, and an isolation forest over them.
    #[default]
    Hybrid,
    /// The distance to the mean in standard deviations.
    Zscore,
    /// The distance to the median in median distances.
    Mad,
    /// The error of the level with the day's and the week's profile, whichever forecasts best.
    Seasonal,
    /// The error of the autoregression.
    Arima,
    /// What the isolation forest says of the calibrated errors.
    IsolationForest,
}

/// How much shorter than the longest a path is, as a ratio less one, where the forest alone scores 1.
const ISOLATED: f32 = 2.1;
/// For a normal distribution the median distance to the median times this is a standard deviation.
const MEDIAN_TO_SIGMA: f64 = 1.482_602_218_505_602;

// === impl Method ===

impl Method {
    /// Every method.
    pub const ALL: [Self; 6] =
        [Self::Hybrid, Self::Zscore, Self::Mad, Self::Seasonal, Self::Arima, Self::IsolationForest];

    /// The name as it stands in rules and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Zscore => "zscore",
            Self::Mad => "mad",
            Self::Seasonal => "seasonal",
            Self::Arima => "arima",
            Self::IsolationForest => "isolation_forest",
        }
    }

    /// The method of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The error that this method judges `value` by.
    pub(super) fn error(self, hybrid: &Hybrid, state: &State, look: &Look, value: f64) -> Error {
        let distances = &state.distances;
        match self {
            Self::Hybrid if state.is_short() => look.errors.short,
            Self::Hybrid | Self::Seasonal => look.errors.season,
            Self::Arima => look.errors.short,
            Self::Zscore => {
                let size = value - distances.plain.mean;
                Error { size, z2: squared_z(size, distances.plain.variance, super::state::LEAST_VARIANCE) }
            }
            Self::Mad => {
                let size = value - distances.median.median;
                let sigma = MEDIAN_TO_SIGMA * distances.median.distance;
                Error { size, z2: squared_z(size, sigma * sigma, super::state::LEAST_VARIANCE) }
            }
            Self::IsolationForest => {
                let path = look.rare.and_then(|rare| hybrid.path(&rare.parts));
                let isolated = path.map_or(0.0, |path| LONGEST_PATH / path - 1.0) / ISOLATED;
                let z = f64::from(isolated) * hybrid.z_threshold;
                Error { size: look.errors.season.size, z2: (z * z) as f32 }
            }
        }
    }
}
