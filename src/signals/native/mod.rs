//! What is made of native histograms: of each two that follow one another the mean, the rate and a quantile of what
//! was observed between them, as Prometheus answers `histogram_avg(irate(…))`, `histogram_count(irate(…))` and
//! `histogram_quantile(…, irate(…))`.
//!
//! A gauge histogram is taken as it stands and has no rate.

mod bounds;
mod math;
mod observed;
mod quantile;

use super::spec::{Claim, Quantity, is_selected};
use crate::batch::{NativeHistogram, Reset};
use crate::rules::Selector;

pub(super) use observed::Observed;

/// Native histograms, and what is made of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    selectors: Vec<Selector>,
    mean: bool,
    rate: bool,
    quantile: Option<Quantile>,
}

/// A quantile, and what a series of it is called behind the family.
#[derive(Clone, Debug, PartialEq)]
struct Quantile {
    of: f64,
    name: String,
}

/// What a group remembers of its histogram.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// The newest one.
    histogram: Option<Box<NativeHistogram>>,
    /// What is made of it, in the order of the outputs.
    pub(super) made: [Option<f64>; 3],
}

// === impl Native ===

impl Native {
    /// Makes of each histogram that `selectors` take its mean, its rate and a quantile between 0 and 1, where they are
    /// asked for.
    pub fn new(selectors: Vec<Selector>, mean: bool, rate: bool, quantile: Option<f64>) -> Self {
        let quantile = quantile.map(|of| Quantile { of, name: name_of(of) });
        Self { selectors, mean, rate, quantile }
    }

    /// The mean, the rate and the quantile that are made of `now`, where `before` was the one before it.
    pub fn between(&self, before: &NativeHistogram, now: &NativeHistogram) -> [Option<f64>; 3] {
        let (mut known, mut observed) = (Before::default(), Observed::default());
        known.go_on(self, before, &mut observed);
        known.go_on(self, now, &mut observed);
        known.made
    }

    /// What the made series are called behind the family.
    pub(super) fn outputs(&self) -> [Option<&str>; 3] {
        let quantile = self.quantile.as_ref().map(|quantile| quantile.name.as_str());
        [self.mean.then_some(":mean"), self.rate.then_some(":rate"), quantile]
    }

    pub(super) fn claim(&self, labels: &[(&str, &str)]) -> Option<Claim> {
        is_selected(&self.selectors, labels).then(|| Claim {
            role: 0,
            quantity: Quantity::Histogram,
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        })
    }
}

/// `:p99` for 0.99, `:p99_5` for 0.995.
fn name_of(quantile: f64) -> String {
    let percent = (quantile * 1e10).round() / 1e8;
    format!(":p{percent}").replace('.', "_")
}

// === impl Before ===

impl Before {
    /// Bytes that lie apart.
    pub(super) fn bytes(&self) -> usize {
        self.histogram.as_ref().map_or(0, |histogram| histogram.bytes())
    }

    /// Makes of `now` and the histogram before it what `native` asks for.
    pub(super) fn go_on(&mut self, native: &Native, now: &NativeHistogram, observed: &mut Observed) {
        self.made = [None; 3];
        let before = self.histogram.as_deref().filter(|_| now.reset != Reset::Gauge);
        if before.is_some() || now.reset == Reset::Gauge {
            match before {
                Some(before) => observed.between(before, now),
                None => observed.take(now),
            }
            let rate = before.and_then(|before| {
                observed.rate(now.timestamp_ms.saturating_sub(before.timestamp_ms) as f64)
            });
            let quantile = native.quantile.as_ref().and_then(|quantile| observed.quantile(quantile.of));
            self.made = [observed.mean().filter(|_| native.mean), rate.filter(|_| native.rate), quantile];
        }
        self.histogram.get_or_insert_default().copy_from(now);
    }
}

#[cfg(test)]
mod tests;
