//! A model with its coefficients, and what it predicts.

use super::kalman::{Belief, Likelihood, Mean, System, Uncertainty};
use super::standard::{difference, observed};
use super::transform::{negated, roots_are_beyond, to_partial};
use super::{Error, Order};

/// A model with its coefficients: stationary, invertible.
#[derive(Clone, Debug, PartialEq)]
pub struct Arima {
    order: Order,
    ar: Vec<f64>,
    ma: Vec<f64>,
    mean: f64,
}

// === impl Arima ===

impl Arima {
    /// A model of these coefficients. `mean` is that of the series, and has to be 0 if the order has none.
    ///
    /// # Errors
    ///
    /// If the coefficients are not as many as the order has, or not those of a stationary and invertible process.
    pub fn new(order: Order, ar: &[f64], ma: &[f64], mean: f64) -> Result<Self, Error> {
        let is_mean_right = mean.is_finite() && (order.has_mean() || mean == 0.0);
        let counts = [
            ("autoregressive", order.p(), ar.len()),
            ("moving-average", order.q(), ma.len()),
            (
                "mean",
                usize::from(order.has_mean()),
                if is_mean_right { usize::from(order.has_mean()) } else { 1 },
            ),
        ];
        for (what, expected, given) in counts {
            if expected != given {
                return Err(Error::Coefficients { what, expected, given });
            }
        }
        to_partial(ar).ok_or(Error::NotStationary)?;
        to_partial(&negated(ma)).ok_or(Error::NotInvertible)?;
        Ok(Self { order, ar: ar.to_vec(), ma: ma.to_vec(), mean })
    }

    /// The order.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The autoregressive coefficients, lag 1 first.
    pub fn ar(&self) -> &[f64] {
        &self.ar
    }

    /// The moving-average coefficients, lag 1 first.
    pub fn ma(&self) -> &[f64] {
        &self.ma
    }

    /// The mean of the series; 0 of one that is differenced.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Whether the roots of both polynomials are further away from 0 than `radius`; of 1 they always are. If one is hardly so,
    /// the order is too large: terms nearly cancel, or one does the work of a difference, or undoes one.
    pub fn roots_are_beyond(&self, radius: f64) -> bool {
        roots_are_beyond(radius, &self.ar) && roots_are_beyond(radius, &negated(&self.ma))
    }

    /// How likely the model makes `series`, with that variance of the innovations which makes it most likely.
    ///
    /// # Errors
    ///
    /// If a sample is infinite, or not even one is left after differencing.
    pub fn likelihood(&self, series: &[f64]) -> Result<Likelihood, Error> {
        let values = difference(series, self.order.d())?;
        if observed(&values).next().is_none() {
            return Err(Error::TooFewSamples { have: 0, need: 1 });
        }
        Ok(self.system()?.likelihood(&values, Mean::Fixed(self.mean)))
    }

    /// The weights of the last `lags` samples in the prediction of the next one, the newest first: the model as an
    /// autoregression that never ends (differences included), cut off.
    ///
    /// Of a series with a mean the weights are those of the deviations from it.
    pub fn ar_infinity(&self, lags: usize) -> Vec<f64> {
        let levels = self.levels();
        let mut weights: Vec<f64> = Vec::with_capacity(lags);
        for lag in 0..lags {
            let own = levels.get(lag).unwrap_or(&0.0) + self.ma.get(lag).unwrap_or(&0.0);
            let passed_on: f64 =
                self.ma.iter().zip(weights.iter().rev()).map(|(ma, weight)| ma * weight).sum();
            weights.push(own - passed_on);
        }
        weights
    }

    /// The prediction of each sample from those before it. NaN where nothing is known yet: at the first `d` samples, and before
    /// the first that is not missing if there are differences.
    ///
    /// # Errors
    ///
    /// If a sample is infinite.
    pub fn one_step(&self, series: &[f64]) -> Result<Vec<f64>, Error> {
        self.predictions(series, 0)
    }

    /// The predictions of the `horizon` samples after `series`.
    ///
    /// # Errors
    ///
    /// If a sample is infinite, or too few are known for the level to be told.
    pub fn forecast(&self, series: &[f64], horizon: usize) -> Result<Vec<f64>, Error> {
        let mut predictions = self.predictions(series, horizon)?;
        let ahead = predictions.split_off(series.len());
        if ahead.iter().any(|prediction| prediction.is_nan()) {
            return Err(Error::TooFewSamples { have: observed(series).count(), need: self.order.d() });
        }
        Ok(ahead)
    }

    /// Of each sample, and of `horizon` after them. Where a sample is missing its prediction stands in for the level.
    fn predictions(&self, series: &[f64], horizon: usize) -> Result<Vec<f64>, Error> {
        let d = self.order.d();
        let differences = difference(series, d)?;
        let system = self.system()?;
        let (mut uncertainty, mut belief) = (Uncertainty::new(&system), Belief::default());
        let mut levels: Vec<f64> = Vec::with_capacity(series.len() + horizon);
        let mut predictions = Vec::with_capacity(series.len() + horizon);
        for t in 0..series.len() + horizon {
            let level = match (d, levels.as_slice()) {
                (0, _) => self.mean,
                (1, [.., last]) => *last,
                (2, [.., earlier, last]) => 2.0 * last - earlier,
                _ => f64::NAN,
            };
            let prediction = if t < d { f64::NAN } else { level + belief.prediction() };
            predictions.push(prediction);
            levels.push(series.get(t).copied().filter(|value| !value.is_nan()).unwrap_or(prediction));
            if t < d {
                continue;
            }
            match differences.get(t - d) {
                Some(value) if !value.is_nan() => {
                    let (_, gain) = uncertainty.observe();
                    belief.observe(&system, gain, value - self.mean);
                }
                _ => {
                    uncertainty.miss();
                    belief.miss(&system);
                }
            }
        }
        Ok(predictions)
    }

    /// The autoregressive coefficients of the series before it is differenced.
    fn levels(&self) -> Vec<f64> {
        (0..self.order.d()).fold(self.ar.clone(), |ar, _| {
            // (1 - ar(B)) (1 - B) = 1 - (ar(B) + B - B ar(B))
            let longer = ar.iter().copied().chain([0.0]);
            let shifted = [1.0].into_iter().chain(ar.iter().map(|coefficient| -coefficient));
            longer.zip(shifted).map(|(own, shifted)| own + shifted).collect()
        })
    }

    fn system(&self) -> Result<System, Error> {
        System::new(&self.ar, &self.ma).ok_or(Error::NoLikelihood)
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle_tests::{simulated, summed};
    use super::*;

    fn model(ar: &[f64], d: usize, ma: &[f64]) -> Arima {
        Arima::new(Order::new(ar.len(), d, ma.len()).unwrap(), ar, ma, 0.0).unwrap()
    }

    fn assert_near(given: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(given.len(), expected.len());
        for (given, expected) in given.iter().zip(expected) {
            assert!((given - expected).abs() <= tolerance, "{given} is not {expected}");
        }
    }

    #[test]
    fn the_weights_are_those_of_the_textbook() {
        assert_near(&model(&[0.5, -0.3], 0, &[]).ar_infinity(4), &[0.5, -0.3, 0.0, 0.0], 1e-15);
        // A random walk is its last value, twice differenced its line.
        assert_near(&model(&[], 1, &[]).ar_infinity(4), &[1.0, 0.0, 0.0, 0.0], 1e-15);
        assert_near(&model(&[], 2, &[]).ar_infinity(4), &[2.0, -1.0, 0.0, 0.0], 1e-15);
        // Exponential smoothing with alpha 0.4.
        assert_near(&model(&[], 1, &[-0.6]).ar_infinity(4), &[0.4, 0.24, 0.144, 0.0864], 1e-15);
    }

    #[test]
    fn enough_weights_predict_as_the_filter_does() {
        for d in 0..3 {
            let model = model(&[0.5, 0.2], d, &[0.4]);
            let mut series = simulated(11, 400, &[0.5, 0.2], &[0.4]);
            for _ in 0..d {
                series = summed(&series);
            }
            let weights = model.ar_infinity(series.len());
            let expected: f64 =
                weights.iter().zip(series.iter().rev()).map(|(weight, past)| weight * past).sum();
            assert_near(&model.forecast(&series, 1).unwrap(), &[expected], 1e-6);
        }
    }

    #[test]
    fn a_forecast_is_the_prediction_of_samples_that_are_missing() {
        let model = model(&[0.7], 1, &[0.2]);
        let mut series = simulated(5, 60, &[0.7], &[0.2]);
        let ahead = model.forecast(&series, 3).unwrap();
        series.extend([f64::NAN; 3]);
        assert_near(&model.one_step(&series).unwrap()[60..], &ahead, 0.0);
        assert_eq!(model.forecast(&[f64::NAN; 5], 1), Err(Error::TooFewSamples { have: 0, need: 1 }));
    }

    #[test]
    fn coefficients_that_do_not_make_a_model_are_refused() {
        let order = Order::new(1, 0, 1).unwrap();
        let counts = Error::Coefficients { what: "autoregressive", expected: 1, given: 2 };
        assert_eq!(Arima::new(order, &[0.1, 0.1], &[0.1], 0.0), Err(counts));
        assert_eq!(Arima::new(order, &[1.0], &[0.1], 0.0), Err(Error::NotStationary));
        assert_eq!(Arima::new(order, &[0.1], &[f64::NAN], 0.0), Err(Error::NotInvertible));
        let mean = Error::Coefficients { what: "mean", expected: 0, given: 1 };
        assert_eq!(Arima::new(order.without_mean(), &[0.1], &[0.1], 3.0), Err(mean));
    }
}
