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
