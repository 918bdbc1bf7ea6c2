//! Peers: series that are equal but for some labels, such as the replicas of a Deployment, should behave alike.
//!
//! Of each step the distance of a peer from the median is measured in robust standard deviations, 1.4826 times the
//! median absolute deviation (Rousseeuw and Croux, Alternatives to the Median Absolute Deviation, JASA 1993). What
//! is said of it is the median of its last three distances: one step of noise alarms nobody, and no history is needed.
//! With five peers one deviation says little of how far peers spread, so that it is averaged over recent steps.

use super::steps::Closed;

/// Fewer peers say nothing of each other.
pub(super) const MIN_PEERS: usize = 5;
/// A median absolute deviation times this is the standard deviation of normal values.
const NORMAL: f64 = 1.4826;
/// The share of a new step in the average spread: about ten steps are remembered.
const NEWS: f64 = 0.1;
/// Peers are never told apart by less than this share of their median.
const LEAST_SPREAD: f64 = 0.01;
/// Steps that a distance is taken over.
const STEPS: usize = 3;

/// What is remembered of one group of peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// The average spread, once there was a step.
    spread: Option<f64>,
    /// The last distances of each peer, by the index of its part.
    distances: Vec<[f32; STEPS]>,
    /// Values of the step in hand; kept for their memory.
    sorted: Vec<f64>,
}

/// A value beside those of its peers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Beside {
    /// The median.
    pub(super) expected: f64,
    /// One standard deviation.
    pub(super) spread: f64,
    /// How many of them the value has been away, in the median of the last steps.
    pub(super) distance: f64,
}

// === impl Peers ===

impl Peers {
    /// Bytes that lie apart.
    pub(super) fn bytes(&self) -> usize {
        self.distances.capacity() * size_of::<[f32; STEPS]>() + self.sorted.capacity() * size_of::<f64>()
    }

    /// A new peer at `part`, where another one may have been.
    pub(super) fn join(&mut self, part: u32) {
        let at = part as usize;
        self.distances.resize(self.distances.len().max(at + 1), [0.0; STEPS]);
        self.distances[at] = [0.0; STEPS];
    }

    /// Calls `each` with the part, the value and what is to be said of it, for every peer of a step; of none where
    /// they are fewer than [`MIN_PEERS`].
    pub(super) fn compare(&mut self, closed: &Closed<'_>, mut each: impl FnMut(u32, f64, Beside)) {
        self.sorted.clear();
        self.sorted.extend(closed.values().map(|(.., value)| value));
        if self.sorted.len() < MIN_PEERS {
            return;
        }
        let expected = median(&mut self.sorted);
        self.sorted.iter_mut().for_each(|value| *value = (*value - expected).abs());
        let now = NORMAL * median(&mut self.sorted);
        let average = self.spread.map_or(now, |before| before + NEWS * (now - before));
        self.spread = Some(average);
        let least = (LEAST_SPREAD * expected.abs()).max(f64::MIN_POSITIVE);
        let spread = now.max(average).max(least);
        for (_, part, value) in closed.values() {
            let Some(last) = self.distances.get_mut(part as usize) else { continue };
            last.rotate_left(1);
            last[STEPS - 1] = ((value - expected).abs() / spread) as f32;
            let [a, b, c] = *last;
            let distance = f64::from(a.max(b).min(c.max(a.min(b))));
            each(part, value, Beside { expected, spread, distance });
        }
    }
}

/// The median of `values`, which are not empty; the mean of the middle two where their number is even.
fn median(values: &mut [f64]) -> f64 {
    let (middle, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if is_odd {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    lower + (upper - lower) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::steps::{Pace, Steps};

    /// What is said of each peer at each step of `rows`, a value for each peer.
    fn said(rows: &[&[f64]]) -> Vec<Vec<f64>> {
        let pace = Pace { step_ms: 0, watermark_ms: 1, parts: None };
        let (mut steps, mut peers, mut said) = (Steps::new(pace), Peers::default(), Vec::new());
        for part in 0..rows[0].len() as u32 {
            steps.join(u64::from(part), 0);
            peers.join(part);
        }
        // Two steps make the parts known.
        for (step, row) in [rows[0]; 2].iter().chain(rows).enumerate() {
            for (part, value) in row.iter().enumerate() {
                steps.put(part as u32, step as i64, *value, &mut |closed| {
                    let mut row = Vec::new();
                    peers.compare(closed, |_, _, beside| row.push(beside.distance));
                    said.push(row);
                });
            }
        }
        said.split_off(2)
    }

    #[test]
    fn one_that_is_away_for_two_of_three_steps_is_told() {
        let ordinary: &[f64] = &[10.0, 11.0, 9.0, 10.5, 9.5, 10.0];
        let away: &[f64] = &[10.0, 11.0, 9.0, 10.5, 9.5, 30.0];
        let said = said(&[ordinary, away, ordinary, away, away, ordinary]);
        let of_the_last: Vec<bool> = said.iter().map(|row| row[5] > 5.0).collect();
        assert_eq!(of_the_last, [false, false, false, true, true, true]);
        assert!(said.iter().all(|row| row[..5].iter().all(|distance| *distance < 3.0)), "{said:?}");
    }

    #[test]
    fn fewer_than_five_say_nothing_of_each_other() {
        assert_eq!(said(&[&[1.0, 1.0, 1.0, 9.0], &[1.0, 1.0, 1.0, 9.0]]), [[0.0; 0], [0.0; 0]]);
    }

    #[test]
    fn peers_that_are_equal_are_told_apart_by_a_share_of_their_size() {
        let row: &[f64] = &[100.0, 100.0, 100.0, 100.0, 102.0];
        let said = said(&[row, row, row]);
        assert_eq!(said[2], [0.0, 0.0, 0.0, 0.0, 2.0]);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&mut [f64::MAX, f64::MAX]), f64::MAX);
    }
}
