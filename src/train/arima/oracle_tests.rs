//! Against statsmodels: `tests/oracle/arima.py` tells how its numbers were made.

use serde::Deserialize;

use super::{Arima, Order, fit, kpss};

#[derive(Deserialize)]
struct Fixture {
    name: String,
    order: [usize; 3],
    mean: bool,
    series: Vec<Option<f64>>,
    fixed: Point,
    fitted: Point,
    aicc: f64,
    bic: f64,
    one_step: Vec<f64>,
    forecast: Vec<f64>,
    kpss: Tested,
}

#[derive(Deserialize)]
struct Point {
    ar: Vec<f64>,
    ma: Vec<f64>,
    mean: f64,
    sigma2: f64,
    log_likelihood: f64,
}

#[derive(Deserialize)]
struct Tested {
    lags: usize,
    statistic: f64,
}

// === impl Fixture ===

impl Fixture {
    fn order(&self) -> Order {
        let [p, d, q] = self.order;
        let order = Order::new(p, d, q).unwrap();
        if self.mean { order } else { order.without_mean() }
    }

    fn series(&self) -> Vec<f64> {
        self.series.iter().map(|value| value.unwrap_or(f64::NAN)).collect()
    }

    fn model(&self, point: &Point) -> Arima {
        Arima::new(self.order(), &point.ar, &point.ma, point.mean).unwrap()
    }
}

fn fixtures() -> Vec<Fixture> {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/arima/arima.json"));
    let fixtures: Vec<Fixture> = serde_json::from_str(text).unwrap();
    assert!(fixtures.len() >= 10);
    fixtures
}

#[track_caller]
fn assert_near(what: &str, given: f64, expected: f64, tolerance: f64) {
    let off = (given - expected).abs() / expected.abs().max(1.0);
    assert!(off <= tolerance, "{what}: {given} is not {expected}: {off:e} off");
}

/// A process with unit innovations, from the congruential generator of Knuth's MMIX: always the same.
pub(super) fn simulated(seed: u64, samples: usize, ar: &[f64], ma: &[f64]) -> Vec<f64> {
    const BURN_IN: usize = 200;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    // Twelve uniform numbers have variance 1 and are as good as normal here.
    let innovations: Vec<f64> =
        (0..samples + BURN_IN).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect();
    let mut values: Vec<f64> = Vec::with_capacity(innovations.len());
    for t in 0..innovations.len() {
        let past = ar.iter().zip(values.iter().rev()).map(|(ar, past)| ar * past).sum::<f64>();
        let shocks = ma.iter().zip(innovations[..t].iter().rev()).map(|(ma, past)| ma * past).sum::<f64>();
        values.push(past + innovations[t] + shocks);
    }
    values.split_off(BURN_IN)
}

/// The process whose differences are `series`.
pub(super) fn summed(series: &[f64]) -> Vec<f64> {
    let sums = series.iter().scan(0.0, |sum, value| {
        *sum += value;
        Some(*sum)
    });
    sums.collect()
}

#[test]
fn the_likelihood_is_that_of_statsmodels() {
    for fixture in fixtures() {
        for point in [&fixture.fixed, &fixture.fitted] {
            let ours = fixture.model(point).likelihood(&fixture.series()).unwrap();
            let off = (ours.log_likelihood / point.log_likelihood - 1.0).abs();
            assert!(off < 1e-6, "{}: {ours:?} is not {}: {off:e} off", fixture.name, point.log_likelihood);
            assert!((ours.sigma2 / point.sigma2 - 1.0).abs() < 1e-6, "{}: {ours:?}", fixture.name);
        }
    }
}

#[test]
fn the_fit_is_that_of_statsmodels() {
    for fixture in fixtures() {
        let (name, theirs) = (&fixture.name, &fixture.fitted);
        let ours = fit(&fixture.series(), fixture.order()).unwrap();
        assert!(ours.converged, "{name}");
        let least = theirs.log_likelihood - 1e-6 * theirs.log_likelihood.abs();
        assert!(ours.log_likelihood >= least, "{name}: {} < {}", ours.log_likelihood, theirs.log_likelihood);
        for (ours, theirs) in ours.model.ar().iter().zip(&theirs.ar) {
            assert_near(name, *ours, *theirs, 1e-3);
        }
        for (ours, theirs) in ours.model.ma().iter().zip(&theirs.ma) {
            assert_near(name, *ours, *theirs, 1e-3);
        }
        assert_near(name, ours.model.mean(), theirs.mean, 1e-3);
        assert!(
            (ours.sigma2 / theirs.sigma2 - 1.0).abs() < 1e-3,
            "{name}: {} {}",
            ours.sigma2,
            theirs.sigma2
        );
        assert_near(name, ours.criteria.aicc, fixture.aicc, 1e-5);
        assert_near(name, ours.criteria.bic, fixture.bic, 1e-5);
    }
}

#[test]
fn the_predictions_are_those_of_statsmodels() {
    for fixture in fixtures() {
        let (name, model, series) = (&fixture.name, fixture.model(&fixture.fitted), fixture.series());
        let ahead = model.forecast(&series, fixture.forecast.len()).unwrap();
        for (ours, theirs) in ahead.iter().zip(&fixture.forecast) {
            assert_near(name, *ours, *theirs, 1e-6);
        }
        let d = fixture.order().d();
        let each = model.one_step(&series).unwrap();
        assert!(each[..d].iter().all(|prediction| prediction.is_nan()));
        assert_eq!(each.len() - d, fixture.one_step.len());
        for (ours, theirs) in each[d..].iter().zip(&fixture.one_step) {
            assert_near(name, *ours, *theirs, 1e-6);
        }
    }
}

#[test]
fn the_test_of_stationarity_is_that_of_statsmodels() {
    for fixture in fixtures() {
        let ours = kpss(&fixture.series()).unwrap();
        assert_eq!(ours.lags, fixture.kpss.lags, "{}", fixture.name);
        assert_near(&fixture.name, ours.statistic, fixture.kpss.statistic, 1e-9);
    }
}
