//! What series of a kind have in common: from where a new one of them begins.

use std::collections::BTreeMap;

use super::hybrid::ORDER;

/// What was learned offline of groups of series, each of which has one value of a label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Priors {
    /// The label; `__name__` is the metric.
    pub label: String,
    /// By the label's value.
    pub groups: BTreeMap<String, Prior>,
}

/// What the series of a group have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prior {
    /// The order (p, d, q) of the ARIMA model.
    pub order: [u8; 3],
    /// Its autoregressive coefficients, lag 1 first.
    pub ar: Vec<f64>,
    /// Its moving-average coefficients, lag 1 first.
    pub ma: Vec<f64>,
    /// What it comes to as an autoregression of the last values, differences included: where the online one begins.
    pub weights: [f64; ORDER],
    /// The mean square of its one-step errors beside those of repeating the last value.
    pub error_ratio: f64,
    /// Series that it was fitted to.
    pub series: u32,
    /// Samples of them.
    pub samples: u32,
}

// === impl Priors ===

impl Priors {
    /// Where a series begins whose labels have the values that `value` gives.
    pub fn of<'a>(&self, value: impl FnOnce(&str) -> Option<&'a str>) -> Option<&Prior> {
        if self.groups.is_empty() {
            return None;
        }
        self.groups.get(value(&self.label)?)
    }
}
