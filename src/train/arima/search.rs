//! Which order: how often to difference by a test of stationarity, the number of terms by AICc.
//!
//! The walk is that of Hyndman and Khandakar, "Automatic time series forecasting: the forecast package for R", Journal of
//! Statistical Software 27(3) (2008), section 3.2: it begins with the best of four small orders and goes on to the best of the
//! neighbours as long as there is a better one. Orders with a root near the unit circle are refused.

use super::fit::fit;
use super::group::{check_bounds, fit_group};
use super::kpss::{Kpss, differences};
use super::order::{MAX_DIFFERENCES, MAX_TERMS};
use super::standard::Standard;
use super::{Arima, Error, Fit, Group, Order};

/// A root as near to the unit circle as that means the order is too large: the terms nearly cancel, or undo a difference. The
/// paper takes 1.001, its package 1.01.
const NEAR_UNIT_ROOT: f64 = 1.01;

/// Bounds of the search for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Most autoregressive terms; more than 5 are as good as 5.
    pub max_p: usize,
    /// Most differences; more than 2 are as good as 2.
    pub max_d: usize,
    /// Most moving-average terms; more than 5 are as good as 5.
    pub max_q: usize,
    /// Most orders that are tried.
    pub max_tried: usize,
}

/// The model of one series, and how it was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The best of those tried.
    pub fit: Fit,
    /// The tests of stationarity: of the series, of its differences, until one was passed.
    pub kpss: Vec<Kpss>,
    /// All orders that were tried, as they were.
    pub tried: Vec<Tried>,
}

/// The model of a group, and how it was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSelection {
    /// The best of those tried.
    pub group: Group,
    /// All orders that were tried, as they were.
    pub tried: Vec<Tried>,
}

/// An order that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Which.
    pub order: Order,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A model with this AICc.
    Fitted(f64),
    /// A model with a root near the unit circle, which is refused.
    NearUnitRoot,
    /// No model.
    Failed(Error),
}

/// A model that was tried.
struct Candidate<T> {
    model: T,
    aicc: f64,
    /// Whether no root is near the unit circle.
    is_safe: bool,
}

/// A walk from order to order.
struct Walk<F, T> {
    fit: F,
    most: usize,
    tried: Vec<Tried>,
    best: Option<(Order, Candidate<T>)>,
}

// === impl Search ===

/// All orders that are supported, and as many of them as R's `auto.arima` tries at most.
impl Default for Search {
    fn default() -> Self {
        Self { max_p: MAX_TERMS, max_d: MAX_DIFFERENCES, max_q: MAX_TERMS, max_tried: 94 }
    }
}

impl Search {
    /// The order by which `series` is explained best, and the model.
    ///
    /// # Errors
    ///
    /// If the series is too short for the smallest order, constant, or not finite.
    pub fn select(self, series: &[f64]) -> Result<Selection, Error> {
        let (d, kpss) = differences(series, self.max_d.min(MAX_DIFFERENCES))?;
        Standard::new(series, Order::new(0, d, 0)?)?;
        let (fit, tried) = self.walk(d, |order| {
            let fit = fit(series, order)?;
            Ok(Candidate { aicc: fit.criteria.aicc, is_safe: is_safe(&fit.model), model: fit })
        })?;
        Ok(Selection { fit, kpss, tried })
    }

    /// The order by which the series of a group are explained best with common coefficients, and the model.
    ///
    /// They are differenced as often as most of them need: the median of what the test says of each. The members stay the same
    /// for all orders, or their AICc could not be compared: those that are long enough for the largest.
    ///
    /// # Errors
    ///
    /// If the group is too large, or none of its series can be fitted.
    pub fn select_group(self, group: &[&[f64]]) -> Result<GroupSelection, Error> {
        check_bounds(group)?;
        let (max_p, max_d, max_q) = self.bounds();
        let fits = |series: &[f64], d: usize| {
            Order::new(max_p, d, max_q).and_then(|order| Standard::new(series, order)).map(|_| ())
        };
        // Constant or too short as they are: nothing to be differenced.
        let usable = group.iter().filter(|series| fits(series, 0).is_ok());
        let mut wanted = Vec::new();
        for series in usable {
            wanted.extend(differences(series, max_d).map(|(d, _)| d));
        }
        wanted.sort_unstable();
        let Some(d) = wanted.get(wanted.len().saturating_sub(1) / 2).copied() else {
            return Err(Error::NoSeries { series: group.len() });
        };
        let (mut indices, mut members, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for (index, series) in group.iter().copied().enumerate() {
            match fits(series, d) {
                Ok(()) => {
                    indices.push(index);
                    members.push(series);
                }
                Err(error) => left_out.push((index, error)),
            }
        }
        if members.is_empty() {
            return Err(Error::NoSeries { series: group.len() });
        }
        let (mut group, tried) = self.walk(d, |order| {
            let group = fit_group(&members, order)?;
            Ok(Candidate { aicc: group.criteria.aicc, is_safe: is_safe(&group.model), model: group })
        })?;
        group.members.iter_mut().for_each(|member| member.index = indices[member.index]);
        group.left_out = left_out;
        Ok(GroupSelection { group, tried })
    }

    fn bounds(self) -> (usize, usize, usize) {
        (self.max_p.min(MAX_TERMS), self.max_d.min(MAX_DIFFERENCES), self.max_q.min(MAX_TERMS))
    }

    /// The best model of `d` differences that `fit` makes, of those that the walk meets.
    fn walk<T>(
        self,
        d: usize,
        fit: impl FnMut(Order) -> Result<Candidate<T>, Error>,
    ) -> Result<(T, Vec<Tried>), Error> {
        let (max_p, _, max_q) = self.bounds();
        let mut walk = Walk { fit, most: self.max_tried, tried: Vec::new(), best: None };
        for (p, q) in [(2, 2), (0, 0), (1, 0), (0, 1)] {
            walk.visit(Order::new(p.min(max_p), d, q.min(max_q))?);
        }
        let mut around = None;
        while let Some(here) =
            walk.best.as_ref().map(|(order, _)| *order).filter(|best| around != Some(*best))
        {
            around = Some(here);
            for order in neighbours(here)? {
                if order.p() <= max_p && order.q() <= max_q {
                    walk.visit(order);
                }
            }
        }
        let Walk { tried, best, .. } = walk;
        match best {
            Some((_, candidate)) => Ok((candidate.model, tried)),
            None => Err(Error::NoOrder { tried: tried.len() }),
        }
    }
}

fn is_safe(model: &Arima) -> bool {
    model.roots_are_beyond(NEAR_UNIT_ROOT)
}

/// Orders with a term more or less on either side or on both; and with a mean instead of without, or the reverse.
fn neighbours(order: Order) -> Result<Vec<Order>, Error> {
    let (p, d, q) = (order.p(), order.d(), order.q());
    let mut neighbours = Vec::new();
    for p in p.saturating_sub(1)..=(p + 1).min(MAX_TERMS) {
        for q in q.saturating_sub(1)..=(q + 1).min(MAX_TERMS) {
            let neighbour = Order::new(p, d, q)?;
            neighbours.push(if order.has_mean() { neighbour } else { neighbour.without_mean() });
        }
    }
    let same = Order::new(p, d, q)?;
    neighbours.push(if order.has_mean() { same.without_mean() } else { same });
    Ok(neighbours)
}

// === impl Walk ===

impl<F, T> Walk<F, T>
where
    F: FnMut(Order) -> Result<Candidate<T>, Error>,
{
    /// Tries an order if it is new and the bound allows.
    fn visit(&mut self, order: Order) {
        if self.tried.len() >= self.most || self.tried.iter().any(|tried| tried.order == order) {
            return;
        }
        let outcome = match (self.fit)(order) {
            Ok(candidate) if !candidate.is_safe => Outcome::NearUnitRoot,
            Ok(candidate) => {
                let aicc = candidate.aicc;
                if self.best.as_ref().is_none_or(|(_, best)| aicc < best.aicc) {
                    self.best = Some((order, candidate));
                }
                Outcome::Fitted(aicc)
            }
            Err(error) => Outcome::Failed(error),
        };
        self.tried.push(Tried { order, outcome });
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle_tests::{simulated, summed};
    use super::*;

    fn aicc(outcome: &Outcome) -> f64 {
        if let Outcome::Fitted(aicc) = outcome { *aicc } else { f64::INFINITY }
    }

    /// AICc is meant to predict well, not to find the truth: now and then it takes a term too many.
    #[test]
    fn the_order_of_a_simulated_process_is_mostly_found_and_never_missed_for_a_worse_one() {
        for (d, ar, ma) in [(0, vec![1.2, -0.6], vec![]), (1, vec![], vec![0.6]), (1, vec![0.6], vec![])] {
            let truth = Order::new(ar.len(), d, ma.len()).unwrap();
            let is_found = |seed: &u64| {
                let mut series = simulated(*seed, 300, &ar, &ma);
                if d == 1 {
                    series = summed(&series);
                }
                let best = Search::default().select(&series).unwrap().fit;
                assert_eq!(best.model.order().d(), d);
                assert!(best.criteria.aicc <= fit(&series, truth).unwrap().criteria.aicc + 1e-6);
                let found = best.model.order();
                (found.p(), found.q()) == (truth.p(), truth.q())
            };
            let found = (0..5).filter(is_found).count();
            assert!(found >= 3, "{truth} was found in {found} of 5");
        }
    }

    #[test]
    fn it_says_what_it_tried_and_took_the_best() {
        let series = simulated(9, 300, &[0.8], &[0.4]);
        let Selection { fit, tried, .. } = Search::default().select(&series).unwrap();
        let best = tried.iter().map(|tried| aicc(&tried.outcome)).fold(f64::INFINITY, f64::min);
        assert_eq!(best, fit.criteria.aicc);
        assert!(tried.iter().any(|tried| tried.order == fit.model.order()));
        assert_eq!(Search::default().select(&series).unwrap().tried, tried, "it is not deterministic");
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let series = simulated(4, 300, &[0.5, 0.1, 0.1, 0.2], &[]);
        let search = Search { max_p: 1, max_q: 0, max_tried: 3, max_d: 0 };
        let tried = search.select(&series).unwrap().tried;
        assert!(
            tried.len() <= 3 && tried.iter().all(|tried| tried.order.p() <= 1 && tried.order.q() == 0),
            "{tried:?}"
        );
    }

    #[test]
    fn a_group_is_ordered_as_its_series_are_and_its_members_keep_their_places() {
        let group: Vec<Vec<f64>> = (0..12).map(|seed| simulated(50 + seed, 150, &[0.5, 0.3], &[])).collect();
        let mut group: Vec<&[f64]> = group.iter().map(Vec::as_slice).collect();
        group.insert(3, &[2.0; 150]);
        let GroupSelection { group, tried } = Search::default().select_group(&group).unwrap();
        let order = group.model.order();
        assert_eq!((order.p(), order.d(), order.q()), (2, 0, 0), "{tried:?}");
        assert_eq!(group.left_out, [(3, Error::Constant { d: 0 })]);
        let places: Vec<usize> = group.members.iter().map(|member| member.index).collect();
        assert_eq!(places, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn what_no_order_can_explain_says_why() {
        assert_eq!(Search::default().select(&[3.0; 99]).unwrap_err(), Error::Constant { d: 0 });
        let line: Vec<f64> = (0..99).map(f64::from).collect();
        assert_eq!(Search::default().select(&line).unwrap_err(), Error::Constant { d: 1 });
        assert_eq!(
            Search::default().select(&line[..3]).unwrap_err(),
            Error::TooFewSamples { have: 3, need: 8 }
        );
    }
}
