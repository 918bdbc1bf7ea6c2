//! Where the search for the coefficients begins.
//!
//! Hannan and Rissanen, "Recursive estimation of mixed autoregressive-moving average order", Biometrika 69 (1982): a long
//! autoregression gives residuals that stand for the innovations; the series is then regressed on its own past and on theirs.
//! Several series of a group are taken together, as sums of their products.

use nalgebra::{DMatrix, DVector};

use super::Order;
use super::standard::Standard;
use super::transform::{free_of_invertible, free_of_stationary, from_partial, negated, to_partial};

/// Largest partial autocorrelation of a start: nearer to 1 the likelihood is so flat that a search would not get away.
const MOST_PARTIAL: f64 = 0.95;
/// By how much the roots of a start that is too near are moved away at a time.
const AWAY: f64 = 0.9;

/// Places from which to search, in the numbers that [`super::transform`] squeezes: the autoregressive ones first.
pub(super) fn starts(series: &[Standard], order: Order) -> Vec<Vec<f64>> {
    let (p, q) = (order.p(), order.q());
    let covariances = autocovariances(series, long_terms(series, order));
    let alone = yule_walker(&covariances, p);
    let by_regression = hannan_rissanen(series, order, &yule_walker(&covariances, covariances.len() - 1));
    let candidates = [by_regression, Some((alone, vec![0.0; q])), Some((vec![0.0; p], vec![0.0; q]))];
    candidates.into_iter().flatten().filter_map(|(ar, ma)| free(&ar, &ma)).collect()
}

/// The numbers that belong to coefficients, after these were moved away from where a search would get stuck.
fn free(ar: &[f64], ma: &[f64]) -> Option<Vec<f64>> {
    let ar = free_of_stationary(&settled(ar))?;
    let ma = free_of_invertible(&negated(&settled(&negated(ma))))?;
    Some([ar, ma].concat())
}

/// `ar` with its roots moved away from the unit circle until it is safely stationary. Not finite stays as it is.
fn settled(ar: &[f64]) -> Vec<f64> {
    let mut ar = ar.to_vec();
    let is_safe = |ar: &[f64]| {
        to_partial(ar).is_some_and(|partial| partial.iter().all(|number| number.abs() <= MOST_PARTIAL))
    };
    while ar.iter().all(|number| number.is_finite()) && !is_safe(&ar) {
        let mut factor = 1.0;
        for coefficient in &mut ar {
            factor *= AWAY;
            *coefficient *= factor;
        }
    }
    ar
}

/// Terms of the long autoregression: enough that what is left is nearly white, few enough to be estimated.
fn long_terms(series: &[Standard], order: Order) -> usize {
    let longest = series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    let wanted = order.p().max(order.q()) + (10.0 * (longest.max(1) as f64).log10()) as usize;
    wanted.min(longest / 4).max(order.p())
}

/// From lag 0 to `lags`. The divisor is the same for all lags, so that the sequence is that of a stationary process if nothing
/// is missing.
fn autocovariances(series: &[Standard], lags: usize) -> Vec<f64> {
    let observed: usize = series.iter().map(|series| series.observed).sum();
    let at_lag = |lag: usize| {
        let products = series.iter().flat_map(|series| {
            series.values.iter().zip(series.values.iter().skip(lag)).map(|(earlier, later)| earlier * later)
        });
        products.filter(|product| !product.is_nan()).sum::<f64>() / observed as f64
    };
    (0..=lags).map(at_lag).collect()
}

/// The autoregression of so many terms that has these autocovariances; with those clipped that no stationary process has.
fn yule_walker(covariances: &[f64], terms: usize) -> Vec<f64> {
    let mut partial: Vec<f64> = Vec::with_capacity(terms);
    let mut ar: Vec<f64> = Vec::new();
    let mut variance = covariances[0];
    for term in 1..=terms {
        let explained: f64 =
            ar.iter().zip(covariances[1..term].iter().rev()).map(|(ar, next)| ar * next).sum();
        let next = ((covariances[term] - explained) / variance).clamp(-MOST_PARTIAL, MOST_PARTIAL);
        variance *= 1.0 - next * next;
        partial.push(next);
        ar = from_partial(&partial);
    }
    ar
}

/// The regression on the past of the series and of the residuals of `long`; none if too few samples have all of it.
fn hannan_rissanen(series: &[Standard], order: Order, long: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let (p, q) = (order.p(), order.q());
    let mut squares = DMatrix::<f64>::zeros(p + q, p + q);
    let mut products = DVector::<f64>::zeros(p + q);
    let mut row = DVector::<f64>::zeros(p + q);
    let mut rows = 0;
    for series in series {
        let values = &series.values;
        let residuals = residuals(values, long);
        for t in p.max(q)..values.len() {
            let past = values[t - p..t].iter().rev().chain(residuals[t - q..t].iter().rev());
            row.iter_mut().zip(past).for_each(|(entry, past)| *entry = *past);
            if values[t].is_nan() || row.iter().any(|entry| entry.is_nan()) {
                continue;
            }
            rows += 1;
            squares.ger(1.0, &row, &row, 1.0);
            products.axpy(values[t], &row, 1.0);
        }
    }
    if rows <= 2 * (p + q) {
        return None;
    }
    let coefficients = squares.cholesky()?.solve(&products);
    let (ar, ma) = coefficients.as_slice().split_at(p);
    Some((ar.to_vec(), ma.to_vec()))
}

/// What the autoregression `ar` leaves of `values`; NaN where it cannot tell.
fn residuals(values: &[f64], ar: &[f64]) -> Vec<f64> {
    let residual = |t: usize| {
        if t < ar.len() {
            return f64::NAN;
        }
        let expected: f64 =
            ar.iter().zip(values[t - ar.len()..t].iter().rev()).map(|(ar, past)| ar * past).sum();
        values[t] - expected
    };
    (0..values.len()).map(residual).collect()
}
