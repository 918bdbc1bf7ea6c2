//! Series of a kind, and what an ARIMA model says that they have in common.
//!
//! Of each group the series of the smallest keys are fitted, so that what is kept is bounded and parts of several machines give the
//! very same model; see [`super::sketch`], which does the same with rows.

use std::collections::{BTreeMap, VecDeque};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::arima::{Arima, Search};
use crate::detect::{LAGS, Prior, Priors};
use crate::scatter::scatter;

/// Series of a group that are fitted, and samples of one of them: the newest.
const SERIES: usize = 16;
const SAMPLES: usize = 1_024;
/// A series with fewer samples says too little.
const LEAST: usize = 128;
/// More than so many times as many moments as samples: the gaps are too wide.
const SPARSEST: usize = 2;
/// How large a model may be. The online autoregression looks four values back.
const SEARCH: Search = Search { max_p: 3, max_d: 1, max_q: 2, max_tried: 16 };

/// Series by their group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    /// The label whose values tell groups apart.
    pub by: String,
    seed: u64,
    groups: BTreeMap<String, Vec<Member>>,
}

/// A series that is to be fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    key: u64,
    /// Less the first one, on a grid of moments; nothing where a sample is missing.
    values: Vec<Option<f32>>,
}

/// The newest samples of one series.
#[derive(Clone, Debug, Default)]
pub struct Recent(VecDeque<(i64, f64)>);

// === impl Recent ===

impl Recent {
    /// Notes a value that was judged at `at_ms`.
    pub fn push(&mut self, at_ms: i64, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back((at_ms, value));
    }

    /// The values on a grid of the usual step; nothing of too few, or of too wide gaps.
    fn on_a_grid(&self) -> Option<Vec<Option<f32>>> {
        let (first_ms, first) = *self.0.front().filter(|_| self.0.len() >= LEAST)?;
        let mut steps: Vec<i64> = self.0.iter().zip(self.0.iter().skip(1)).map(|(a, b)| b.0 - a.0).collect();
        let middle = steps.len() / 2;
        let step_ms = (*steps.select_nth_unstable(middle).1).max(1);
        let place = |at_ms: i64| usize::try_from((at_ms - first_ms + step_ms / 2) / step_ms).ok();
        let places = place(self.0.back()?.0)? + 1;
        if places > SPARSEST * self.0.len() {
            return None;
        }
        let mut values = vec![None; places];
        for (at_ms, value) in &self.0 {
            values[place(*at_ms)?] = Some((value - first) as f32).filter(|value| value.is_finite());
        }
        Some(values)
    }
}

// === impl Groups ===

impl Groups {
    /// No series yet, in groups by the label `by`.
    pub fn new(by: String, seed: u64) -> Self {
        Self { by, seed, groups: BTreeMap::new() }
    }

    /// Looks at a series of the group `name`; `fingerprint` tells it from all others.
    pub fn offer(&mut self, name: &str, fingerprint: u64, recent: &Recent) {
        if let Some(values) = recent.on_a_grid() {
            let member = Member { key: scatter(fingerprint ^ scatter(self.seed)), values };
            keep(self.groups.entry(name.to_owned()).or_default(), member);
        }
    }

    /// Takes in what another one has seen of other series.
    pub fn merge(&mut self, other: Self) {
        for (name, members) in other.groups {
            let group = self.groups.entry(name).or_default();
            members.into_iter().for_each(|member| keep(group, member));
        }
    }

    /// Fits each group. One whose model errs no less than repeating the last value is left out.
    pub fn fit(&self) -> Priors {
        let fitted = |(name, members): (&String, &Vec<Member>)| Some((name.clone(), prior(members)?));
        Priors { label: self.by.clone(), groups: self.groups.par_iter().filter_map(fitted).collect() }
    }
}

fn keep(group: &mut Vec<Member>, member: Member) {
    let at = group.partition_point(|other| other.key < member.key);
    group.insert(at, member);
    group.truncate(SERIES);
}

fn prior(members: &[Member]) -> Option<Prior> {
    let series: Vec<Vec<f64>> = members.iter().map(Member::values).collect();
    let series: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
    let selection = match SEARCH.select_group(&series) {
        Ok(selection) => selection,
        Err(error) => {
            tracing::debug!(%error, "no model of a group");
            return None;
        }
    };
    let model = &selection.group.model;
    let weights = weights(model);
    let error_ratio = error_ratio(&weights, &series)?;
    let order = model.order();
    let fitted = selection.group.members.len();
    (error_ratio < 1.0).then(|| Prior {
        order: [order.p() as u8, order.d() as u8, order.q() as u8],
        ar: model.ar().to_vec(),
        ma: model.ma().to_vec(),
        weights,
        error_ratio,
        series: fitted as u32,
        samples: selection.group.observations as u32,
    })
}

/// The model as an autoregression of the last values.
fn weights(model: &Arima) -> [f64; LAGS] {
    let mut weights = [0.0; LAGS];
    weights.iter_mut().zip(model.ar_infinity(LAGS)).for_each(|(weight, of)| *weight = of);
    weights
}

/// The mean square of one-step errors beside those of repeating the last value, each series by its own scale.
fn error_ratio(weights: &[f64; LAGS], series: &[&[f64]]) -> Option<f64> {
    let (mut ratios, mut count) = (0.0, 0);
    for values in series {
        let known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let (mut ours, mut naive) = (0.0, 0.0);
        for window in values.windows(LAGS + 1) {
            let (lags, next) = (&window[..LAGS], window[LAGS] - mean);
            let expected: f64 =
                weights.iter().zip(lags.iter().rev()).map(|(weight, lag)| weight * (lag - mean)).sum();
            let (error, repeated) = ((next - expected).powi(2), (window[LAGS] - window[LAGS - 1]).powi(2));
            if error.is_finite() && repeated.is_finite() {
                ours += error;
                naive += repeated;
            }
        }
        if naive > 0.0 {
            ratios += ours / naive;
            count += 1;
        }
    }
    (count > 0).then(|| ratios / f64::from(count))
}

// === impl Member ===

impl Member {
    fn values(&self) -> Vec<f64> {
        self.values.iter().map(|value| value.map_or(f64::NAN, f64::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An autoregression of order 1 with noise from a hash.
    fn recent(weight: f64, series: u64, samples: usize) -> Recent {
        let (mut recent, mut value) = (Recent::default(), 0.0);
        for at in 0..samples as u64 {
            // Twelve uniform numbers are near enough to a normal one.
            let uniform = |part: u64| scatter(at * 12 + part + (series << 32)) as f64 / u64::MAX as f64;
            value = weight * value + (0..12).map(uniform).sum::<f64>() - 6.0;
            recent.push(at as i64 * 15_000, 100.0 * series as f64 + value);
        }
        recent
    }

    fn groups(of: impl IntoIterator<Item = u64>) -> Groups {
        let mut groups = Groups::new("__name__".to_owned(), 1);
        of.into_iter().for_each(|series| groups.offer("cpu", series, &recent(0.6, series, 300)));
        groups
    }

    #[test]
    fn what_a_group_has_in_common_is_found() {
        let priors = groups(0..4).fit();
        let prior = &priors.groups["cpu"];
        assert!((prior.weights[0] - 0.6).abs() < 0.1, "{prior:?}");
        assert!(prior.error_ratio < 0.9 && prior.series == 4, "{prior:?}");
        assert_eq!(priors.of(|label| (label == "__name__").then_some("cpu")), Some(prior));
        assert_eq!(priors.of(|_| Some("memory")), None);
    }

    #[test]
    fn parts_in_any_order_give_the_same_as_the_whole() {
        let whole = groups(0..40);
        let mut merged = groups((0..40).filter(|series| series % 3 == 1));
        for rest in [2, 0] {
            let part = serde_json::to_string(&groups((0..40).filter(|series| series % 3 == rest))).unwrap();
            merged.merge(serde_json::from_str(&part).unwrap());
        }
        assert_eq!(merged, whole);
        assert_eq!(whole.groups["cpu"].len(), SERIES);
    }

    #[test]
    fn what_says_too_little_is_left_out() {
        let mut groups = Groups::new("__name__".to_owned(), 1);
        groups.offer("short", 1, &recent(0.6, 1, LEAST - 1));
        let mut constant = Recent::default();
        (0..500).for_each(|at| constant.push(at * 1_000, 7.0));
        groups.offer("constant", 2, &constant);
        let mut sparse = Recent::default();
        (0..500).for_each(|at| {
            sparse.push(at * 1_000 + if at % 2 == 0 { 0 } else { at * at * 1_000 }, at as f64)
        });
        groups.offer("sparse", 3, &sparse);
        assert!(groups.fit().groups.is_empty());
    }

    #[test]
    fn a_missing_sample_is_a_gap_and_the_newest_are_kept() {
        let mut recent = Recent::default();
        (0..2_000).filter(|at| *at != 1_990).for_each(|at| recent.push(at * 1_000, at as f64));
        let values = recent.on_a_grid().unwrap();
        assert_eq!((values.len(), values.iter().filter(|value| value.is_none()).count()), (1_025, 1));
        assert_eq!(values.last(), Some(&Some(1_024.0)));
    }
}
