//! Minimising a smooth function of few variables: the method of Broyden, Fletcher, Goldfarb and Shanno.
//!
//! Gradients are central differences. The line search brackets a step by bisection until both conditions of Wolfe hold (Nocedal
//! and Wright, "Numerical Optimization", 2006, sections 3.1 and 6.1).

use nalgebra::{DMatrix, DVector};

/// Largest slope at a minimum.
const FLAT: f64 = 1e-7;
/// Largest slope at which a line search that gets no further has met a minimum: the noise of the differences allows no more.
const NEARLY_FLAT: f64 = 1e-4;
/// Bound of the work.
const MOST_ITERATIONS: usize = 200;
const MOST_BISECTIONS: usize = 40;
/// Longest first step of a line search: beyond it the quadratic model says nothing.
const LONGEST_STEP: f64 = 2.0;
/// Share of the decrease that the slope promises, and of the slope itself, that a step has to bring.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Step of the differences: the cube root of the rounding unit.
const DIFFERENCE: f64 = 6e-6;

/// Where the search ended.
#[derive(Debug)]
pub(super) struct Minimum {
    pub(super) at: Vec<f64>,
    /// Whether the function is flat there.
    pub(super) converged: bool,
}

/// A place of which all is known.
struct Point {
    at: DVector<f64>,
    value: f64,
    slope: DVector<f64>,
}

/// The minimum of `function` that is reached from `start`. It may be infinite (never NaN) where it is not defined, but not at
/// `start`.
pub(super) fn minimise(function: impl Fn(&[f64]) -> f64, start: &[f64]) -> Minimum {
    let size = start.len();
    if size == 0 {
        return Minimum { at: Vec::new(), converged: true };
    }
    let mut here = Point::new(&function, DVector::from_column_slice(start));
    let mut inverse = DMatrix::identity(size, size);
    let mut is_first = true;
    for _ in 0..MOST_ITERATIONS {
        if here.slope.amax() <= FLAT {
            break;
        }
        let next = descend(&function, &here, &inverse).or_else(|| {
            // The curvature that was learnt may mislead: try the steepest way before giving up.
            inverse = DMatrix::identity(size, size);
            is_first = true;
            descend(&function, &here, &inverse)
        });
        let Some(next) = next else { break };
        let (step, change) = (&next.at - &here.at, &next.slope - &here.slope);
        let curvature = step.dot(&change);
        if is_first && curvature > 0.0 {
            inverse *= curvature / change.norm_squared();
            is_first = false;
        }
        update(&mut inverse, &step, &change);
        here = next;
    }
    Minimum { converged: here.slope.amax() <= NEARLY_FLAT, at: here.at.as_slice().to_vec() }
}

/// A better point in the direction that `inverse` says; none if there is none.
fn descend(function: impl Fn(&[f64]) -> f64, here: &Point, inverse: &DMatrix<f64>) -> Option<Point> {
    let mut direction = -(inverse * &here.slope);
    let longest = direction.amax();
    if longest > LONGEST_STEP {
        direction *= LONGEST_STEP / longest;
    }
    let promised = here.slope.dot(&direction);
    if promised >= 0.0 || promised.is_nan() {
        return None;
    }
    let (mut short, mut long, mut step) = (0.0, f64::INFINITY, 1.0);
    let mut best = None;
    for _ in 0..MOST_BISECTIONS {
        let at = &here.at + step * &direction;
        let value = function(at.as_slice());
        if value < here.value && value <= here.value + DECREASE * step * promised {
            let next = Point::new(&function, at);
            if next.slope.dot(&direction) >= CURVATURE * promised {
                return Some(next);
            }
            short = step;
            best = Some(next);
        } else {
            long = step;
        }
        step = if long.is_finite() { 0.5 * (short + long) } else { 2.0 * short };
    }
    best
}

/// Takes what was learnt on the way of `step` into the inverse of the matrix of second derivatives.
fn update(inverse: &mut DMatrix<f64>, step: &DVector<f64>, change: &DVector<f64>) {
    let curvature = step.dot(change);
    // Otherwise the matrix would no longer be positive definite.
    if curvature <= f64::EPSILON * step.norm() * change.norm() {
        return;
    }
    let turned = &*inverse * change;
    let weight = (1.0 + change.dot(&turned) / curvature) / curvature;
    inverse.ger(weight, step, step, 1.0);
    inverse.ger(-1.0 / curvature, &turned, step, 1.0);
    inverse.ger(-1.0 / curvature, step, &turned, 1.0);
}

// === impl Point ===

impl Point {
    fn new(function: impl Fn(&[f64]) -> f64, at: DVector<f64>) -> Self {
        let value = function(at.as_slice());
        let mut near = at.clone();
        let slope = DVector::from_fn(at.len(), |axis, _| {
            let step = DIFFERENCE * at[axis].abs().max(1.0);
            near[axis] = at[axis] + step;
            let above = function(near.as_slice());
            near[axis] = at[axis] - step;
            let below = function(near.as_slice());
            near[axis] = at[axis];
            (above - below) / (2.0 * step)
        });
        Self { at, value, slope }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valley_of_rosenbrock_is_walked_to_its_end() {
        let valley = |x: &[f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2);
        let minimum = minimise(valley, &[-1.2, 1.0]);
        assert!(minimum.converged);
        assert!(minimum.at.iter().all(|x| (x - 1.0).abs() < 1e-5), "{:?}", minimum.at);
    }

    #[test]
    fn it_goes_round_where_the_function_is_not_defined() {
        let wall = |x: &[f64]| if x[0] <= 0.0 { f64::INFINITY } else { x[0] - x[0].ln() };
        let minimum = minimise(wall, &[8.0]);
        assert!(minimum.converged && (minimum.at[0] - 1.0).abs() < 1e-5, "{:?}", minimum.at);
    }

    #[test]
    fn what_has_no_minimum_ends_and_says_so() {
        assert!(!minimise(|x| x[0], &[0.0]).converged);
    }
}
