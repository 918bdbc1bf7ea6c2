//! All rules of a configuration, in the order in which they decide.

use std::collections::HashSet;
use std::sync::Arc;

use super::rule::{Output, Rule};
use super::selector::NAME;
use crate::detect::Horizon;

/// The most rules a set can hold, presets included.
pub const MAX_RULES: usize = 10_000;

/// What Sidelong says of a whole workload rather than of one series.
const WORKLOAD_OUTPUTS: [&str; 2] = ["anomalous_series", "scored_series"];

/// Rules in order: the first that matches a series decides, and without one nothing is scored.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    own: OutputNames,
}

/// A rule of one [`RuleSet`]; means nothing to another, such as the one of a reloaded configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(u16);

/// The metric names that Sidelong gives to its own output, which it never scores again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputNames {
    names: HashSet<String>,
    /// What stands before and behind the output in each template.
    around: Vec<(String, String)>,
}

/// How many series a forecast has.
pub const FAN_SIZE: usize = 3;
/// What they are called before the horizon.
pub const FAN: [&str; FAN_SIZE] =
    [Output::Yhat.as_str(), Output::YhatLower.as_str(), Output::YhatUpper.as_str()];

/// Why rules do not make a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleSetError {
    /// Two rules of the user have one name.
    #[error("two rules are named {name:?}; give each a name of its own")]
    SameName {
        /// Place of the second in the user's list.
        index: usize,
        /// The name.
        name: String,
    },
    /// More than [`MAX_RULES`].
    #[error("there are {count} rules, more than {MAX_RULES}; join their selectors into fewer rules")]
    TooMany {
        /// How many.
        count: usize,
    },
}

// === impl RuleSet ===

impl RuleSet {
    /// Puts the user's `rules` before those of the `presets`, so that a user's rule overrides a
    /// preset's. Series whose name is in `own` are never selected.
    pub fn compile(presets: Vec<Rule>, rules: Vec<Rule>, own: OutputNames) -> Result<Self, RuleSetError> {
        let mut names = HashSet::new();
        if let Some((index, rule)) = rules.iter().enumerate().find(|(_, rule)| !names.insert(&rule.name)) {
            return Err(RuleSetError::SameName { index, name: rule.name.clone() });
        }
        let count = rules.len() + presets.len();
        if count > MAX_RULES {
            return Err(RuleSetError::TooMany { count });
        }
        let rules = rules.into_iter().chain(presets).map(Arc::new).collect();
        Ok(Self { rules, own })
    }

    /// The rule by which the series with these labels is scored. `None` where no rule matches, where
    /// the first that does excludes it, or where the series is Sidelong's own output.
    ///
    /// `labels` may be in any order and must hold `__name__`.
    pub fn select(&self, labels: &[(&str, &str)]) -> Option<RuleId> {
        let rule = self.deciding(labels)?;
        (!self.rule(rule).exclude).then_some(rule)
    }

    /// The rule that decides about the series with these labels, be it to exclude it. `None` where no rule matches, or
    /// where it is Sidelong's own output.
    pub fn deciding(&self, labels: &[(&str, &str)]) -> Option<RuleId> {
        if self.owns(labels) {
            return None;
        }
        self.rules.iter().position(|rule| rule.matches(labels)).map(RuleId::of)
    }

    /// Whether the series with these labels is Sidelong's own output.
    pub fn owns(&self, labels: &[(&str, &str)]) -> bool {
        let name = labels.iter().find(|(label, _)| *label == NAME).map_or("", |(_, value)| value);
        self.own.contains(name)
    }

    /// `false` only if no series of this metric name can be selected, whatever its other labels.
    pub fn may_select(&self, metric_name: &str) -> bool {
        if self.own.contains(metric_name) {
            return false;
        }
        for rule in &self.rules {
            let mut candidates = rule.selectors.iter().filter(|s| s.may_match_name(metric_name));
            if !rule.exclude && candidates.next().is_some() {
                return true;
            }
            if rule.exclude && candidates.any(|selector| selector.is_name_only()) {
                return false;
            }
        }
        false
    }

    /// A rule of this set.
    ///
    /// # Panics
    ///
    /// If `id` was given by another, larger set: ids do not outlive a reload.
    pub fn rule(&self, id: RuleId) -> &Arc<Rule> {
        &self.rules[id.index()]
    }

    /// All rules in the order in which they decide.
    pub fn iter(&self) -> impl Iterator<Item = (RuleId, &Arc<Rule>)> {
        self.rules.iter().enumerate().map(|(index, rule)| (RuleId::of(index), rule))
    }

    /// Whether nothing is ever selected.
    pub fn is_empty(&self) -> bool {
        self.rules.iter().all(|rule| rule.exclude)
    }
}

// === impl RuleId ===

impl RuleId {
    /// The place of the rule in its set, from 0.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// A set holds at most [`MAX_RULES`], which is less than 2^16.
    fn of(index: usize) -> Self {
        Self(index as u16)
    }
}

// === impl OutputNames ===

impl OutputNames {
    /// The names of every [`Output`], bare (another Sidelong may use them) and by each template, in
    /// which `$VAR` stands for the output.
    pub fn by_templates<'a>(templates: impl IntoIterator<Item = &'a str>) -> Self {
        let templates: Vec<&str> = templates.into_iter().chain(["$VAR"]).collect();
        let outputs = || Output::ALL.into_iter().map(Output::as_str).chain(WORKLOAD_OUTPUTS);
        let all =
            templates.iter().flat_map(|template| outputs().map(|output| template.replace("$VAR", output)));
        let around = |template: &&str| template.split_once("$VAR").map(|(a, b)| (a.to_owned(), b.to_owned()));
        Self { names: all.collect(), around: templates.iter().filter_map(around).collect() }
    }

    /// Whether Sidelong made the series of this metric name.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
            || self.around.iter().any(|(before, behind)| is_forecast(name, before, behind))
    }
}

/// Whether a forecast for whatever horizon is called `name`, by a template with `before` and `behind` around the
/// output.
pub fn is_forecast(name: &str, before: &str, behind: &str) -> bool {
    let output = name.strip_prefix(before).and_then(|name| name.strip_suffix(behind));
    let of_horizon = |output: &str| {
        output
            .rsplit_once('_')
            .is_some_and(|(edge, horizon)| FAN.contains(&edge) && Horizon::is_spelling(horizon))
    };
    output.is_some_and(of_horizon)
}

#[cfg(test)]
mod tests {
    use super::super::RawRule;
    use super::*;

    fn rules(yaml: &str) -> Vec<Rule> {
        let raw: Vec<RawRule> = serde_saphyr::from_str(yaml).unwrap();
        raw.iter().map(|rule| rule.check().unwrap()).collect()
    }

    fn set(presets: &str, user: &str) -> RuleSet {
        let own = OutputNames::by_templates(["sidelong_$VAR"]);
        RuleSet::compile(rules(presets), rules(user), own).unwrap()
    }

    fn selected<'a>(set: &'a RuleSet, name: &str, label: (&str, &str)) -> Option<&'a str> {
        set.select(&[label, (NAME, name)]).map(|id| set.rule(id).name.as_str())
    }

    #[test]
    fn without_a_rule_nothing_is_scored() {
        let set = set("[]", "[]");
        assert!(set.is_empty() && !set.may_select("up"));
        assert_eq!(selected(&set, "up", ("job", "x")), None);
    }

    #[test]
    fn the_first_matching_rule_decides_and_the_users_rules_stand_first() {
        let set = set(
            "[{name: preset, match: '{__name__=~\"node_.*\"}'}]",
            "[{name: a, match: ['node_load1{job=\"a\"}', up]}, {name: b, match: 'node_load1{job=~\".+\"}'}]",
        );
        assert_eq!(selected(&set, "node_load1", ("job", "a")), Some("a"));
        assert_eq!(selected(&set, "node_load1", ("job", "b")), Some("b"));
        assert_eq!(selected(&set, "node_load1", ("x", "y")), Some("preset"));
        assert_eq!(selected(&set, "up", ("job", "b")), Some("a"));
        assert_eq!(selected(&set, "other", ("job", "b")), None);
    }

    #[test]
    fn an_excluding_rule_hides_series_from_those_behind_it() {
        let set = set(
            "[{match: '{__name__=~\"node_.*\"}'}]",
            "[{match: node_load5, exclude: true}, {match: 'node_load1{job=\"x\"}', exclude: true}]",
        );
        assert_eq!(selected(&set, "node_load5", ("job", "y")), None);
        assert!(!set.may_select("node_load5"));
        assert_eq!(selected(&set, "node_load1", ("job", "x")), None);
        assert!(selected(&set, "node_load1", ("job", "y")).is_some());
        assert!(set.may_select("node_load1") && !set.may_select("up"));
    }

    #[test]
    fn own_output_is_never_scored() {
        let set = set("[]", "[{match: '{__name__=~\".+\"}'}]");
        for name in [
            "anomaly_score",
            "yhat",
            "yhat_upper",
            "sidelong_anomaly_score",
            "sidelong_yhat_lower",
            "yhat_7d",
            "sidelong_yhat_upper_90m",
        ] {
            assert_eq!(selected(&set, name, ("for", "node_load1")), None, "{name}");
            assert!(!set.may_select(name), "{name}");
        }
        for name in ["anomaly_scores", "yhat_7x", "anomaly_score_7d", "my_yhat_7d"] {
            assert!(selected(&set, name, ("for", "x")).is_some(), "{name}");
        }
    }

    #[test]
    fn rules_of_one_name_are_refused() {
        let own = OutputNames::default();
        let error = RuleSet::compile(vec![], rules("[{match: up}, {match: up}]"), own).unwrap_err();
        assert_eq!(error, RuleSetError::SameName { index: 1, name: "up".into() });
    }

    proptest::proptest! {
        #[test]
        fn the_name_filter_never_hides_a_selected_series(
            excludes in proptest::collection::vec((proptest::bool::ANY, "[ab]{1,2}", "[xy]"), 1..6),
            name in "[ab]{1,2}",
            job in "[xy]",
        ) {
            let written: Vec<String> = excludes.iter().enumerate().map(|(i, (exclude, name, job))| {
                let matcher = if i % 2 == 0 { format!("{{job=\"{job}\"}}") } else { String::new() };
                format!("{{name: r{i}, match: '{name}{matcher}', exclude: {exclude}}}")
            }).collect();
            let set = set("[]", &format!("[{}]", written.join(",")));
            let taken = set.select(&[("job", &job), (NAME, &name)]).is_some();
            proptest::prop_assert!(!taken || set.may_select(&name));
        }
    }
}
