//! What a challenger has to show before it may serve.
//!
//! The gate is a function of figures: the same figures and the same gate give the same verdict. What is not known is not
//! shown: a question that the data cannot answer is answered with no.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Evaluation, Family, Measures, Sides};

/// What a challenger has to show.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gate {
    /// Hours that were judged, at least.
    pub min_hours: f64,
    /// Incidents that were judged, at least.
    pub min_incidents: usize,
    /// Alerts beside the champion's, at least and at most; each with one added, so that of few nothing depends on one.
    pub alert_ratio: [f64; 2],
    /// How alike both put samples in order, at least, in each family.
    pub min_rank_correlation: f64,
    /// Time a sample beside the champion's, at most.
    pub max_time_ratio: f64,
    /// How much less of recall, range-based F1 and VUS-PR is still as good.
    pub max_loss: f64,
    /// The same for the recall of the worst family.
    pub max_family_loss: f64,
}

/// One question of the gate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is asked.
    pub name: &'static str,
    /// What was found.
    pub found: String,
    /// What was wanted.
    pub wanted: String,
    /// Whether it is so.
    pub passed: bool,
}

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The challenger may serve.
    Promote,
    /// It may not.
    Refuse,
}

/// The time before the judged window that models may have been trained on.
pub(super) const HELD_BACK: &str = "held back";

// === impl Gate ===

impl Default for Gate {
    fn default() -> Self {
        Self {
            min_hours: 24.0,
            min_incidents: 5,
            alert_ratio: [0.5, 2.0],
            min_rank_correlation: 0.5,
            max_time_ratio: 1.5,
            max_loss: 0.02,
            max_family_loss: 0.1,
        }
    }
}

impl Gate {
    /// Whether it can be a gate.
    ///
    /// # Errors
    ///
    /// What in it is no number, or the wrong way round.
    pub fn check(&self) -> Result<(), String> {
        let [least, most] = self.alert_ratio;
        let numbers = [
            self.min_hours,
            least,
            most,
            self.min_rank_correlation,
            self.max_time_ratio,
            self.max_loss,
            self.max_family_loss,
        ];
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err("all numbers of a gate are finite".to_owned());
        }
        if least > most || least <= 0.0 {
            return Err(format!("alert_ratio: [{least}, {most}] is no range of positive numbers"));
        }
        Ok(())
    }

    /// Puts all questions.
    pub(super) fn judge(&self, of: &Evaluation) -> Vec<Check> {
        let Sides { champion, challenger } = &of.measures;
        let hours = of.data.judged_hours();
        let mut checks = vec![
            Check::at_least("hours", Some(hours), self.min_hours),
            Check::at_least("incidents", Some(of.incidents.len() as f64), self.min_incidents as f64),
            Check {
                name: HELD_BACK,
                found: of
                    .data
                    .trained_within()
                    .unwrap_or("no model was trained on what was judged")
                    .to_owned(),
                wanted: "nothing that was trained on".to_owned(),
                passed: of.data.trained_within().is_none(),
            },
            Check::at_most("scores that are no numbers", Some(challenger.not_finite as f64), 0.0),
            self.alerts("alerts", champion, challenger),
            Check::at_most("time a sample", of.time_ratio(), self.max_time_ratio),
            self.loss("recall", champion.recall, challenger.recall),
            self.loss("range-based F1", champion.range_f1, challenger.range_f1),
            self.loss("VUS-PR", champion.vus_pr, challenger.vus_pr),
            Check {
                name: "incidents explained away",
                found: match of.lost.as_slice() {
                    [] => "none".to_owned(),
                    lost => lost.join(", "),
                },
                wanted: "none that the champion finds".to_owned(),
                passed: of.lost.is_empty(),
            },
        ];
        checks.push(self.worst_order(&of.families));
        checks.push(self.worst_recall(&of.families));
        checks.push(self.worst_alerts(&of.families));
        checks
    }

    fn alerts(&self, name: &'static str, champion: &Measures, challenger: &Measures) -> Check {
        let ratio = alert_ratio(champion, challenger);
        let [least, most] = self.alert_ratio;
        Check {
            name,
            found: format!("{ratio:.2} times as many: {} after {}", challenger.alerts, champion.alerts),
            wanted: format!("{least} to {most} times as many"),
            passed: (least..=most).contains(&ratio),
        }
    }

    fn loss(&self, name: &'static str, champion: Option<f64>, challenger: Option<f64>) -> Check {
        let (found, passed) = match (champion, challenger) {
            (Some(before), Some(after)) => {
                (format!("{after:.3} after {before:.3}"), after >= before - self.max_loss)
            }
            // A champion that alerted nobody has no precision to fall short of.
            (None, Some(after)) => (format!("{after:.3}; the champion has none"), true),
            (_, None) => (UNKNOWN.to_owned(), false),
        };
        Check { name, found, wanted: format!("at most {} less", self.max_loss), passed }
    }

    fn worst_order(&self, families: &[Family]) -> Check {
        let known = families.iter().filter_map(|family| Some((family.rank_correlation?, family)));
        let worst = known.min_by(|a, b| a.0.total_cmp(&b.0));
        let (found, passed) = match worst {
            Some((alike, family)) => {
                (format!("{alike:.2} ({})", family.name), alike >= self.min_rank_correlation)
            }
            None => (UNKNOWN.to_owned(), false),
        };
        let wanted = format!("at least {}", self.min_rank_correlation);
        Check { name: "rank correlation, worst family", found, wanted, passed }
    }

    fn worst_recall(&self, families: &[Family]) -> Check {
        let loss =
            |family: &Family| Some(family.measures.champion.recall? - family.measures.challenger.recall?);
        let worst = families.iter().filter_map(|family| Some((loss(family)?, family)));
        let worst = worst.max_by(|a, b| a.0.total_cmp(&b.0));
        let (found, passed) = match worst {
            Some((loss, family)) => {
                let Sides { champion, challenger } = family.measures.map(|of| of.recall.unwrap_or_default());
                (
                    format!("{challenger:.2} after {champion:.2} ({})", family.name),
                    loss <= self.max_family_loss,
                )
            }
            None => (UNKNOWN.to_owned(), false),
        };
        let wanted = format!("at most {} less", self.max_family_loss);
        Check { name: "recall, worst family", found, wanted, passed }
    }

    /// One family may be called twice as often as the whole may, or half as often.
    fn worst_alerts(&self, families: &[Family]) -> Check {
        let ratio = |family: &Family| alert_ratio(&family.measures.champion, &family.measures.challenger);
        let [least, most] = [self.alert_ratio[0] / 2.0, self.alert_ratio[1] * 2.0];
        let far = |family: &Family| ratio(family).ln().abs();
        let worst = families.iter().max_by(|a, b| far(a).total_cmp(&far(b)));
        let (found, passed) = match worst {
            Some(family) => {
                let is_within = (least..=most).contains(&ratio(family));
                (format!("{:.2} times as many ({})", ratio(family), family.name), is_within)
            }
            None => (UNKNOWN.to_owned(), false),
        };
        Check {
            name: "alerts, worst family",
            found,
            wanted: format!("{least} to {most} times as many"),
            passed,
        }
    }
}

const UNKNOWN: &str = "cannot be known from these data";

fn alert_ratio(champion: &Measures, challenger: &Measures) -> f64 {
    (challenger.alerts as f64 + 1.0) / (champion.alerts as f64 + 1.0)
}

// === impl Check ===

impl Check {
    fn at_least(name: &'static str, found: Option<f64>, wanted: f64) -> Self {
        Self::of(name, found, format!("at least {wanted}"), |found| found >= wanted)
    }

    fn at_most(name: &'static str, found: Option<f64>, wanted: f64) -> Self {
        Self::of(name, found, format!("at most {wanted}"), |found| found <= wanted)
    }

    fn of(name: &'static str, found: Option<f64>, wanted: String, is_so: impl Fn(f64) -> bool) -> Self {
        let text = |found: f64| format!("{}", (found * 100.0).round() / 100.0);
        let (passed, found) = (found.is_some_and(is_so), found.map_or_else(|| UNKNOWN.to_owned(), text));
        Self { name, found, wanted, passed }
    }
}

// === impl Verdict ===

impl Verdict {
    /// What comes of these.
    pub(super) fn of(checks: &[Check]) -> Self {
        if checks.iter().all(|check| check.passed) { Self::Promote } else { Self::Refuse }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Promote => "promote",
            Self::Refuse => "refuse",
        })
    }
}
