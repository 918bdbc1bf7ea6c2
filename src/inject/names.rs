//! What the injected series are called.

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
pub struct Names([&'static Pair; Injected::ALL.len()]);

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
    /// A name lives as long as the process: there are eight for each template that was ever configured.
    ///
    /// # Errors
    /// A template without `$VAR`, or one that does not make metric names.
    pub fn new(template: &str, interner: &Interner) -> Result<Self, TemplateError> {
        Self::check(template)?;
        Ok(Self(Injected::ALL.map(|output| interner.lasting_pair(METRIC_NAME, &spell(template, output)))))
    }

    /// Checks `template` as [`Names::new`] does.
    ///
    /// # Errors
    /// As for [`Names::new`].
    pub fn check(template: &str) -> Result<(), TemplateError> {
        if !template.contains("$VAR") {
            return Err(TemplateError::LacksVariable(template.into()));
        }
        let name = spell(template, Injected::AnomalyScore);
        let fine = |(at, c): (usize, char)| {
            c.is_ascii_alphabetic() || matches!(c, '_' | ':') || (at > 0 && c.is_ascii_digit())
        };
        if name.char_indices().all(fine) { Ok(()) } else { Err(TemplateError::NoMetricName(template.into())) }
    }

    /// The `__name__` pair of `output`.
    #[inline]
    pub fn of(&self, output: Injected) -> &'static Pair {
        self.0[output as usize]
    }

    /// Whether both come of one template.
    pub fn are(&self, others: &Self) -> bool {
        self.all().eq(others.all())
    }

    /// All names.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        self.0.into_iter().map(Pair::value)
    }
}

fn spell(template: &str, output: Injected) -> String {
    template.replace("$VAR", output.variable())
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
        assert_eq!((held, interner.lasting()), (Injected::ALL.len(), Injected::ALL.len()));
        name("other_$VAR");
        assert_eq!(interner.lasting(), 2 * Injected::ALL.len());
    }

    #[test]
    fn a_template_that_makes_no_names_is_refused() {
        let check = |template| assert!(Names::check(template).is_err(), "{template}");
        check("anomaly_score");
        check("9$VAR");
        check("my-$VAR");
    }
}
