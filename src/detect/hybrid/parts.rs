//! Parts that can be left out, to see what each is worth.

/// A part of the hybrid detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The short-term forecast.
    Autoregression,
    /// The profiles of the hour, the day and the week.
    Season,
    /// The hour's profile.
    Hour,
    /// The week's profile.
    Week,
    /// The distance to the long mean, with and without the season.
    LongMean,
    /// The distance to the long mean less the season.
    Seasonless,
    /// The distance to the last hour's mean.
    HourMean,
    /// The longer horizons of the energy.
    Horizons,
    /// The energy.
    State,
    /// Rare errors, extremes and records.
    Onset,
    /// The comparison with the series' own past.
    Calibration,
    /// The isolation forest.
    Forest,
    /// New extremes of the value.
    Extremes,
    /// New records of the seasonal error.
    Records,
    /// The habit of the hour.
    Habit,
}

/// A set of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u16);

// === impl Part ===

impl Part {
    /// Every part.
    pub const ALL: [Self; 15] = [
        Self::Autoregression,
        Self::Season,
        Self::Hour,
        Self::Week,
        Self::LongMean,
        Self::Seasonless,
        Self::HourMean,
        Self::Horizons,
        Self::State,
        Self::Onset,
        Self::Calibration,
        Self::Forest,
        Self::Extremes,
        Self::Records,
        Self::Habit,
    ];

    /// Its name, for example `hour_mean`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Autoregression => "autoregression",
            Self::Season => "season",
            Self::Hour => "hour",
            Self::Week => "week",
            Self::LongMean => "long_mean",
            Self::Seasonless => "seasonless",
            Self::HourMean => "hour_mean",
            Self::Horizons => "horizons",
            Self::State => "state",
            Self::Onset => "onset",
            Self::Calibration => "calibration",
            Self::Forest => "forest",
            Self::Extremes => "extremes",
            Self::Records => "records",
            Self::Habit => "habit",
        }
    }

    /// The part of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }
}

// === impl Parts ===

impl Parts {
    /// Whether `part` is among them.
    #[inline]
    pub fn has(self, part: Part) -> bool {
        self.0 & (1 << part as u16) != 0
    }
}

impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self(parts.into_iter().fold(0, |set, part| set | 1 << part as u16))
    }
}
