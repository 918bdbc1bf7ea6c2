//! What holds of every process and every series.

use nalgebra::{DMatrix, DVector};
use proptest::collection::vec;
use proptest::prelude::*;

use super::oracle_tests::simulated;
use super::transform::{
    free_of_invertible, free_of_stationary, from_partial, invertible, negated, roots_are_beyond, stationary,
};
use super::{Arima, Order, fit};

/// The modulus of the root of `1 - ar[0] z - ar[1] z^2 - ...` that is nearest to 0: the inverse of the largest eigenvalue of the
/// companion matrix.
fn nearest_root(ar: &[f64]) -> f64 {
    let companion = DMatrix::from_fn(ar.len(), ar.len(), |row, column| match row {
        0 => ar[column],
        _ if row == column + 1 => 1.0,
        _ => 0.0,
    });
    1.0 / companion.complex_eigenvalues().iter().fold(0.0, |most: f64, value| most.max(value.norm()))
}

/// Coefficients of a process that forgets within some hundred samples, from partial autocorrelations.
fn coefficients() -> impl Strategy<Value = Vec<f64>> {
    vec(-0.8_f64..0.8, 0..=3).prop_map(|partial| from_partial(&partial))
}

/// A short series, of which some samples are missing.
fn series() -> impl Strategy<Value = Vec<f64>> {
    let sample = prop_oneof![4 => -3.0_f64..3.0, 1 => Just(f64::NAN)];
    vec(sample, 4..24)
        .prop_filter("two are seen", |series| series.iter().filter(|value| !value.is_nan()).count() >= 2)
}

/// The log-likelihood as the textbook has it: of a multivariate normal distribution with the autocovariances of the process, by
/// its weights of past innovations, the variance of the innovations at its best.
fn dense_log_likelihood(ar: &[f64], ma: &[f64], mean: f64, series: &[f64]) -> f64 {
    let mut weights: Vec<f64> = vec![1.0];
    for lag in 1..2_000 {
        let own = ma.get(lag - 1).unwrap_or(&0.0);
        weights.push(own + ar.iter().zip(weights.iter().rev()).map(|(ar, weight)| ar * weight).sum::<f64>());
    }
    let covariance =
        |lag: usize| weights.iter().zip(&weights[lag..]).map(|(one, later)| one * later).sum::<f64>();
    let seen: Vec<usize> = (0..series.len()).filter(|t| !series[*t].is_nan()).collect();
    let matrix = DMatrix::from_fn(seen.len(), seen.len(), |i, j| covariance(seen[i].abs_diff(seen[j])));
    let deviations = DVector::from_fn(seen.len(), |i, _| series[seen[i]] - mean);
    let root = matrix.cholesky().unwrap();
    let count = seen.len() as f64;
    let sigma2 = deviations.dot(&root.solve(&deviations)) / count;
    let log_determinant = 2.0 * root.l_dirty().diagonal().map(f64::ln).sum();
    -0.5 * (count * (std::f64::consts::TAU.ln() + 1.0 + sigma2.ln()) + log_determinant)
}

proptest! {
    #[test]
    fn any_numbers_give_a_stationary_and_an_invertible_process(free in vec(-4.0_f64..4.0, 1..=5)) {
        prop_assert!(nearest_root(&stationary(&free)) > 1.0);
        prop_assert!(nearest_root(&negated(&invertible(&free))) > 1.0);
    }

    #[test]
    fn the_way_back_leads_to_the_same_numbers(free in vec(-4.0_f64..4.0, 0..=5)) {
        for back in [free_of_stationary(&stationary(&free)), free_of_invertible(&invertible(&free))] {
            let back = back.unwrap();
            prop_assert!(back.iter().zip(&free).all(|(back, free)| (back - free).abs() < 1e-6), "{back:?}");
        }
    }

    #[test]
    fn what_has_a_root_in_the_unit_circle_has_no_numbers(ar in vec(-2.0_f64..2.0, 1..=5)) {
        let root = nearest_root(&ar);
        prop_assume!((root - 1.0).abs() > 1e-6);
        prop_assert_eq!(free_of_stationary(&ar).is_some(), root > 1.0);
        prop_assert!(roots_are_beyond(0.999 * root, &ar) && !roots_are_beyond(1.001 * root, &ar));
    }

    #[test]
    fn the_likelihood_is_that_of_the_normal_distribution(
        ar in coefficients(), ma in coefficients(), mean in -1.0_f64..1.0, series in series(),
    ) {
        let ma = negated(&ma);
        let order = Order::new(ar.len(), 0, ma.len()).unwrap();
        let ours = Arima::new(order, &ar, &ma, mean).unwrap().likelihood(&series).unwrap().log_likelihood;
        let dense = dense_log_likelihood(&ar, &ma, mean, &series);
        prop_assert!((ours - dense).abs() <= 1e-7 * dense.abs().max(1.0), "{ours} is not {dense}");
    }

    #[test]
    fn a_fit_depends_on_neither_unit_nor_level(
        seed in 0_u64..1_000, exponent in -9_i32..9, level in -100.0_f64..100.0, d in 0_usize..2,
    ) {
        let unit = 10_f64.powi(exponent);
        let series = simulated(seed, 120, &[0.6], &[0.3]);
        let moved: Vec<f64> = series.iter().map(|value| unit * (value + level)).collect();
        let order = Order::new(1, d, 0).unwrap();
        let (one, other) = (fit(&series, order).unwrap(), fit(&moved, order).unwrap());
        prop_assert!((one.model.ar()[0] - other.model.ar()[0]).abs() < 1e-5);
        prop_assert!((unit * unit * one.sigma2 / other.sigma2 - 1.0).abs() < 1e-5);
        let densities = one.log_likelihood - one.observations as f64 * unit.ln();
        prop_assert!((densities - other.log_likelihood).abs() < 1e-5 * densities.abs().max(1.0));
        if d == 0 {
            prop_assert!((unit * (one.model.mean() + level) - other.model.mean()).abs() < 1e-4 * unit);
        }
    }
}
