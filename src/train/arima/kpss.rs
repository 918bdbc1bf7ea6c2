//! How often a series has to be differenced.
//!
//! The test of Kwiatkowski, Phillips, Schmidt and Shin, "Testing the null hypothesis of stationarity against the alternative of
//! a unit root", Journal of Econometrics 54 (1992), for stationarity about a level. As in Hyndman and Khandakar, "Automatic time
//! series forecasting: the forecast package for R", Journal of Statistical Software 27(3) (2008), a series is differenced as
//! long as the test rejects it at 5 %.

use super::Error;
use super::standard::{difference, observed, spread};

/// Critical value at 5 %: table 1 of the paper, the upper tail of the level statistic (0.347 at 10 %, 0.463 at 5 %, 0.574 at
/// 2.5 %, 0.739 at 1 %).
const CRITICAL: f64 = 0.463;

/// What the test says of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kpss {
    /// Partial sums of the deviations, squared, in units of the long-run variance.
    pub statistic: f64,
    /// Lags whose autocovariances the long-run variance takes in.
    pub lags: usize,
}

// === impl Kpss ===

impl Kpss {
    /// Whether a level is not enough to explain the series: it should be differenced.
    pub fn rejects_level(self) -> bool {
        self.statistic > CRITICAL
    }
}

/// The test for stationarity about a level. The long-run variance is that of Newey and West with `3 sqrt(n) / 13` lags, as in
/// `ndiffs` of R's forecast. Missing samples are left out, what is before and after them taken as neighbours.
///
/// # Errors
///
/// If a sample is infinite, fewer than 4 are not missing, or all are the same.
pub fn kpss(series: &[f64]) -> Result<Kpss, Error> {
    kpss_of_differences(series, 0)
}

/// The test of what `series` is after `d` differences.
fn kpss_of_differences(series: &[f64], d: usize) -> Result<Kpss, Error> {
    let values: Vec<f64> = observed(&difference(series, d)?).collect();
    let count = values.len();
    if count < 4 {
        return Err(Error::TooFewSamples { have: count, need: 4 });
    }
    let (average, deviation) = spread(&values, series).ok_or(Error::Constant { d })?;
    let deviations: Vec<f64> = values.iter().map(|value| (value - average) / deviation).collect();
    let lags = (3.0 * (count as f64).sqrt() / 13.0) as usize;
    let at_lag =
        |lag: usize| deviations.iter().zip(&deviations[lag..]).map(|(one, later)| one * later).sum::<f64>();
    let weighted: f64 = (1..=lags).map(|lag| (1.0 - lag as f64 / (lags + 1) as f64) * at_lag(lag)).sum();
    let long_run = (at_lag(0) + 2.0 * weighted) / count as f64;
    let sums = deviations.iter().scan(0.0, |sum, deviation| {
        *sum += deviation;
        Some(*sum)
    });
    let squares: f64 = sums.map(|sum| sum * sum).sum();
    Ok(Kpss { statistic: squares / (count * count) as f64 / long_run, lags })
}

/// How often `series` is to be differenced, at most `most` times, and the tests that led there. What is constant or too short
/// to be tested is not differenced further.
pub(super) fn differences(series: &[f64], most: usize) -> Result<(usize, Vec<Kpss>), Error> {
    let mut tests = Vec::new();
    for d in 0..most {
        match kpss_of_differences(series, d) {
            Ok(test) => tests.push(test),
            Err(error @ Error::NotFinite { .. }) => return Err(error),
            Err(_) => return Ok((d, tests)),
        }
        if tests.last().is_some_and(|test| !test.rejects_level()) {
            return Ok((d, tests));
        }
    }
    Ok((most, tests))
}

#[cfg(test)]
mod tests {
    use super::super::oracle_tests::{simulated, summed};
    use super::*;

    #[test]
    fn a_series_is_differenced_as_often_as_it_was_summed() {
        let noise = simulated(21, 400, &[0.4], &[]);
        let walk = summed(&noise);
        assert_eq!(differences(&noise, 2).unwrap().0, 0);
        assert_eq!(differences(&walk, 2).unwrap().0, 1);
        assert_eq!(differences(&summed(&walk), 2).unwrap().0, 2);
        assert_eq!(differences(&summed(&walk), 1).unwrap().0, 1);
    }

    #[test]
    fn a_line_is_differenced_once_and_a_constant_never() {
        let line: Vec<f64> = (0..100).map(|t| 1e6 + 0.1 * f64::from(t)).collect();
        assert_eq!(differences(&line, 2).unwrap().0, 1);
        assert_eq!(differences(&[0.1; 100], 2).unwrap(), (0, vec![]));
    }
}
