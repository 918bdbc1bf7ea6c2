//! How far ahead.

use std::fmt;
use std::ops::RangeInclusive;

use crate::detect::kept::Kept;

/// How far ahead a forecast looks: whole minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Horizon {
    minutes: u32,
}

/// The horizons of a rule, rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizons(Box<[Horizon]>);

/// Why durations are no horizons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HorizonError {
    /// Too near, too far, or no whole minutes.
    #[error("a forecast looks 5m to 30d ahead, in whole minutes; write for example [1h, 1d, 7d]")]
    OutOfRange,
    /// Two are the same.
    #[error("{0} stands there twice; name each horizon once")]
    Twice(Horizon),
    /// None, or more than are kept.
    #[error("{0} horizons cannot be; name 1 to {max}, or leave forecast_at out", max = MAX_HORIZONS)]
    Count(usize),
}

/// The most horizons of one rule.
pub(super) const MAX_HORIZONS: usize = 4;
const MINUTES: RangeInclusive<u64> = 5..=30 * 1_440;
const MINUTE_MS: u64 = 60_000;
/// Minutes of the units that a horizon is spelled in, from large to small.
const UNITS: [(u32, char); 3] = [(1_440, 'd'), (60, 'h'), (1, 'm')];

// === impl Horizon ===

impl Horizon {
    /// The horizon of so many milliseconds.
    ///
    /// # Errors
    ///
    /// Less than 5 minutes, more than 30 days, or no whole minutes.
    pub fn of_millis(millis: u64) -> Result<Self, HorizonError> {
        let minutes = millis / MINUTE_MS;
        if !millis.is_multiple_of(MINUTE_MS) || !MINUTES.contains(&minutes) {
            return Err(HorizonError::OutOfRange);
        }
        u32::try_from(minutes).map(|minutes| Self { minutes }).map_err(|_| HorizonError::OutOfRange)
    }

    /// Its milliseconds.
    pub fn millis(self) -> i64 {
        i64::from(self.minutes) * MINUTE_MS as i64
    }

    pub(super) fn seconds(self) -> f64 {
        f64::from(self.minutes) * 60.0
    }

    /// Whether `text` is how some horizon is spelled.
    pub fn is_spelling(text: &str) -> bool {
        let of_unit =
            |(minutes, unit): &(u32, char)| text.strip_suffix(*unit).map(|number| (*minutes, number));
        let number = |number: &str| number.parse::<u64>().ok().filter(|_| !number.starts_with(['0', '+']));
        let found = UNITS.iter().find_map(of_unit);
        found.and_then(|(minutes, text)| Some((minutes, number(text)?))).is_some_and(|(minutes, number)| {
            number.checked_mul(u64::from(minutes)).is_some_and(|minutes| MINUTES.contains(&minutes))
        })
    }
}

impl fmt::Display for Horizon {
    /// In the largest unit of days, hours and minutes that divides it: `90m`, `1h`, `7d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(minutes, _)| self.minutes.is_multiple_of(*minutes));
        let (minutes, unit) = whole.copied().unwrap_or((1, 'm'));
        write!(f, "{}{unit}", self.minutes / minutes)
    }
}

// === kept ===

impl Kept for Horizon {
    fn layout(to: &mut String) {
        to.push_str("Horizon {minutes: u32 }");
    }

    fn keep(&self, to: &mut Vec<u8>) {
        self.minutes.keep(to);
    }

    fn recall(from: &mut &[u8]) -> Option<Self> {
        let minutes = u32::recall(from).filter(|minutes| MINUTES.contains(&u64::from(*minutes)))?;
        Some(Self { minutes })
    }
}

// === impl Horizons ===

impl Horizons {
    /// The horizons of these durations in milliseconds, in any order.
    ///
    /// # Errors
    ///
    /// Durations that are no horizons, or too many.
    pub fn of_millis(durations: impl IntoIterator<Item = u64>) -> Result<Self, HorizonError> {
        let mut horizons = durations.into_iter().map(Horizon::of_millis).collect::<Result<Vec<_>, _>>()?;
        horizons.sort_unstable();
        if let Some(two) = horizons.windows(2).find(|two| two[0] == two[1]) {
            return Err(HorizonError::Twice(two[0]));
        }
        if horizons.is_empty() || horizons.len() > MAX_HORIZONS {
            return Err(HorizonError::Count(horizons.len()));
        }
        Ok(Self(horizons.into()))
    }

    /// All of them, the nearest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Horizon> {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn a_horizon_is_spelled_in_the_largest_unit_that_divides_it() {
        let check = |minutes: u64, want: &str| {
            let horizon = Horizon::of_millis(minutes * MINUTE_MS).unwrap();
            assert_eq!(horizon.to_string(), want);
            assert!(Horizon::is_spelling(want));
        };
        check(5, "5m");
        check(60, "1h");
        check(90, "90m");
        check(1_440, "1d");
        check(36 * 60, "36h");
        check(7 * 1_440, "7d");
        for other in ["", "d", "7", "1h30m", "07d", "0d", "4m", "31d", "1w", "+7d", "7é"] {
            assert!(!Horizon::is_spelling(other), "{other}");
        }
    }

    #[test]
    fn horizons_are_few_and_each_is_there_once() {
        let of = |hours: &[u64]| Horizons::of_millis(hours.iter().map(|hours| hours * HOUR_MS));
        let told: Vec<String> = of(&[168, 1, 24]).unwrap().iter().map(|h| h.to_string()).collect();
        assert_eq!(told, ["1h", "1d", "7d"]);
        assert_eq!(of(&[]), Err(HorizonError::Count(0)));
        assert_eq!(of(&[1, 2, 3, 4, 5]), Err(HorizonError::Count(5)));
        assert_eq!(of(&[1, 24, 1]).unwrap_err().to_string(), "1h stands there twice; name each horizon once");
        assert_eq!(Horizons::of_millis([HOUR_MS + 1]), Err(HorizonError::OutOfRange));
        assert_eq!(of(&[24 * 31]), Err(HorizonError::OutOfRange));
    }
}
