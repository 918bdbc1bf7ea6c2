//! The last day and the last week as they were: what a seasonal naive forecast repeats.

use crate::detect::kept::kept;

/// Parts of an hour and of a day, and how many of each are kept: the hours of a week, the quarters of three days.
const DAY_MS: i64 = 86_400_000;
const QUARTER_MS: i64 = DAY_MS / QUARTERS;
const HOUR_MS: i64 = DAY_MS / HOURS;
const QUARTERS: i64 = 96;
const HOURS: i64 = 24;
const DAYS: usize = 3;
const QUARTERS_KEPT: usize = DAYS * QUARTERS as usize;
const HOURS_KEPT: usize = 7 * HOURS as usize;
/// Whole weeks before any time there is, so that nothing is negative.
const ORIGIN_MS: i64 = (i64::MAX / 2 / (7 * DAY_MS)) * (7 * DAY_MS);

/// The means of each quarter of an hour of the last days, and of each hour of the last week.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    days: Means<QUARTERS_KEPT>,
    week: Means<HOURS_KEPT>,
    /// The mean over the last day, and whether there was one.
    mean: f64,
    has_mean: bool,
}

/// The means of the last parts of time, each as long as the others.
#[derive(Clone, Copy, Debug)]
struct Means<const N: usize> {
    /// The sum and the number of the samples of the present part, and which it is, counted without end.
    sum: f64,
    count: u32,
    at: i64,
    /// From which part on something is known.
    since: i64,
    means: [f32; N],
}

/// What was measured at the same time of earlier days.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// A whole number of days before, as lately as is known.
    pub(super) day: Option<f64>,
    /// The median of that and the two days before.
    pub(super) days: Option<f64>,
    /// How many days before that was, in the mean.
    pub(super) days_ago: f64,
    /// A whole number of weeks before.
    pub(super) week: Option<f64>,
}

// === impl Past ===

impl Past {
    /// Lets `value` at `local_ms` teach.
    #[inline]
    pub(super) fn learn(&mut self, local_ms: i64, value: f64) {
        if self.days.learn(part(local_ms, QUARTER_MS), value) {
            let newest = self.days.at - 1;
            let parts = || (0..QUARTERS).map(|back| self.days.get(newest - back));
            self.has_mean = parts().all(|part| part.is_some());
            self.mean = parts().flatten().sum::<f64>() / QUARTERS as f64;
        }
        self.week.learn(part(local_ms, HOUR_MS), value);
    }

    /// The mean over the last day, once there was one.
    #[inline]
    pub(super) fn day(&self) -> Option<f64> {
        self.has_mean.then_some(self.mean)
    }

    /// What was measured at the time of the day, and of the week, of `then_ms`.
    pub(super) fn before(&self, then_ms: i64) -> Before {
        let quarter = part(then_ms, QUARTER_MS);
        let newest = self.days.newest(quarter, QUARTERS);
        let [day, one, two] = [0, 1, 2].map(|back| self.days.get(newest - back * QUARTERS));
        let days = match (day, one, two) {
            (Some(a), Some(b), Some(c)) => Some(a.max(b).min(a.min(b).max(c))),
            (Some(a), Some(b), None) => Some(0.5 * (a + b)),
            _ => day,
        };
        let known = [day, one, two].iter().flatten().count();
        let days_ago = (quarter - newest) as f64 / QUARTERS as f64 + 0.5 * (known.max(1) - 1) as f64;
        let hour = part(then_ms, HOUR_MS);
        Before { day, days, days_ago, week: self.week.get(self.week.newest(hour, 7 * HOURS)) }
    }
}

/// The part of so many milliseconds that `local_ms` lies in.
#[inline]
fn part(local_ms: i64, part_ms: i64) -> i64 {
    local_ms.saturating_add(ORIGIN_MS).max(0) / part_ms
}

// === impl Means ===

impl<const N: usize> Means<N> {
    #[inline]
    fn place(part: i64) -> usize {
        (part.max(0) as u64 % N as u64) as usize
    }

    /// Lets `value` teach `part`; whether that began with it.
    #[inline]
    fn learn(&mut self, part: i64, value: f64) -> bool {
        let begins = part != self.at || self.count == 0;
        if begins {
            self.move_to(part);
        }
        self.sum += value;
        self.count = self.count.saturating_add(1);
        begins
    }

    /// Begins a part; those that were passed over are as the last one was.
    fn move_to(&mut self, part: i64) {
        if self.count > 0 {
            let mean = (self.sum / f64::from(self.count)) as f32;
            let passed = part.saturating_sub(self.at).clamp(1, N as i64);
            for at in 0..passed {
                // Held to what 32 bits can say.
                self.means[Self::place(self.at + at)] = mean.clamp(f32::MIN, f32::MAX);
            }
        } else {
            self.since = part;
        }
        (self.at, self.sum, self.count) = (part, 0.0, 0);
    }

    /// The newest part that lies whole `periods` of parts before `then`.
    fn newest(&self, then: i64, period: i64) -> i64 {
        then - ((then - self.at).max(0) + period - 1) / period * period
    }

    /// The mean of a part, if it is known.
    fn get(&self, part: i64) -> Option<f64> {
        if part == self.at && self.count > 0 {
            return Some(self.sum / f64::from(self.count));
        }
        let is_known = part >= self.since && part < self.at && part > self.at - N as i64;
        is_known.then(|| f64::from(self.means[Self::place(part)]))
    }
}

impl<const N: usize> Default for Means<N> {
    fn default() -> Self {
        Self { sum: 0.0, count: 0, at: 0, since: 0, means: [0.0; N] }
    }
}

// === kept ===

kept!(Past { days, week, mean, has_mean });
kept!(Means<QUARTERS_KEPT> { sum, count, at, since, means });
kept!(Means<HOURS_KEPT> { sum, count, at, since, means });
