//! Maximum likelihood of one series; what is common with a group.

use super::bfgs::minimise;
use super::kalman::{Likelihood, Mean, System};
use super::standard::Standard;
use super::start::starts;
use super::transform::{invertible, stationary};
use super::{Arima, Error, Order};

/// A model of one series and how well it fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The coefficients and the mean.
    pub model: Arima,
    /// Variance of the innovations.
    pub sigma2: f64,
    /// Log-likelihood of the differenced series.
    pub log_likelihood: f64,
    /// What orders are compared by.
    pub criteria: Criteria,
    /// Differenced samples that are not missing.
    pub observations: usize,
    /// Whether the likelihood is flat there. If not, the work was bounded before the top was reached.
    pub converged: bool,
}

/// Log-likelihood and the price of parameters; smaller is better. Comparable between models of the same differences only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criteria {
    /// That of Akaike.
    pub aic: f64,
    /// The same corrected for short series.
    pub aicc: f64,
    /// The Bayesian one, of Schwarz.
    pub bic: f64,
}

/// What series have in common at the top of their likelihood, and each its own.
pub(super) struct Top {
    pub(super) ar: Vec<f64>,
    pub(super) ma: Vec<f64>,
    /// Of each series, in its own units.
    pub(super) likelihoods: Vec<Likelihood>,
    pub(super) converged: bool,
}

/// The model of `order` under which `series` is most likely.
///
/// # Errors
///
/// If the series is too short for the order, constant, or not finite.
pub fn fit(series: &[f64], order: Order) -> Result<Fit, Error> {
    let standard = Standard::new(series, order)?;
    let Top { ar, ma, likelihoods, converged } = climb(std::slice::from_ref(&standard), order)?;
    let Some(Likelihood { log_likelihood, sigma2, mean, observations }) = likelihoods.first().copied() else {
        return Err(Error::NoLikelihood);
    };
    Ok(Fit {
        model: Arima::new(order, &ar, &ma, mean)?,
        sigma2,
        log_likelihood,
        criteria: Criteria::new(log_likelihood, observations, order.parameters()),
        observations,
        converged,
    })
}

/// The coefficients of `order` under which all of `series` are most likely together.
pub(super) fn climb(series: &[Standard], order: Order) -> Result<Top, Error> {
    let observed: usize = series.iter().map(|series| series.observed).sum();
    let mean = if order.has_mean() { Mean::Best } else { Mean::Fixed(0.0) };
    let likelihoods = |free: &[f64]| {
        let (ar, ma) = free.split_at(order.p());
        let system = System::new(&stationary(ar), &invertible(ma))?;
        Some(series.iter().map(move |series| system.likelihood(&series.values, mean)))
    };
    // Per sample, so that what counts as flat does not depend on the length of the series.
    let height = |free: &[f64]| {
        let sum = likelihoods(free).map(|each| each.map(|one| one.log_likelihood).sum::<f64>());
        sum.map(|sum| -sum / observed as f64).filter(|height| height.is_finite()).unwrap_or(f64::INFINITY)
    };
    let lowest = starts(series, order).into_iter().map(|start| (height(&start), start));
    let Some((height_there, start)) = lowest.min_by(|one, other| one.0.total_cmp(&other.0)) else {
        return Err(Error::NoLikelihood);
    };
    if height_there.is_infinite() {
        return Err(Error::NoLikelihood);
    }
    let minimum = minimise(height, &start);
    let of_standards = likelihoods(&minimum.at).ok_or(Error::NoLikelihood)?;
    let likelihoods =
        of_standards.zip(series).map(|(likelihood, series)| series.restore(likelihood)).collect();
    let (ar, ma) = minimum.at.split_at(order.p());
    Ok(Top { ar: stationary(ar), ma: invertible(ma), likelihoods, converged: minimum.converged })
}

// === impl Criteria ===

impl Criteria {
    pub(super) fn new(log_likelihood: f64, observations: usize, parameters: usize) -> Self {
        let (samples, parameters) = (observations as f64, parameters as f64);
        let aic = 2.0 * (parameters - log_likelihood);
        Self {
            aic,
            aicc: aic + 2.0 * parameters * (parameters + 1.0) / (samples - parameters - 1.0),
            bic: parameters * samples.ln() - 2.0 * log_likelihood,
        }
    }
}

// === impl Standard ===

impl Standard {
    /// A likelihood of the standardised values as one of the values themselves.
    fn restore(&self, of_standard: Likelihood) -> Likelihood {
        Likelihood {
            log_likelihood: of_standard.log_likelihood - of_standard.observations as f64 * self.scale.ln(),
            sigma2: of_standard.sigma2 * self.scale * self.scale,
            mean: self.centre + of_standard.mean * self.scale,
            observations: of_standard.observations,
        }
    }
}
