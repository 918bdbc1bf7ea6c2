//! The rules of a label set (R16 to R18).

use super::Refusal;
use crate::series::labels::METRIC_NAME;

/// Checks the labels of one series after another. Keeps its memory.
#[derive(Debug, Default)]
pub(super) struct LabelCheck<'a> {
    names: Vec<&'a [u8]>,
    sorted: bool,
    refusal: Option<Refusal>,
}

// === impl LabelCheck ===

impl<'a> LabelCheck<'a> {
    pub(super) fn start(&mut self) {
        self.names.clear();
        self.sorted = true;
        self.refusal = None;
    }

    pub(super) fn add(&mut self, name: &'a [u8], value: &'a [u8]) {
        if let Some(refusal) = fault(name, value) {
            self.refusal.get_or_insert(refusal);
        }
        self.sorted &= self.names.last().is_none_or(|last| *last < name);
        self.names.push(name);
    }

    /// What is wrong with the labels added since [`Self::start`], the first thing found.
    pub(super) fn finish(&mut self) -> Option<Refusal> {
        if !self.sorted {
            self.names.sort_unstable();
        }
        let repeated = !self.sorted && self.names.windows(2).any(|pair| pair[0] == pair[1]);
        let named = self.names.binary_search(&METRIC_NAME.as_bytes()).is_ok();
        self.refusal
            .or(repeated.then_some(Refusal::RepeatedLabel))
            .or((!named).then_some(Refusal::NoMetricName))
    }
}

fn fault(name: &[u8], value: &[u8]) -> Option<Refusal> {
    if std::str::from_utf8(name).is_err() || std::str::from_utf8(value).is_err() {
        Some(Refusal::NotText)
    } else if name.is_empty() {
        Some(Refusal::EmptyLabelName)
    } else if value.is_empty() {
        Some(if name == METRIC_NAME.as_bytes() { Refusal::NoMetricName } else { Refusal::EmptyLabelValue })
    } else {
        None
    }
}
