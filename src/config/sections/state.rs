//! `state`: what series have learned, kept beyond a restart.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, SectionError};
use crate::config::units::PromDuration;

/// What series have learned, kept beyond a restart. Read at the start; a reload changes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// The folder in which snapshots are kept; it must exist. Without it series begin anew after a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// How often a snapshot is written; another one is written at the end.
    pub interval: PromDuration,
    /// A series that was last seen longer ago begins anew.
    pub max_age: PromDuration,
    /// How long the start may take for reading the snapshot. What is not read by then begins anew.
    pub restore_timeout: PromDuration,
}

// === impl State ===

impl Default for State {
    fn default() -> Self {
        Self {
            folder: None,
            interval: PromDuration::from_secs(5 * 60),
            max_age: PromDuration::from_secs(7 * 24 * 3_600),
            restore_timeout: PromDuration::from_secs(10),
        }
    }
}

impl State {
    pub(in crate::config) fn check(&self, findings: &mut Findings) {
        let zero = [
            ("interval", self.interval.is_zero()),
            ("max_age", self.max_age.is_zero()),
            ("restore_timeout", self.restore_timeout.is_zero()),
        ];
        for (option, is_zero) in zero {
            findings.require(!is_zero, format!("state.{option}"), SectionError::Zero);
        }
    }
}
