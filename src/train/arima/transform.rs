//! From any numbers to the coefficients of a stationary (or invertible) process, and back.
//!
//! The optimiser walks over all numbers; each is squeezed into a partial autocorrelation between -1 and 1, and these become
//! coefficients by the recursion of Durbin and Levinson. Every stationary process is met once. The sources are Monahan, "A note
//! on enforcing stationarity in autoregressive-moving average models", Biometrika 71 (1984), and Jones, "Maximum likelihood
//! fitting of ARMA models to time series with missing observations", Technometrics 22 (1980). The squeezing is that of
//! statsmodels. The moving average is the same with the sign turned.

/// The autoregressive coefficients that belong to `free` numbers.
pub(super) fn stationary(free: &[f64]) -> Vec<f64> {
    let partial: Vec<f64> = free.iter().map(|number| number / number.hypot(1.0)).collect();
    from_partial(&partial)
}

/// The moving-average coefficients that belong to `free` numbers.
pub(super) fn invertible(free: &[f64]) -> Vec<f64> {
    negated(&stationary(free))
}

/// The numbers whose [`stationary`] coefficients are `ar`; none if the process is not stationary.
pub(super) fn free_of_stationary(ar: &[f64]) -> Option<Vec<f64>> {
    let partial = to_partial(ar)?;
    Some(partial.iter().map(|number| number / (1.0 - number * number).sqrt()).collect())
}

/// The numbers whose [`invertible`] coefficients are `ma`; none if the process is not invertible.
pub(super) fn free_of_invertible(ma: &[f64]) -> Option<Vec<f64>> {
    free_of_stationary(&negated(ma))
}

/// The coefficients whose partial autocorrelations are given.
pub(super) fn from_partial(partial: &[f64]) -> Vec<f64> {
    let mut ar: Vec<f64> = Vec::with_capacity(partial.len());
    for last in partial {
        let shorter = ar.clone();
        for (coefficient, mirrored) in ar.iter_mut().zip(shorter.iter().rev()) {
            *coefficient -= last * mirrored;
        }
        ar.push(*last);
    }
    ar
}

/// The partial autocorrelations of a process; none if it is not stationary.
pub(super) fn to_partial(ar: &[f64]) -> Option<Vec<f64>> {
    let mut longer = ar.to_vec();
    let mut partial = Vec::with_capacity(ar.len());
    while let Some(last) = longer.pop() {
        if last.abs() >= 1.0 || last.is_nan() {
            return None;
        }
        let mirrored: Vec<f64> = longer.iter().rev().copied().collect();
        for (coefficient, mirrored) in longer.iter_mut().zip(mirrored) {
            *coefficient = (*coefficient + last * mirrored) / (1.0 - last * last);
        }
        partial.push(last);
    }
    partial.reverse();
    Some(partial)
}

/// Whether `1 - ar[0] z - ar[1] z^2 - ...` has all its roots further away from 0 than `radius`. That is what makes the process
/// of `ar[0] radius, ar[1] radius^2, ...` stationary.
pub(super) fn roots_are_beyond(radius: f64, ar: &[f64]) -> bool {
    let mut power = 1.0;
    let scaled = ar.iter().map(|coefficient| {
        power *= radius;
        coefficient * power
    });
    to_partial(&scaled.collect::<Vec<_>>()).is_some()
}

/// `values` with the sign turned: the moving average as if it were an autoregression.
pub(super) fn negated(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| -value).collect()
}
