//! By what a series of a request is judged: those options of a rule that have to do with judging.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::Method;
use crate::rules::config::{Deviation, Range, RawDirection, RawKind};
use crate::rules::{RawRule, RuleError};
use crate::serve::Failure;

/// How series are judged: options of a rule, as in the configuration. Which series there are, and what is sent of them, the
/// request says by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleOptions {
    /// What the series measure; `auto` tells counters by their names.
    pub kind: RawKind,
    /// Which detector judges.
    pub detector: Method,
    /// `[lower, upper]`: the values that are possible; null leaves a side open. A value outside scores 1.01 at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_range: Option<[Option<f64>; 2]>,
    /// Which deviations count.
    pub detection_direction: RawDirection,
    /// The smallest deviation that can be an anomaly: of either side, or `[below, above]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_dev_from_expected: Option<Sides>,
    /// The same in percent of the expected value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rel_dev_from_expected: Option<Sides>,
    /// The share of ordinary samples that the band holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 0.9999))]
    pub coverage: Option<f64>,
    /// Widens or narrows the band: either side, or `[below, above]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Sides>,
    /// Clips the expected value and its band to `data_range`.
    pub clip_predictions: bool,
    /// How many samples are seen before one is scored. Default: 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200_000))]
    pub min_n_samples_seen: Option<u32>,
    /// How many standard deviations score 1, in place of what is rare in the series.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub z_threshold: Option<f64>,
    /// How many false alerts a series and week a score of 1 stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.05, max = 28))]
    pub alert_budget: Option<f64>,
    /// Whose clock the day and the week go by, by its IANA name. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// One number for both sides of the expected value, or `[below, above]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Sides {
    /// Either side.
    Both(f64),
    /// Each side.
    Each([f64; 2]),
}

// === impl RuleOptions ===

impl RuleOptions {
    /// The rule.
    ///
    /// # Errors
    ///
    /// [`Failure::Wrong`] with all that is wrong with it.
    pub fn rule(&self) -> Result<RawRule, Failure> {
        let rule = RawRule {
            kind: self.kind,
            detector: self.detector,
            // Open on both sides it is none.
            data_range: self.data_range.filter(|range| *range != [None; 2]).map(|[lower, upper]| Range {
                lower: lower.unwrap_or(f64::NEG_INFINITY),
                upper: upper.unwrap_or(f64::INFINITY),
            }),
            detection_direction: self.detection_direction,
            min_dev_from_expected: self.min_dev_from_expected.map(Deviation::from).unwrap_or_default(),
            min_rel_dev_from_expected: self
                .min_rel_dev_from_expected
                .map(Deviation::from)
                .unwrap_or_default(),
            coverage: self.coverage,
            scale: self.scale.map(Deviation::from),
            clip_predictions: self.clip_predictions,
            min_n_samples_seen: self.min_n_samples_seen,
            z_threshold: self.z_threshold,
            alert_budget: self.alert_budget,
            timezone: self.timezone.clone(),
            ..RawRule::default()
        };
        let checked =
            RawRule { matches: crate::rules::config::OneOrMany(vec!["up".to_owned()]), ..rule.clone() };
        match checked.check() {
            Ok(_) => Ok(rule),
            Err(errors) => Err(Failure::Wrong(all(&errors))),
        }
    }
}

impl From<Sides> for Deviation {
    fn from(sides: Sides) -> Self {
        match sides {
            Sides::Both(both) => Self { below: both, above: both },
            Sides::Each([below, above]) => Self { below, above },
        }
    }
}

fn all(errors: &[RuleError]) -> String {
    let problem = |error: &RuleError| format!("rule.{}: {error}", error.field());
    errors.iter().map(problem).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_a_rule() {
        let options: RuleOptions = serde_json::from_str(
            r#"{"detector": "mad", "data_range": [0, null], "min_dev_from_expected": 2, "scale": [1, 2]}"#,
        )
        .unwrap();
        let rule = options.rule().unwrap();
        assert_eq!(rule.detector, Method::Mad);
        assert_eq!(rule.data_range, Some(Range { lower: 0.0, upper: f64::INFINITY }));
        assert_eq!(rule.min_dev_from_expected, Deviation { below: 2.0, above: 2.0 });
        assert_eq!(rule.scale, Some(Deviation { below: 1.0, above: 2.0 }));
        let open = RuleOptions { data_range: Some([None; 2]), ..RuleOptions::default() };
        assert_eq!(open.rule().unwrap().data_range, None);
        assert_eq!(RuleOptions::default().rule().unwrap(), RawRule::default());
    }

    #[test]
    fn what_is_wrong_is_said_by_its_option() {
        let wrong = |text: &str| {
            let options: RuleOptions = serde_json::from_str(text).unwrap();
            options.rule().unwrap_err().to_string()
        };
        assert!(wrong(r#"{"data_range": [2, 1]}"#).starts_with("rule.data_range: "));
        let both = wrong(r#"{"coverage": 2, "timezone": "Europe/Brlin"}"#);
        assert!(both.contains("rule.coverage: ") && both.contains("Europe/Berlin"), "{both}");
    }
}
