//! Which series are scored and how: matchers, presets, and the vocabulary users know.

pub mod config;
pub mod preset;
pub mod rule;
pub mod selector;
pub mod set;
mod timezone;

pub use config::{RawRule, RuleError};
pub use preset::Preset;
pub use rule::{Absence, Bounds, Direction, Emit, Inheritance, Kind, Output, Outputs, Rule, Sides};
pub use selector::{MatchOp, Matcher, Selector, SelectorError};
pub use set::{FAN, FAN_SIZE, OutputNames, RuleId, RuleSet, RuleSetError, is_forecast};
