//! One set of coefficients for a group of series: the prior from which a new series of the group starts.

use super::fit::{Criteria, Top, climb};
use super::standard::Standard;
use super::{Arima, Error, Likelihood, Order};

/// Series that are fitted together at most.
pub const MAX_SERIES: usize = 256;
/// Samples of one of them at most: two weeks of minutes.
pub const MAX_SAMPLES: usize = 20_160;

/// What the series of a group have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The coefficients. The mean is 0: each series has its own.
    pub model: Arima,
    /// Sum over the members.
    pub log_likelihood: f64,
    /// Of all members together: the coefficients are counted once, the variance and the mean for each.
    pub criteria: Criteria,
    /// Differenced samples of all members that are not missing.
    pub observations: usize,
    /// Whether the likelihood is flat there.
    pub converged: bool,
    /// The series that were fitted, in the order given.
    pub members: Vec<Member>,
    /// Those that could not be, by their place, and why.
    pub left_out: Vec<(usize, Error)>,
}

/// A series of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    /// Its place in what was given, from 0.
    pub index: usize,
    /// Its own mean, variance of innovations and part of the log-likelihood.
    pub likelihood: Likelihood,
}

/// The coefficients of `order` under which the series of a group are most likely together.
///
/// Each series has a mean and a variance of its own; so the unit of a series does not matter, only how long it is. Series that
/// are too short, constant or not finite are left out.
///
/// # Errors
///
/// If the group is larger than [`MAX_SERIES`] by [`MAX_SAMPLES`], or no series is left.
pub fn fit_group(group: &[&[f64]], order: Order) -> Result<Group, Error> {
    check_bounds(group)?;
    let (mut members, mut standards, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (index, series) in group.iter().enumerate() {
        match Standard::new(series, order) {
            Ok(standard) => {
                members.push(index);
                standards.push(standard);
            }
            Err(error) => left_out.push((index, error)),
        }
    }
    if standards.is_empty() {
        return Err(Error::NoSeries { series: group.len() });
    }
    let Top { ar, ma, likelihoods, converged } = climb(&standards, order)?;
    let log_likelihood = likelihoods.iter().map(|one| one.log_likelihood).sum();
    let observations = likelihoods.iter().map(|one| one.observations).sum();
    let parameters = order.p() + order.q() + order.own_parameters() * members.len();
    let members = members.into_iter().zip(likelihoods);
    Ok(Group {
        model: Arima::new(order, &ar, &ma, 0.0)?,
        log_likelihood,
        criteria: Criteria::new(log_likelihood, observations, parameters),
        observations,
        converged,
        members: members.map(|(index, likelihood)| Member { index, likelihood }).collect(),
        left_out,
    })
}

/// Whether the group is small enough to be fitted.
pub(super) fn check_bounds(group: &[&[f64]]) -> Result<(), Error> {
    if group.len() > MAX_SERIES {
        return Err(Error::TooManySeries { series: group.len(), most: MAX_SERIES });
    }
    match group.iter().position(|series| series.len() > MAX_SAMPLES) {
        Some(index) => Err(Error::TooManySamples { index, samples: group[index].len(), most: MAX_SAMPLES }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle_tests::simulated;
    use super::super::{Search, fit};
    use super::*;

    #[test]
    fn a_group_of_one_is_that_series() {
        let series = simulated(7, 300, &[0.6], &[0.3]);
        let order = Order::new(1, 0, 1).unwrap();
        let (alone, group) = (fit(&series, order).unwrap(), fit_group(&[&series], order).unwrap());
        assert_eq!(alone.model.ar(), group.model.ar());
        assert_eq!(alone.model.ma(), group.model.ma());
        assert_eq!(alone.log_likelihood, group.log_likelihood);
        assert_eq!(alone.criteria, group.criteria);
        assert_eq!(alone.model.mean(), group.members[0].likelihood.mean);
    }

    #[test]
    fn short_series_of_different_units_together_tell_what_one_alone_does_not() {
        let group: Vec<Vec<f64>> = (0..24_i32)
            .map(|seed| {
                let unit = 10_f64.powi(seed % 5);
                let level = 3.0 * f64::from(seed);
                let series = simulated(100 + seed as u64, 60, &[0.7], &[0.4]);
                series.iter().map(|value| unit * (value + level)).collect()
            })
            .collect();
        let group: Vec<&[f64]> = group.iter().map(Vec::as_slice).collect();
        let together = fit_group(&group, Order::new(1, 0, 1).unwrap()).unwrap();
        assert!(together.converged);
        assert!((together.model.ar()[0] - 0.7).abs() < 0.06, "{:?}", together.model);
        assert!((together.model.ma()[0] - 0.4).abs() < 0.06, "{:?}", together.model);
        // No member is more likely under the common coefficients than under its own.
        for member in &together.members {
            let alone = fit(group[member.index], Order::new(1, 0, 1).unwrap()).unwrap();
            assert!(alone.log_likelihood >= member.likelihood.log_likelihood - 1e-6);
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_left_out_and_named() {
        let series = simulated(3, 80, &[0.5], &[]);
        let order = Order::new(1, 0, 0).unwrap();
        let group = fit_group(&[&[1.0; 80], &series, &series[..4]], order).unwrap();
        assert_eq!(group.members.iter().map(|member| member.index).collect::<Vec<_>>(), [1]);
        assert_eq!(
            group.left_out,
            [(0, Error::Constant { d: 0 }), (2, Error::TooFewSamples { have: 4, need: 10 })]
        );
        assert_eq!(fit_group(&[&[1.0; 80]], order).unwrap_err(), Error::NoSeries { series: 1 });
    }

    #[test]
    fn a_group_beyond_the_bounds_is_refused() {
        let order = Order::new(1, 0, 0).unwrap();
        let one: &[f64] = &[1.0];
        let refused = fit_group(&vec![one; MAX_SERIES + 1], order).unwrap_err();
        assert_eq!(refused, Error::TooManySeries { series: MAX_SERIES + 1, most: MAX_SERIES });
        let long = vec![0.0; MAX_SAMPLES + 1];
        let refused = Search::default().select_group(&[one, &long]).unwrap_err();
        assert_eq!(refused, Error::TooManySamples { index: 1, samples: MAX_SAMPLES + 1, most: MAX_SAMPLES });
    }
}
