//! Rules for well-known exporters, inside the binary.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RawRule;
use crate::config::yaml::{self, Problem};

/// Rules for the series of a well-known exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Machines: CPU, memory, disks, file systems, network.
    #[default]
    NodeExporter,
    /// Containers and control plane, as the kubelet, its cAdvisor and the API server expose them.
    Kubernetes,
    /// Objects of a cluster: restarts, unready pods, unavailable replicas.
    KubeStateMetrics,
    /// Rate, errors and duration of HTTP and gRPC servers.
    HttpRed,
    /// AWS metrics by YACE or the cloudwatch_exporter.
    Cloudwatch,
}

/// A preset whose file cannot be read, which its test rules out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the preset {preset} cannot be read: {problem}")]
pub struct PresetError {
    preset: Preset,
    problem: String,
}

// === impl Preset ===

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] =
        [Self::NodeExporter, Self::Kubernetes, Self::KubeStateMetrics, Self::HttpRed, Self::Cloudwatch];

    /// The name in the configuration file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NodeExporter => "node_exporter",
            Self::Kubernetes => "kubernetes",
            Self::KubeStateMetrics => "kube_state_metrics",
            Self::HttpRed => "http_red",
            Self::Cloudwatch => "cloudwatch",
        }
    }

    /// The rules as they are written.
    pub fn rules(self) -> Result<Vec<RawRule>, PresetError> {
        yaml::from_str(self.text()).map_err(|problems: Vec<Problem>| PresetError {
            preset: self,
            problem: problems.first().map(Problem::to_string).unwrap_or_default(),
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::NodeExporter => include_str!("presets/node_exporter.yml"),
            Self::Kubernetes => include_str!("presets/kubernetes.yml"),
            Self::KubeStateMetrics => include_str!("presets/kube_state_metrics.yml"),
            Self::HttpRed => include_str!("presets/http_red.yml"),
            Self::Cloudwatch => include_str!("presets/cloudwatch.yml"),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write;

    use super::*;
    use crate::rules::selector::NAME;
    use crate::rules::{OutputNames, RuleSet, Selector};

    /// Labels that tell one object from another but not what is measured.
    const OBJECT_LABELS: [&str; 10] =
        ["id", "image", "name", "namespace", "pod", "uid", "account_id", "region", "node", "view"];

    fn rule_set(presets: &[Preset]) -> RuleSet {
        let raw = presets.iter().flat_map(|preset| preset.rules().unwrap());
        let rules = raw.map(|rule| rule.check().unwrap_or_else(|e| panic!("{}: {e:?}", rule.name))).collect();
        RuleSet::compile(rules, vec![], OutputNames::by_templates([])).unwrap()
    }

    /// The series of an exposition; their syntax is that of a selector with equal matchers alone.
    fn series(exposition: &str) -> Vec<Selector> {
        let path = format!("{}/tests/data/expositions/{exposition}.prom", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| series_of(line).parse().unwrap()).collect()
    }

    /// A line without its value and timestamp.
    fn series_of(line: &str) -> &str {
        match line.rfind('}') {
            Some(end) => line.split_at(end + 1).0,
            None => line.split(' ').next().unwrap(),
        }
    }

    fn labels(series: &Selector) -> Vec<(&str, &str)> {
        series.matchers().iter().map(|matcher| (matcher.label(), matcher.value())).collect()
    }

    /// Which series of an exposition the preset takes, by which rule and as what.
    fn taken(preset: Preset, exposition: &str) -> String {
        let set = rule_set(&[preset]);
        let mut by_rule: BTreeMap<_, Vec<String>> = BTreeMap::new();
        let all = series(exposition);
        for series in &all {
            let labels = labels(series);
            let name = labels.iter().find(|(label, _)| *label == NAME).unwrap().1;
            if let Some(id) = set.select(&labels) {
                assert!(set.may_select(name), "{name}");
                let kind = if set.rule(id).kind.is_counter(name) { "counter" } else { "gauge" };
                let shown = labels[1..].iter().filter(|(label, value)| {
                    !value.is_empty() && !OBJECT_LABELS.contains(label) && !label.starts_with("dimension_")
                });
                let shown: Vec<_> = shown.map(|(label, value)| format!("{label}={value}")).collect();
                by_rule.entry(id).or_default().push(format!("{kind} {name} {}", shown.join(" ")));
            }
        }
        let mut out = String::new();
        for (id, lines) in &by_rule {
            writeln!(out, "{}", set.rule(*id).name).unwrap();
            lines.iter().for_each(|line| writeln!(out, "  {}", line.trim_end()).unwrap());
        }
        let count: usize = by_rule.values().map(Vec::len).sum();
        writeln!(out, "{count} of {} series", all.len()).unwrap();
        let used = by_rule.len();
        let rules = set.iter().filter(|(_, rule)| !rule.exclude).count();
        write!(out, "{used} of {rules} rules").unwrap();
        out
    }

    /// What real exporters said, by the preset that is meant for it.
    const RECORDED: [(Preset, &str); 7] = [
        (Preset::NodeExporter, "node_exporter"),
        (Preset::Kubernetes, "recorded/cadvisor"),
        (Preset::KubeStateMetrics, "recorded/kube_state_metrics"),
        (Preset::HttpRed, "recorded/prometheus"),
        (Preset::HttpRed, "recorded/fastapi"),
        (Preset::HttpRed, "recorded/haproxy"),
        (Preset::Cloudwatch, "recorded/yace"),
    ];

    #[test]
    fn node_exporters_series_are_taken() {
        insta::assert_snapshot!(taken(Preset::NodeExporter, "node_exporter"));
    }

    #[test]
    fn kubernetes_series_are_taken() {
        insta::assert_snapshot!(taken(Preset::Kubernetes, "kubernetes"));
    }

    #[test]
    fn kube_state_metrics_series_are_taken() {
        insta::assert_snapshot!(taken(Preset::KubeStateMetrics, "kube_state_metrics"));
    }

    #[test]
    fn http_servers_series_are_taken() {
        insta::assert_snapshot!(taken(Preset::HttpRed, "http_red"));
    }

    #[test]
    fn cloudwatch_series_are_taken_and_none_is_a_counter() {
        let taken = taken(Preset::Cloudwatch, "cloudwatch");
        assert!(!taken.contains("counter "));
        insta::assert_snapshot!(taken);
    }

    #[test]
    fn what_real_exporters_say_is_taken() {
        for (preset, exposition) in RECORDED.into_iter().filter(|(_, exposition)| exposition.contains('/')) {
            let taken = taken(preset, exposition);
            insta::assert_snapshot!(exposition.replace('/', "_"), taken);
        }
    }

    #[test]
    fn every_preset_is_held_to_a_recorded_exposition() {
        for preset in Preset::ALL {
            let taken: Vec<_> = RECORDED.iter().filter(|(of, _)| *of == preset).collect();
            assert!(!taken.is_empty(), "{preset}");
        }
    }

    #[test]
    fn no_preset_takes_constants_buckets_or_information() {
        let set = rule_set(&Preset::ALL);
        let written = Preset::ALL.map(Preset::as_str);
        let recorded = RECORDED.map(|(_, exposition)| exposition);
        for exposition in written.into_iter().chain(recorded) {
            for series in series(exposition) {
                let labels = labels(&series);
                let name = labels.iter().find(|(label, _)| *label == NAME).unwrap().1;
                let is_constant =
                    ["_info", "_bucket", "_created", "_size_bytes", "_limit_bytes", "_MemTotal_bytes"]
                        .iter()
                        .any(|suffix| name.ends_with(suffix));
                assert!(!is_constant || set.select(&labels).is_none(), "{series}");
            }
        }
    }

    #[test]
    fn all_presets_stand_side_by_side() {
        let set = rule_set(&Preset::ALL);
        let mut names: Vec<_> = set.iter().map(|(_, rule)| rule.name.as_str()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "two rules of the presets have one name");
        assert!(Preset::ALL.iter().all(|preset| names.iter().any(|name| name.starts_with(preset.as_str()))));
    }
}
