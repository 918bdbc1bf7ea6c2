//! Differencing, and bringing what remains to one scale.

use super::{Error, Order};

/// Spread below which a series is constant, as a share of its largest value: what rounding leaves of equal numbers.
const CONSTANT: f64 = 1e-13;

/// A differenced series in units of its own spread, so that a fit does not depend on the unit of the metric.
#[derive(Clone, Debug)]
pub(super) struct Standard {
    /// NaN is missing.
    pub(super) values: Vec<f64>,
    /// What was subtracted: the average if the order has a mean, else 0.
    pub(super) centre: f64,
    /// By what it was divided.
    pub(super) scale: f64,
    /// How many values are not missing.
    pub(super) observed: usize,
}

// === impl Standard ===

impl Standard {
    /// `series`, differenced as `order` says.
    pub(super) fn new(series: &[f64], order: Order) -> Result<Self, Error> {
        let mut values = difference(series, order.d())?;
        let observed = observed(&values).count();
        if observed < order.samples_needed() {
            return Err(Error::TooFewSamples { have: observed, need: order.samples_needed() });
        }
        let (average, _) = spread(&values, series).ok_or(Error::Constant { d: order.d() })?;
        let centre = if order.has_mean() { average } else { 0.0 };
        let scale = root_mean_square(&values, centre);
        values.iter_mut().for_each(|value| *value = (*value - centre) / scale);
        Ok(Self { values, centre, scale, observed })
    }
}

/// `series` differenced `times`; a difference with a missing value is missing.
pub(super) fn difference(series: &[f64], times: usize) -> Result<Vec<f64>, Error> {
    let mut values = series.to_vec();
    let mut index = 0;
    loop {
        if let Some(at) = values.iter().position(|value| value.is_infinite()) {
            return Err(Error::NotFinite { index: at + index });
        }
        if index == times {
            return Ok(values);
        }
        values = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
        index += 1;
    }
}

/// The values that are not missing.
pub(super) fn observed(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied().filter(|value| !value.is_nan())
}

/// Average and standard deviation of `values`; none if they are all the same but for what rounding made of `series`, of which
/// they are the differences.
pub(super) fn spread(values: &[f64], series: &[f64]) -> Option<(f64, f64)> {
    let average = average(values);
    let deviation = root_mean_square(values, average);
    (deviation > CONSTANT * largest(series)).then_some((average, deviation))
}

/// Divided before summed: the sum may be too large for a number. The second pass takes away what rounding left.
fn average(values: &[f64]) -> f64 {
    let count = observed(values).count() as f64;
    let rough: f64 = observed(values).map(|value| value / count).sum();
    rough + observed(values).map(|value| (value - rough) / count).sum::<f64>()
}

fn root_mean_square(values: &[f64], centre: f64) -> f64 {
    let largest = observed(values).fold(0.0, |most: f64, value| most.max((value - centre).abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let squares: f64 = observed(values).map(|value| ((value - centre) / largest).powi(2)).sum();
    largest * (squares / observed(values).count() as f64).sqrt()
}

fn largest(values: &[f64]) -> f64 {
    observed(values).fold(0.0, |most: f64, value| most.max(value.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_takes_its_differences_along() {
        let twice = difference(&[1.0, 4.0, 9.0, 16.0, f64::NAN, 36.0, 49.0, 64.0], 2).unwrap();
        assert_eq!(
            twice.iter().map(|value| value.is_nan()).collect::<Vec<_>>(),
            [false, false, true, true, true, false]
        );
        assert_eq!(twice[0], 2.0);
        assert_eq!(twice[5], 2.0);
    }

    #[test]
    fn what_cannot_be_fitted_is_told_apart() {
        let order = Order::new(1, 1, 0).unwrap();
        let line: Vec<f64> = (0..50).map(|t| 0.1 * f64::from(t)).collect();
        assert_eq!(Standard::new(&line, order).unwrap_err(), Error::Constant { d: 1 });
        assert_eq!(Standard::new(&line[..6], order).unwrap_err(), Error::TooFewSamples { have: 5, need: 8 });
        let infinite: Vec<f64> =
            line.iter().map(|value| if *value == 0.5 { f64::INFINITY } else { *value }).collect();
        assert_eq!(Standard::new(&infinite, order).unwrap_err(), Error::NotFinite { index: 5 });
        assert_eq!(
            Standard::new(&[7.25; 50], Order::new(0, 0, 0).unwrap()).unwrap_err(),
            Error::Constant { d: 0 }
        );
    }
}
