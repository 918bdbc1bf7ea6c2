//! The long-term forecast: a level, a profile of the day and one of the week, in UTC.
//!
//! Three forecasts run side by side: a level alone, a level with the day's profile, and that with the
//! week's. Each pays for its errors, and the cheapest speaks. The day has up to 96 bins, read by straight
//! lines between their centres where a bin holds several samples; the week has 168 hours, which hold what
//! the day leaves over. Profiles are kept as 16-bit multiples of one unit; the bins of the present are kept
//! at full precision beside them and written back when time moves on, so that small steps are not lost and
//! few bytes are touched.

use super::clock::{DAY_S, Pace, at_least};
use super::math::clip;
pub(super) use crate::detect::explanation::Season;
use crate::detect::explanation::SeasonHeeded;
use crate::detect::kept::{Kept, kept};

const DAY_BINS: usize = 96;
const HOURS: usize = 168;
/// Places in [`Seasons::near`].
const NOW: usize = 1;
const HOUR: usize = 3;
/// How fast a level follows, at each sample.
const LEVEL: f64 = 0.3;
/// How fast a bin of the day follows, at each visit of it, and an hour of the week.
const DAY_RATE: f64 = 0.1;
const WEEK_RATE: f64 = 0.2;
/// The week speaks only where it costs this much less: it has more ways to be wrong.
const WEEK_MARGIN: f64 = 0.97;
/// Standard deviations up to which an error counts as a cost, teaches the variance, and teaches a profile.
const COST_CLIP: f64 = 6.0;
const SPREAD_CLIP: f64 = 4.0;
const PROFILE_CLIP: f64 = 20.0;

/// What one series has taught of its seasons. All zero is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seasons {
    /// The level, under whichever profiles speak.
    level: f64,
    /// What the first day's values are counted from.
    origin: f64,
    /// Variance of the errors of whoever speaks.
    pub(super) error_variance: f64,
    /// Average absolute errors of the three forecasts.
    costs: [f64; 3],
    /// The bin of the day before the present one, the present one, the one after it, and the present hour of
    /// the week.
    near: [f64; 4],
    errors: u32,
    /// Where `near` and `hour` belong.
    day_at: u16,
    hour_at: u16,
    /// Samples since the present bin, and the present hour, were first met; `u16::MAX` where they had been met.
    bin_seen: u16,
    hour_seen: u16,
    /// Which of `near` hold something, by bit.
    held: u8,
    /// Bins of the day; 0 before the step is known.
    bins: u8,
    /// The first day is over.
    is_open: bool,
    /// When the first day began, as age in seconds.
    since_s: f32,
}

/// What one series has taught of its day and its week, but for the present.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Profiles {
    day: Profile<i16, DAY_BINS>,
    /// What the day leaves over is small, and needs fewer digits.
    week: Profile<i8, HOURS>,
}

/// Whole numbers that mean multiples of a unit; 0 is none.
#[derive(Clone, Copy, Debug)]
struct Profile<T, const N: usize> {
    unit: f64,
    numbers: [T; N],
}

/// A whole number of a profile.
trait Whole: Copy + Default + PartialEq + Into<f64> {
    /// The largest size of a number before the unit widens.
    const LARGEST: f64;

    /// The nearest number of either sign that is not 0: 0 says that there is none.
    fn nearest(value: f64) -> Self;
}

/// Where in a day and a week a moment lies.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    bin: u16,
    hour: u16,
    /// Whether the neighbour is the bin before (0) or after (2), and how much of it is heeded.
    beside: u8,
    share: f32,
}

/// A forecast, with what is needed to learn from its error.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forecast {
    pub(super) expected: f64,
    place: Place,
    day: f64,
    week: f64,
}

// === impl Seasons ===

impl Seasons {
    /// The value expected at `at_ms` by what is at most `most` of a season.
    #[inline]
    pub(super) fn forecast(&self, profiles: &Profiles, at_ms: i64, pace: &Pace, most: Season) -> Forecast {
        let place = Place::of(at_ms, pace, self.bins);
        if !self.is_open {
            return Forecast { expected: self.level, place, day: 0.0, week: 0.0 };
        }
        let day = self.day_part(profiles, &place);
        let week = if place.hour == self.hour_at { self.near(HOUR) } else { profiles.week.get(place.hour) };
        let week = week.unwrap_or(0.0);
        let season = match self.cheapest(most) {
            Season::None => 0.0,
            Season::Day => day,
            Season::Week => day + week,
        };
        Forecast { expected: self.level + season, place, day, week }
    }

    /// Which forecast errs least.
    #[inline]
    fn cheapest(&self, most: Season) -> Season {
        let [none_costs, day_costs, week_costs] = self.costs;
        let (mut cheapest, mut least) = (Season::None, none_costs);
        if day_costs < least && most != Season::None {
            (cheapest, least) = (Season::Day, day_costs);
        }
        if week_costs < WEEK_MARGIN * least && most == Season::Week {
            cheapest = Season::Week;
        }
        cheapest
    }

    /// What `forecast` heeded, of at most `most`.
    pub(super) fn heeded(&self, forecast: &Forecast, most: Season) -> SeasonHeeded {
        SeasonHeeded {
            chosen: if self.is_open { self.cheapest(most) } else { Season::None },
            level: self.level,
            value: self.of(forecast),
            day: forecast.day,
            week: forecast.week,
            costs: self.costs,
        }
    }

    /// What the day's profile says, between the present bin and its neighbour.
    #[inline]
    fn day_part(&self, profiles: &Profiles, place: &Place) -> f64 {
        let (own, beside) = if place.bin == self.day_at {
            (self.near(NOW), self.near(usize::from(place.beside)))
        } else {
            (profiles.day.get(place.bin), profiles.day.get(self.around(place.bin)[usize::from(place.beside)]))
        };
        // Without an own bin nothing is known of this time of the day.
        own.map_or(0.0, |own| own + f64::from(place.share) * (beside.unwrap_or(own) - own))
    }

    /// The bin before `bin`, itself, and the one after it.
    #[inline]
    fn around(&self, bin: u16) -> [u16; 3] {
        let last = u16::from(self.bins.max(1)) - 1;
        [if bin == 0 { last } else { bin - 1 }, bin, if bin >= last { 0 } else { bin + 1 }]
    }

    #[inline]
    fn near(&self, at: usize) -> Option<f64> {
        (self.held & (1 << at) != 0).then_some(self.near[at])
    }

    #[inline]
    fn hold(&mut self, at: usize, value: Option<f64>) {
        self.near[at] = value.unwrap_or(0.0);
        self.held = (self.held & !(1 << at)) | (u8::from(value.is_some()) << at);
    }

    /// What of `forecast` is season.
    #[inline]
    pub(super) fn of(&self, forecast: &Forecast) -> f64 {
        forecast.expected - self.level
    }

    /// How many samples have come since the first day was over, and with it there was a season to speak of.
    #[inline]
    pub(super) fn age(&self) -> Option<u32> {
        self.is_open.then(|| self.errors - 1)
    }

    /// Whether its errors have been seen often enough to be compared with.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        self.errors >= 10
    }

    /// Begins with the first value.
    #[inline]
    pub(super) fn begin(&mut self, value: f64) {
        (self.level, self.errors) = (value, 1);
    }

    /// Lets `value`, for which `forecast` was made, teach. `share` is the weight of a sample in costs
    /// and the variance.
    #[inline]
    pub(super) fn learn(
        &mut self,
        profiles: &mut Profiles,
        value: f64,
        forecast: &Forecast,
        pace: &Pace,
        age_s: f64,
        share: f64,
    ) {
        self.learn_errors(value - forecast.expected, share);
        let above = value - self.level;
        let rate = pace.weight(at_least(LEVEL, self.errors));
        self.level += rate * (value - forecast.expected);
        self.errors = self.errors.saturating_add(1);
        // The step is known from the second sample on, and may turn out to be another.
        if self.bins != bins(pace) && self.errors >= 2 {
            *profiles = Profiles::default();
            return self.begin_first_day(value, bins(pace), age_s);
        }
        if self.bins == 0 {
            return;
        }
        self.move_to(profiles, &forecast.place);
        if self.is_open {
            self.learn_profiles(above, forecast, pace, share);
        } else {
            self.learn_first_day(value);
            if age_s - f64::from(self.since_s) >= DAY_S {
                self.end_first_day(profiles);
            }
        }
    }

    #[inline]
    fn learn_errors(&mut self, error: f64, share: f64) {
        let bound = SPREAD_CLIP * SPREAD_CLIP * self.error_variance;
        let square = error * error;
        let square = if self.is_ready() && bound > 0.0 { square.min(bound) } else { square };
        let weight = at_least(share, self.errors - 1);
        self.error_variance += weight * (square - self.error_variance);
    }

    /// Lets `above`, the value less the level, teach what each forecast costs, and the profiles.
    #[inline]
    fn learn_profiles(&mut self, above: f64, forecast: &Forecast, pace: &Pace, share: f64) {
        let by_day = above - forecast.day;
        let by_week = by_day - forecast.week;
        let deviation = self.error_variance.sqrt();
        for (cost, error) in self.costs.iter_mut().zip([above, by_day, by_week]) {
            *cost += share * (error.abs().min(COST_CLIP * deviation) - *cost);
        }
        let visit = (pace.step_s * (1.0 / DAY_S) * f64::from(self.bins)).min(1.0);
        let bin = self
            .near(NOW)
            .map_or(above, |bin| bin + DAY_RATE * visit * clip(above - bin, PROFILE_CLIP * deviation));
        self.hold(NOW, Some(bin));
        let visit = pace.share_of(3_600.0, 1.0);
        let hour = self.near(HOUR).unwrap_or(0.0);
        // In its first visit an hour is a plain average of what it holds.
        let seen = f64::from(self.hour_seen);
        let rate = (WEEK_RATE * visit).max(if seen * visit < 1.0 { 1.0 / (seen + 1.0) } else { 0.0 });
        self.hold(HOUR, Some(hour + rate * clip(by_day - hour, PROFILE_CLIP * deviation)));
        self.hour_seen = self.hour_seen.saturating_add(1);
    }

    // === the first day ===

    #[cold]
    fn begin_first_day(&mut self, value: f64, bins: u8, age_s: f64) {
        self.origin = value;
        (self.bins, self.is_open, self.since_s) = (bins, false, age_s as f32);
        (self.costs, self.held) = ([0.0; 3], 0);
        (self.day_at, self.hour_at) = (u16::MAX, u16::MAX);
    }

    /// During the first day each bin is a plain average, counted from the day's first value.
    #[inline]
    fn learn_first_day(&mut self, value: f64) {
        let above = value - self.origin;
        let deviation = self.error_variance.sqrt();
        let bin = self.near(NOW).map_or(above, |bin| {
            bin + clip(above - bin, PROFILE_CLIP * deviation) / (f64::from(self.bin_seen) + 1.0)
        });
        self.hold(NOW, Some(bin));
        self.bin_seen = self.bin_seen.saturating_add(1);
    }

    /// From now on bins are counted from the day's mean, which is where the level starts.
    #[cold]
    fn end_first_day(&mut self, profiles: &mut Profiles) {
        self.write_back(profiles);
        let (mut sum, mut count) = (0.0, 0.0);
        for bin in 0..u16::from(self.bins) {
            if let Some(value) = profiles.day.get(bin) {
                (sum, count) = (sum + value, count + 1.0);
            }
        }
        let mean = if count > 0.0 { sum / count } else { 0.0 };
        for bin in 0..u16::from(self.bins) {
            if let Some(value) = profiles.day.get(bin) {
                profiles.day.set(bin, value - mean);
            }
        }
        self.level = self.origin + mean;
        self.is_open = true;
        // Others speak from now on: what the level alone has erred says nothing of them.
        (self.errors, self.error_variance) = (1, 0.0);
        (self.day_at, self.hour_at) = (u16::MAX, u16::MAX);
    }

    // === the present bins ===

    /// Makes the bins of `place` the present ones.
    #[inline]
    fn move_to(&mut self, profiles: &mut Profiles, place: &Place) {
        if place.bin != self.day_at {
            self.write_back(profiles);
            self.day_at = place.bin;
            for (at, bin) in self.around(place.bin).into_iter().enumerate() {
                self.hold(at, profiles.day.get(bin));
            }
            self.bin_seen = 0;
        }
        if place.hour != self.hour_at {
            self.write_back(profiles);
            self.hour_at = place.hour;
            let hour = profiles.week.get(place.hour);
            self.hour_seen = if hour.is_some() { u16::MAX } else { 0 };
            self.hold(HOUR, hour);
        }
    }

    fn write_back(&self, profiles: &mut Profiles) {
        if let (true, Some(value)) = (self.day_at != u16::MAX, self.near(NOW)) {
            profiles.day.set(self.day_at, value);
        }
        if let (true, Some(value)) = (self.hour_at != u16::MAX, self.near(HOUR)) {
            profiles.week.set(self.hour_at, value);
        }
    }
}

// === impl Forecast ===

impl Forecast {
    /// The hour of the day.
    #[inline]
    pub(super) fn hour(&self) -> usize {
        usize::from(self.place.hour % 24)
    }
}

// === impl Profile ===

impl<T: Whole, const N: usize> Profile<T, N> {
    #[inline]
    fn get(&self, at: u16) -> Option<f64> {
        let number = *self.numbers.get(usize::from(at))?;
        (number != T::default()).then(|| number.into() * self.unit)
    }

    fn set(&mut self, at: u16, value: f64) {
        if value.abs() > T::LARGEST * self.unit {
            self.widen(value);
        }
        if let Some(slot) = self.numbers.get_mut(usize::from(at)) {
            *slot = T::nearest(if self.unit > 0.0 { value / self.unit } else { 0.0 });
        }
    }

    /// Makes the unit large enough for `value`.
    #[cold]
    fn widen(&mut self, value: f64) {
        let mut unit = if self.unit > 0.0 { self.unit } else { f64::MIN_POSITIVE };
        let wanted = 1.01 * value.abs() / T::LARGEST;
        // Powers of two, so that what is kept is the same number in another unit.
        while unit < wanted && unit < 1e200 {
            unit *= if wanted > 65_536.0 * unit { 65_536.0 } else { 2.0 };
        }
        let ratio = self.unit / unit;
        for number in self.numbers.iter_mut().filter(|number| **number != T::default()) {
            *number = T::nearest((*number).into() * ratio);
        }
        self.unit = unit;
    }
}

impl<T: Whole, const N: usize> Default for Profile<T, N> {
    fn default() -> Self {
        Self { unit: 0.0, numbers: [T::default(); N] }
    }
}

// === impl Whole ===

impl Whole for i16 {
    const LARGEST: f64 = 32_000.0;

    fn nearest(value: f64) -> Self {
        let number = (value + 32_768.5) as i32 - 32_768;
        if number == 0 { 1 } else { number.clamp(-32_767, 32_767) as Self }
    }
}

impl Whole for i8 {
    const LARGEST: f64 = 125.0;

    fn nearest(value: f64) -> Self {
        let number = (value + 128.5) as i32 - 128;
        if number == 0 { 1 } else { number.clamp(-127, 127) as Self }
    }
}

// === impl Place ===

impl Place {
    #[inline]
    fn of(at_ms: i64, pace: &Pace, bins: u8) -> Self {
        const DAY_MS: u32 = 86_400_000;
        const HOUR_MS: u32 = 3_600_000;
        // Whole weeks before any time there is, so that nothing is negative.
        const WEEK_MS: u64 = 7 * DAY_MS as u64;
        const ORIGIN: u64 = ((1 << 62) / WEEK_MS) * WEEK_MS;
        let in_week = ((at_ms as u64).wrapping_add(ORIGIN) % WEEK_MS) as u32;
        let position = f64::from(in_week % DAY_MS) * (f64::from(bins) * (1.0 / f64::from(DAY_MS)));
        let bin = position as u16;
        let offset = position - f64::from(bin) - 0.5;
        // A bin that holds one sample is that sample; one that holds more is a line between centres.
        let holds_more = pace.step_s * f64::from(bins) < 0.95 * DAY_S;
        Self {
            bin,
            hour: (in_week / HOUR_MS) as u16,
            beside: if offset < 0.0 { 0 } else { 2 },
            share: if holds_more { offset.abs() as f32 } else { 0.0 },
        }
    }
}

/// Into how many bins the day is cut at a step: as many as hold a sample each.
#[inline]
fn bins(pace: &Pace) -> u8 {
    match pace.step_s {
        quarter if quarter <= 1_350.0 => DAY_BINS as u8,
        half if half <= 2_700.0 => 48,
        _ => 24,
    }
}

// === kept ===

kept!(Seasons {
    level,
    origin,
    error_variance,
    costs,
    near,
    errors,
    day_at,
    hour_at,
    bin_seen,
    hour_seen,
    held,
    bins,
    is_open,
    since_s
});
kept!(Profiles { day, week });

impl<T: Kept + Whole, const N: usize> Kept for Profile<T, N> {
    fn layout(to: &mut String) {
        to.push_str("Profile {unit: f64 numbers: ");
        <[T; N]>::layout(to);
        to.push('}');
    }

    fn keep(&self, to: &mut Vec<u8>) {
        self.unit.keep(to);
        self.numbers.keep(to);
    }

    fn recall(from: &mut &[u8]) -> Option<Self> {
        Some(Self { unit: Kept::recall(from)?, numbers: Kept::recall(from)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::hybrid::clock::Clock;

    const START: i64 = 1_700_006_400_000;

    /// Teaches `count` values every `step_s` seconds; gives the seasons and the last 200 errors' mean size.
    fn taught(step_s: i64, count: i64, value: impl Fn(i64) -> f64) -> (Seasons, f64) {
        let (mut seasons, mut clock, mut errors) = (Seasons::default(), Clock::default(), Vec::new());
        let mut profiles = Profiles::default();
        for at_ms in (0..count).map(|i| START + i * step_s * 1_000) {
            let pace = clock.pace(at_ms);
            let forecast = seasons.forecast(&profiles, at_ms, &pace, Season::Week);
            errors.push((value(at_ms) - forecast.expected).abs());
            if errors.len() == 1 {
                seasons.begin(value(at_ms));
            } else {
                seasons.learn(&mut profiles, value(at_ms), &forecast, &pace, clock.age_s(), 1.0 / 3_000.0);
            }
            clock.learn(at_ms);
        }
        let last = &errors[errors.len() - 200..];
        (seasons, last.iter().sum::<f64>() / last.len() as f64)
    }

    fn hour(at_ms: i64) -> i64 {
        at_ms.div_euclid(3_600_000).rem_euclid(24)
    }

    fn noise(at_ms: i64) -> f64 {
        crate::detect::hybrid::tests::noise((at_ms / 1_000) as usize)
    }

    #[test]
    fn a_day_is_learned_at_any_step() {
        let day = |at_ms: i64| noise(at_ms) + if (9..17).contains(&hour(at_ms)) { 1_000.0 } else { 10.0 };
        for (step_s, days) in [(15, 4), (60, 5), (300, 8), (900, 10), (1_800, 14), (3_600, 30)] {
            let (_, error) = taught(step_s, days * 86_400 / step_s, day);
            // A bin that straddles a jump is wrong for a while; else errors are the noise.
            assert!(error < 40.0, "{step_s}: {error}");
        }
    }

    #[test]
    fn a_weekend_is_learned() {
        let weekend = |at_ms: i64| (at_ms.div_euclid(86_400_000) + 3) % 7 >= 5;
        let value = |at_ms: i64| {
            let day = if (9..17).contains(&hour(at_ms)) { 100.0 } else { 10.0 };
            noise(at_ms) + if weekend(at_ms) { 10.0 } else { day }
        };
        let (seasons, _) = taught(3_600, 24 * 7 * 10, value);
        let [none, day, week] = seasons.costs;
        assert!(week < 0.8 * day && week < none, "{:?}", seasons.costs);
    }

    #[test]
    fn without_a_season_the_level_speaks() {
        let walk = |at_ms: i64| 50.0 + 20.0 * (at_ms as f64 / 7.7e7).sin() + noise(at_ms);
        let (seasons, error) = taught(60, 4 * 1_440, walk);
        assert!(error < 0.6, "{error} {:?}", seasons.costs);
    }

    #[test]
    fn a_profile_keeps_what_it_is_told() {
        let mut profile: Profile<i16, 24> = Profile::default();
        profile.set(0, 1.0);
        profile.set(1, -1e-3);
        assert_eq!((profile.get(0), profile.get(2)), (Some(1.0), None));
        profile.set(2, 1e9);
        profile.set(3, 0.0);
        assert!((profile.get(2).unwrap() / 1e9 - 1.0).abs() < 1e-4);
        assert!(profile.get(0).is_some() && profile.get(3).unwrap().abs() < 1e5);
        profile.set(4, 1e120);
        assert!((profile.get(4).unwrap() / 1e120 - 1.0).abs() < 1e-4);
    }

    #[test]
    fn a_place_is_the_same_for_any_time_there_is() {
        let pace = Pace { step_s: 60.0, steps: 1.0, decades: 0.0 };
        for at_ms in [0, -1, i64::MIN, i64::MAX, START] {
            let place = Place::of(at_ms, &pace, 96);
            assert!(place.bin < 96 && usize::from(place.hour) < HOURS && (0.0..=0.5).contains(&place.share));
        }
        assert_eq!(Place::of(START + 3_600_000 * 30, &pace, 24).bin, 6);
        assert_eq!(Place::of(-3_600_000, &pace, 24).bin, 23);
    }
}
