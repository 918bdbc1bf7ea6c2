//! ARIMA models by exact maximum likelihood: of one series, and of a group of series that share their coefficients.
//!
//! A model of [`Order`] (p, d, q) says that the series, differenced d times, is `w` with
//!
//! ```text
//! w[t] - mean = ar[1] (w[t-1] - mean) + ... + ar[p] (w[t-p] - mean) + e[t] + ma[1] e[t-1] + ... + ma[q] e[t-q]
//! ```
//!
//! where the innovations `e` are normal with variance `sigma2`. [`fit()`] finds the coefficients of one series, [`fit_group`] those
//! of a group, and [`Search`] the order too. NaN is a missing value everywhere; an infinite one is an error. Nothing here is
//! random: the same samples give the same model on every run.
//!
//! The likelihood is that of the differenced series, by a Kalman filter that starts from the stationary distribution
//! (`SARIMAX(..., simple_differencing=True)` of statsmodels). So a missing sample costs d + 1 of the differences.

mod bfgs;
mod error;
mod fit;
mod group;
mod kalman;
mod kpss;
mod model;
mod order;
mod search;
mod standard;
mod start;
mod transform;

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod property_tests;

pub use error::Error;
pub use fit::{Criteria, Fit, fit};
pub use group::{Group, MAX_SAMPLES, MAX_SERIES, Member, fit_group};
pub use kalman::Likelihood;
pub use kpss::{Kpss, kpss};
pub use model::Arima;
pub use order::Order;
pub use search::{GroupSelection, Outcome, Search, Selection, Tried};
