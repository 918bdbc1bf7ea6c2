//! A checked rule: which series, and how they are judged.

use std::sync::Arc;

use super::Selector;
use super::config::{DEFAULT_COVERAGE, DEFAULT_WARM_UP};
use crate::detect::{AlertBudget, Horizons, Method, Shares, Zone};

/// How the series of one rule are scored. Made by [`super::RawRule::check`] and right by construction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Names the rule in status pages and error texts.
    pub name: String,
    /// The rule takes a series that any of these selects.
    pub selectors: Vec<Selector>,
    /// The series of a higher priority are kept longer when the budget of series is exhausted.
    pub priority: i32,
    /// Gauge or counter.
    pub kind: Kind,
    /// Which detector judges.
    pub detector: Method,
    /// Values outside score 1.01, whatever the detector says. Nothing by default.
    pub data_range: Option<Bounds>,
    /// Which side of the expected value counts.
    pub detection_direction: Direction,
    /// Deviations of at most this much never score 1 or above, in the unit of the judged value.
    pub min_dev_from_expected: Sides,
    /// The same as a fraction of the expected value: 0.1 is 10 %.
    pub min_rel_dev_from_expected: Sides,
    /// The share of ordinary samples that the band holds.
    pub coverage: f64,
    /// Multiplies the width of the band on either side of the expected value.
    pub scale: Sides,
    /// Whether the expected value and its band are clipped to [`Rule::data_range`].
    pub clip_predictions: bool,
    /// Samples of a series until it is scored; until then its score is 0.
    pub min_n_samples_seen: u32,
    /// Robust standard deviations at which the score is 1, where the user set them.
    pub z_threshold: Option<f64>,
    /// How many false alerts a series and week a score of 1 stands for.
    pub alert_budget: AlertBudget,
    /// Whose clock the seasons go by.
    pub timezone: Option<Arc<Zone>>,
    /// When a score is sent.
    pub emit: Emit,
    /// Which series are sent for each scored one.
    pub provide_series: Outputs,
    /// Whether a new series goes on with what one that ended has learned, and which.
    pub inheritance: Option<Inheritance>,
    /// How far ahead each series is forecast.
    pub forecast_at: Horizons,
    /// Whether a series that stops, against its own habit, is told.
    pub absence: Option<Absence>,
    /// The rule says that its series are not scored.
    pub exclude: bool,
}

/// What a series measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A counter where the metric name ends in `_total`, `_sum` or `_count`, else a gauge.
    #[default]
    Auto,
    /// Judged by its value.
    Gauge,
    /// Judged by its rate, resets understood.
    Counter,
}

/// Which deviations count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Above and below the expected value.
    #[default]
    Both,
    /// Only above.
    AboveExpected,
    /// Only below.
    BelowExpected,
}

/// An inclusive range of values; one side may be infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The smallest ordinary value.
    pub lower: f64,
    /// The largest ordinary value.
    pub upper: f64,
}

/// A number for either side of the expected value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sides {
    /// Below the expected value.
    pub lower: f64,
    /// Above the expected value.
    pub upper: f64,
}

/// When a score is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Emit {
    /// With every sample.
    #[default]
    Always,
    /// From the first score of at least this much until one falls below half of it; then a stale
    /// marker ends the series.
    Above(f64),
}

/// Which series are one and the same to whoever runs what they measure, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inheritance {
    /// Labels that do not count, `__name__` not among them. What a person chose of a pod's name counts in any case.
    pub without: Vec<String>,
    /// The most stream time between the end of the one and the beginning of the other, whichever was first, in
    /// milliseconds.
    pub within_ms: i64,
}

/// When a series that stops is absent, and for how long that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Missed samples from which it is.
    pub after: u32,
    /// For how long it must have been there, in milliseconds.
    pub seen_for_ms: i64,
    /// For how long it is told, in milliseconds.
    pub forget_after_ms: i64,
    /// Absent series that are told at the same time.
    pub max_series: usize,
}

/// A series that Sidelong makes of a scored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The score: 1 and above is an anomaly.
    AnomalyScore,
    /// The expected value.
    Yhat,
    /// The lower edge of the expected band.
    YhatLower,
    /// The upper edge of the expected band.
    YhatUpper,
    /// How far the score is to be trusted, 0 to 1.
    AnomalyConfidence,
    /// What share of the score is due to what: a series for each part, by the label `part`.
    AnomalyPart,
}

/// A set of [`Output`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outputs(u8);

// === impl Rule ===

impl Default for Rule {
    /// A rule of a file that says nothing, and that selects nothing.
    fn default() -> Self {
        Self {
            name: String::new(),
            selectors: Vec::new(),
            priority: 0,
            kind: Kind::Auto,
            detector: Method::default(),
            data_range: None,
            detection_direction: Direction::Both,
            min_dev_from_expected: Sides::default(),
            min_rel_dev_from_expected: Sides::default(),
            coverage: DEFAULT_COVERAGE,
            scale: Sides::both(1.0),
            clip_predictions: false,
            min_n_samples_seen: DEFAULT_WARM_UP,
            z_threshold: None,
            alert_budget: AlertBudget::default(),
            timezone: None,
            emit: Emit::Always,
            provide_series: Outputs::SCORE,
            inheritance: None,
            forecast_at: Horizons::default(),
            absence: None,
            exclude: false,
        }
    }
}

impl Rule {
    /// Whether the series with these labels falls under this rule.
    pub fn matches(&self, labels: &[(&str, &str)]) -> bool {
        self.selectors.iter().any(|selector| selector.matches(labels))
    }
}

// === impl Kind ===

impl Kind {
    /// Whether the series of this metric name is judged by its rate.
    pub fn is_counter(self, name: &str) -> bool {
        match self {
            Self::Auto => ["_total", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix)),
            Self::Gauge => false,
            Self::Counter => true,
        }
    }
}

// === impl Direction ===

impl Direction {
    /// Whether a value on this side of the expected one can be an anomaly.
    pub fn counts(self, observed: f64, expected: f64) -> bool {
        match self {
            Self::Both => true,
            Self::AboveExpected => observed > expected,
            Self::BelowExpected => observed < expected,
        }
    }
}

// === impl Bounds ===

impl Bounds {
    /// Whether `value` lies inside.
    pub fn contains(&self, value: f64) -> bool {
        self.lower <= value && value <= self.upper
    }

    /// The nearest value inside.
    pub fn clip(&self, value: f64) -> f64 {
        value.max(self.lower).min(self.upper)
    }
}

// === impl Sides ===

impl Sides {
    /// The same number on both sides.
    pub const fn both(value: f64) -> Self {
        Self { lower: value, upper: value }
    }

    /// The number of the side on which `observed` lies.
    pub fn of(&self, observed: f64, expected: f64) -> f64 {
        if observed < expected { self.lower } else { self.upper }
    }
}

// === impl Emit ===

impl Emit {
    /// Whether a score is sent, given whether the series' last one was.
    pub fn is_sent(self, score: f64, was_sent: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Above(threshold) if was_sent => score >= threshold / 2.0,
            Self::Above(threshold) => score >= threshold,
        }
    }
}

// === impl Output ===

impl Output {
    /// All, in the order in which they are sent.
    pub const ALL: [Self; 6] = [
        Self::AnomalyScore,
        Self::Yhat,
        Self::YhatLower,
        Self::YhatUpper,
        Self::AnomalyConfidence,
        Self::AnomalyPart,
    ];

    /// The name that takes the place of `$VAR` in the name template.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnomalyScore => "anomaly_score",
            Self::Yhat => "yhat",
            Self::YhatLower => "yhat_lower",
            Self::YhatUpper => "yhat_upper",
            Self::AnomalyConfidence => "anomaly_confidence",
            Self::AnomalyPart => "anomaly_part",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

// === impl Outputs ===

impl Outputs {
    /// The score alone.
    pub const SCORE: Self = Self(Output::AnomalyScore.bit());

    /// No output.
    pub const NONE: Self = Self(0);

    /// Whether `output` is in the set.
    pub fn contains(self, output: Output) -> bool {
        self.0 & output.bit() != 0
    }

    /// The members in the order of [`Output::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Output> {
        Output::ALL.into_iter().filter(move |output| self.contains(*output))
    }

    /// Whether nothing is in the set.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members that are not in `others`.
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether a judgement has to be explained for them.
    pub fn are_explained(self) -> bool {
        self.contains(Output::AnomalyConfidence) || self.contains(Output::AnomalyPart)
    }

    /// How many series are sent for each scored one.
    pub fn count(self) -> usize {
        let parts = if self.contains(Output::AnomalyPart) { Shares::NAMES.len() - 1 } else { 0 };
        self.0.count_ones() as usize + parts
    }
}

impl FromIterator<Output> for Outputs {
    fn from_iter<I: IntoIterator<Item = Output>>(outputs: I) -> Self {
        Self(outputs.into_iter().fold(0, |set, output| set | output.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_what_the_rule_says_else_what_the_name_says() {
        let check = |kind: Kind, name: &str, want: bool| assert_eq!(kind.is_counter(name), want, "{name}");
        check(Kind::Auto, "http_requests_total", true);
        check(Kind::Auto, "rpc_duration_seconds_sum", true);
        check(Kind::Auto, "rpc_duration_seconds_count", true);
        check(Kind::Auto, "node_load1", false);
        check(Kind::Auto, "rpc_duration_seconds_bucket", false);
        check(Kind::Gauge, "node_memory_MemTotal_total", false);
        check(Kind::Counter, "node_vmstat_pgfault", true);
    }

    #[test]
    fn a_score_is_sent_from_the_threshold_on_until_half_of_it() {
        let above = Emit::Above(0.5);
        assert!(!above.is_sent(0.49, false));
        assert!(above.is_sent(0.5, false));
        assert!(above.is_sent(0.25, true));
        assert!(!above.is_sent(0.24, true));
        assert!(Emit::Always.is_sent(0.0, false));
    }

    #[test]
    fn directions_and_sides_are_told_from_the_expected_value() {
        assert!(Direction::AboveExpected.counts(2.0, 1.0) && !Direction::AboveExpected.counts(0.0, 1.0));
        assert!(Direction::BelowExpected.counts(0.0, 1.0) && !Direction::BelowExpected.counts(2.0, 1.0));
        let sides = Sides { lower: 1.0, upper: 2.0 };
        assert_eq!((sides.of(0.0, 5.0), sides.of(9.0, 5.0)), (1.0, 2.0));
        let bounds = Bounds { lower: 0.0, upper: f64::INFINITY };
        assert!(bounds.contains(0.0) && !bounds.contains(-0.1) && !bounds.contains(f64::NAN));
        assert_eq!(bounds.clip(-3.0), 0.0);
    }

    #[test]
    fn outputs_keep_their_order() {
        let outputs: Outputs = [Output::YhatUpper, Output::AnomalyScore].into_iter().collect();
        assert_eq!(outputs.iter().collect::<Vec<_>>(), [Output::AnomalyScore, Output::YhatUpper]);
        assert_eq!(outputs.count(), 2);
        assert_eq!([Output::AnomalyPart].into_iter().collect::<Outputs>().count(), 5);
        assert_eq!(outputs.without(Outputs::SCORE).iter().collect::<Vec<_>>(), [Output::YhatUpper]);
        assert!(outputs.without(outputs).is_empty());
    }
}
