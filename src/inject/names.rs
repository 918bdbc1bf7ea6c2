//! What the injected series are called.

use crate::detect::{Horizon, Horizons};
use crate::rules::{self, FAN, FAN_SIZE};
use crate::series::labels::{Interner, METRIC_NAME, Pair};

/// A series that Sidelong makes of what it scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Injected {
    /// The score: 1 and above is an anomaly.
    AnomalyScore,
    /// The expected value.
    Yhat,
    /// The lower edge of the expected band.
    YhatLower,
    /// The upper edge of the expected band.
    YhatUpper,
    /// How far the score is to be trusted.
    AnomalyConfidence,
    /// What share of it is due to what.
    AnomalyPart,
    /// Series of a workload whose last score was 1 or above.
    AnomalousSeries,
    /// Series of a workload that are scored.
    ScoredSeries,
}

/// The names of all outputs after the name template.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    outputs: [&'static Pair; Injected::ALL.len()],
    /// Holds the template itself, for the names of forecasts.
    template: &'static Pair,
}

/// What the series of one horizon are called.
#[derive(Clone, Copy, Debug)]
pub struct Fan {
    /// How far ahead.
    pub horizon: Horizon,
    /// The names of the expected value and of the lower and the upper edge of its band.
    // A number of its own: that of the array, asked for in a type, is a cycle to an optimising compiler.
    pub names: [&'static Pair; FAN_SIZE],
}

/// The series of several horizons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fans(Box<[Fan]>);

/// What stands for the output in a template.
const VARIABLE: &str = "$VAR";

/// A name template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// All outputs would have one name.
    #[error("scores.name_template {0:?} lacks $VAR: all outputs would have the same name")]
    LacksVariable(String),
    /// The result is no metric name.
    #[error(
        "scores.name_template {0:?} does not make metric names: use letters, digits, '_' and ':' around $VAR"
    )]
    NoMetricName(String),
}

// === impl Injected ===

impl Injected {
    /// Every output.
    pub const ALL: [Self; 8] = [
        Self::AnomalyScore,
        Self::Yhat,
        Self::YhatLower,
        Self::YhatUpper,
        Self::AnomalyConfidence,
        Self::AnomalyPart,
        Self::AnomalousSeries,
        Self::ScoredSeries,
    ];

    /// The name before the template: vmanomaly's words where it has them.
    pub fn variable(self) -> &'static str {
        match self {
            Self::AnomalyScore => "anomaly_score",
            Self::Yhat => "yhat",
            Self::YhatLower => "yhat_lower",
            Self::YhatUpper => "yhat_upper",
            Self::AnomalyConfidence => "anomaly_confidence",
            Self::AnomalyPart => "anomaly_part",
            Self::AnomalousSeries => "anomalous_series",
            Self::ScoredSeries => "scored_series",
        }
    }

    /// What the exposition says of the family.
    pub fn help(self) -> &'static str {
        match self {
            Self::AnomalyScore => {
                "Anomaly score of the series named in the label for; 1 and above is an anomaly."
            }
            Self::Yhat => "Expected value of the series named in the label for.",
            Self::YhatLower => "Lower edge of the expected band of the series named in the label for.",
            Self::YhatUpper => "Upper edge of the expected band of the series named in the label for.",
            Self::AnomalyConfidence => {
                "How far the anomaly score of the series named in the label for is to be trusted, 0 to 1."
            }
            Self::AnomalyPart => {
                "Share of the anomaly score of the series named in the label for that is due to the part."
            }
            Self::AnomalousSeries => "Series of the workload whose last score was 1 or above.",
            Self::ScoredSeries => "Series of the workload that are scored.",
        }
    }
}

// === impl Names ===

impl Names {
    /// The names that `template` gives, `$VAR` standing for [`Injected::variable`].
    ///
    /// A name lives as long as the process: there are nine for each template that was ever configured, and three for
    /// each horizon with each.
    ///
    /// # Errors
    /// A template without `$VAR`, or one that does not make metric names.
    pub fn new(template: &str, interner: &Interner) -> Result<Self, TemplateError> {
        Self::check(template)?;
        let outputs = Injected::ALL
            .map(|output| interner.lasting_pair(METRIC_NAME, &template.replace(VARIABLE, output.variable())));
        Ok(Self { outputs, template: interner.lasting_pair(METRIC_NAME, template) })
    }

    /// Checks `template` as [`Names::new`] does.
    ///
    /// # Errors
    /// As for [`Names::new`].
    pub fn check(template: &str) -> Result<(), TemplateError> {
        if !template.contains(VARIABLE) {
            return Err(TemplateError::LacksVariable(template.into()));
        }
        let name = template.replace(VARIABLE, Injected::AnomalyScore.variable());
        let fine = |(at, c): (usize, char)| {
            c.is_ascii_alphabetic() || matches!(c, '_' | ':') || (at > 0 && c.is_ascii_digit())
        };
        if name.char_indices().all(fine) { Ok(()) } else { Err(TemplateError::NoMetricName(template.into())) }
    }

    /// The `__name__` pair of `output`.
    #[inline]
    pub fn of(&self, output: Injected) -> &'static Pair {
        self.outputs[output as usize]
    }

    /// What the forecasts of `horizons` are called.
    pub fn fans(&self, horizons: &Horizons, interner: &Interner) -> Fans {
        let name = |edge: &str, horizon: Horizon| {
            let name = self.template.value().replace(VARIABLE, &format!("{edge}_{horizon}"));
            interner.lasting_pair(METRIC_NAME, &name)
        };
        let fan = |horizon: Horizon| Fan { horizon, names: FAN.map(|edge| name(edge, horizon)) };
        Fans(horizons.iter().map(fan).collect())
    }

    /// Whether a forecast for whatever horizon is called so.
    pub fn is_forecast(&self, name: &str) -> bool {
        let around = self.template.value().split_once(VARIABLE);
        around.is_some_and(|(before, behind)| rules::is_forecast(name, before, behind))
    }

    /// Whether both come of one template.
    pub fn are(&self, others: &Self) -> bool {
        self.all().eq(others.all())
    }

    /// All names.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        self.outputs.into_iter().map(Pair::value)
    }
}

// === impl Fan ===

impl PartialEq for Fan {
    fn eq(&self, other: &Self) -> bool {
        // There is one pair of each text.
        self.names.iter().zip(other.names).all(|(name, other)| std::ptr::eq(*name, other))
    }
}

impl Eq for Fan {}

// === impl Fans ===

impl Fans {
    /// The series of `horizon`, if they are among them.
    pub fn of(&self, horizon: Horizon) -> Option<&Fan> {
        self.0.iter().find(|fan| fan.horizon == horizon)
    }

    /// Those of which one is called `name`.
    pub fn holding(&self, name: &'static Pair) -> Option<&Fan> {
        self.0.iter().find(|fan| fan.names.iter().any(|own| std::ptr::eq(*own, name)))
    }

    /// How many series there are.
    pub fn count(&self) -> usize {
        self.0.len() * FAN.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static Pair> {
        self.0.iter().flat_map(|fan| fan.names)
    }

    /// Those of horizons that `others` has not, or has by other names.
    pub fn without(&self, others: &Self) -> Self {
        Self(self.0.iter().filter(|fan| !others.0.contains(fan)).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_template() {
        let interner = Interner::default();
        let check = |template, want: &[&str]| {
            let names = Names::new(template, &interner).expect("a fine template");
            assert_eq!(names.all().take(2).collect::<Vec<_>>(), want);
        };
        check("$VAR", &["anomaly_score", "yhat"]);
        check("sidelong_$VAR", &["sidelong_anomaly_score", "sidelong_yhat"]);
    }

    #[test]
    fn a_template_that_is_configured_again_takes_nothing_more() {
        let interner = Interner::default();
        let name = |template| Names::new(template, &interner).unwrap().of(Injected::Yhat);
        let (first, held) = (name("$VAR"), interner.lasting());
        assert!(std::ptr::eq(first, name("$VAR")));
        let names = Injected::ALL.len() + 1;
        assert_eq!((held, interner.lasting()), (names, names));
        name("other_$VAR");
        assert_eq!(interner.lasting(), 2 * names);
    }

    #[test]
    fn a_forecast_is_called_by_its_horizon() {
        let interner = Interner::default();
        let names = Names::new("x_$VAR", &interner).unwrap();
        let horizons = Horizons::of_millis([3_600_000, 7 * 86_400_000]).unwrap();
        let fans = names.fans(&horizons, &interner);
        let told: Vec<_> = fans.names().map(Pair::value).collect();
        let hour = ["x_yhat_1h", "x_yhat_lower_1h", "x_yhat_upper_1h"];
        assert_eq!((&told[..3], told[5], fans.count()), (&hour[..], "x_yhat_upper_7d", 6));
        assert!(told.iter().all(|name| names.is_forecast(name)) && !names.is_forecast("yhat_1h"));
        assert_eq!(
            fans.without(&names.fans(&Horizons::of_millis([3_600_000]).unwrap(), &interner)).count(),
            3
        );
    }

    #[test]
    fn a_template_that_makes_no_names_is_refused() {
        let check = |template| assert!(Names::check(template).is_err(), "{template}");
        check("anomaly_score");
        check("9$VAR");
        check("my-$VAR");
    }
}
