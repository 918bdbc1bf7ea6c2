//! What a context does with the scores of its series.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a context does with the scores of its series while it holds. Of several the last in this order counts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Scores are sent as they are; `explain` names the context.
    Annotate,
    /// Scores are 0, and the detector learns: what goes on is the new ordinary.
    Learn,
    /// Scores are 0, and the detector learns nothing: what goes on is not ordinary, and ends.
    #[default]
    Suppress,
}

// === impl Effect ===

impl Effect {
    /// The word for it in configuration and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Annotate => "annotate",
            Self::Learn => "learn",
            Self::Suppress => "suppress",
        }
    }

    /// Whether scores are 0.
    #[inline]
    pub fn silences(self) -> bool {
        self != Self::Annotate
    }
}
