//! The long-term forecast: a level, and profiles of the hour, of the day and of the week, in local time.
//!
//! Four forecasts run side by side: a level alone, with the day's profile, with that and the week's, and
//! another level with the hour's. Each is charged its absolute errors, and the cheapest speaks. The first
//! three share their level, which follows what the cheapest of them leaves over: one that knows no season
//! would track the season itself, and look as good one step ahead. The hour has a bin a minute; the day has up to 96, read by straight lines between their
//! centres where a bin holds several samples; the week has 168 hours, which hold what the day leaves over.
//! Profiles are kept as 8-bit (the day's: 16-bit) multiples of a power of two; the bins of the present are
//! kept at full precision beside them and written back when time moves on, so that small steps are not lost
//! and few bytes are touched.

use super::clock::{DAY_S, Pace, at_least};
use super::math::clip;
use super::profile::Profile;
pub(super) use crate::detect::explanation::Season;
use crate::detect::explanation::SeasonHeeded;
use crate::detect::kept::kept;

const MINUTES: usize = 60;
const DAY_BINS: usize = 96;
const HOURS: usize = 168;
/// Places in [`Seasons::near`].
const NOW: usize = 1;
const HOUR: usize = 3;
const MINUTE: usize = 4;
/// No bin.
const NOWHERE: u8 = u8::MAX;
/// How fast a level follows, at each sample.
const LEVEL: f64 = 0.3;
/// How fast a bin follows at each visit of it: a minute of the hour, a part of the day, an hour of the week.
const MINUTE_RATE: f64 = 0.1;
const DAY_RATE: f64 = 0.1;
const WEEK_RATE: f64 = 0.2;
/// The week and the hour speak only where they cost this much less: they have more ways to be wrong.
const WEEK_MARGIN: f64 = 0.97;
const HOUR_MARGIN: f64 = 0.8;
/// Standard deviations up to which an error counts as a cost, teaches the variance, and teaches a profile.
const COST_CLIP: f64 = 6.0;
const SPREAD_CLIP: f64 = 4.0;
const PROFILE_CLIP: f64 = 20.0;

/// What one series has taught of its seasons. All zero is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seasons {
    /// The level, under the day and the week where they speak.
    level: f64,
    /// The level under the hour; during the first day, what its values are counted from.
    hour_level: f64,
    /// Variance of the errors of whoever speaks.
    pub(super) error_variance: f64,
    /// Average absolute errors of the forecasts.
    costs: [f64; 4],
    /// The bin of the day before the present one, the present one, the one after it, the present hour of the
    /// week, and the present minute.
    near: [f64; 5],
    errors: u32,
    /// When the first day began, as age in seconds.
    since_s: f32,
    /// Samples since the present bin, hour and minute were first met; `u16::MAX` where they had been met.
    bin_seen: u16,
    hour_seen: u16,
    minute_seen: u16,
    /// Where `near` belongs.
    day_at: u8,
    hour_at: u8,
    minute_at: u8,
    /// Which of `near` hold something, by bit.
    held: u8,
    /// Of the hour and the day; none before the step is known.
    bins: Bins,
    /// The first day is over.
    is_open: bool,
}

/// Into how many bins the hour and the day are cut. An hour of 0 has no bins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bins {
    hour: u8,
    day: u8,
}

/// What one series has taught of its hour, its day and its week, but for the present.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Profiles {
    hour: Profile<i8, MINUTES>,
    day: Profile<i16, DAY_BINS>,
    /// What the day leaves over is small, and needs fewer digits.
    week: Profile<i8, HOURS>,
}

/// Seasons that may be heeded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heeded {
    pub(super) hour: bool,
    pub(super) day: bool,
    pub(super) week: bool,
}

/// Where in an hour, a day and a week a moment lies.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    minute: u8,
    bin: u8,
    hour: u8,
    /// How far from the middle of its bin of the day, in bins: so much of the neighbour on that side is heeded.
    offset: f32,
}

/// A forecast, with what is needed to learn from its error.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forecast {
    pub(super) expected: f64,
    place: Place,
    /// Which season the level has under it, but for the hour.
    longer: Season,
    /// Whether the hour speaks in its place.
    is_hour: bool,
    hour: f64,
    day: f64,
    week: f64,
}

// === impl Seasons ===

impl Seasons {
    /// The value expected at `local_ms` by the cheapest of the forecasts that `heeded` allows.
    #[inline]
    pub(super) fn forecast(
        &self,
        profiles: &Profiles,
        local_ms: i64,
        pace: &Pace,
        heeded: Heeded,
    ) -> Forecast {
        let place = Place::of(local_ms, pace, self.bins);
        if !self.is_open {
            return Forecast { expected: self.level, place, ..Forecast::default() };
        }
        let hour =
            if place.minute == self.minute_at { self.near(MINUTE) } else { profiles.hour.get(place.minute) };
        let day = self.day_part(profiles, &place);
        let week = if place.hour == self.hour_at { self.near(HOUR) } else { profiles.week.get(place.hour) };
        let (hour, week) = (hour.unwrap_or(0.0), week.unwrap_or(0.0));
        let (longer, is_hour) = self.cheapest(heeded);
        let mut forecast =
            Forecast { expected: self.hour_level + hour, place, longer, is_hour, hour, day, week };
        if !is_hour {
            forecast.expected = self.level + forecast.longer();
        }
        forecast
    }

    /// Which of the forecasts that `heeded` allows errs least, but for the hour's; and whether that errs less.
    #[inline]
    fn cheapest(&self, heeded: Heeded) -> (Season, bool) {
        let [none_costs, hour_costs, day_costs, week_costs] = self.costs;
        let (mut cheapest, mut least) = (Season::None, none_costs);
        if day_costs < least && heeded.day {
            (cheapest, least) = (Season::Day, day_costs);
        }
        if week_costs < WEEK_MARGIN * least && heeded.week {
            (cheapest, least) = (Season::Week, week_costs);
        }
        let is_hour = hour_costs < HOUR_MARGIN * least && heeded.hour && self.bins.hour > 0;
        (cheapest, is_hour)
    }

    /// What `forecast` heeded.
    pub(super) fn heeded(&self, forecast: &Forecast) -> SeasonHeeded {
        SeasonHeeded {
            chosen: if forecast.is_hour { Season::Hour } else { forecast.longer },
            level: if forecast.is_hour { self.hour_level } else { self.level },
            value: self.of(forecast),
            hour: forecast.hour,
            day: forecast.day,
            week: forecast.week,
            costs: self.costs,
        }
    }

    /// What the day's profile says, between the present bin and its neighbour.
    #[inline]
    fn day_part(&self, profiles: &Profiles, place: &Place) -> f64 {
        let (own, beside) = if place.bin == self.day_at {
            (self.near(NOW), self.near(place.beside()))
        } else {
            (profiles.day.get(place.bin), profiles.day.get(self.around(place.bin)[place.beside()]))
        };
        // Without an own bin nothing is known of this time of the day.
        own.map_or(0.0, |own| own + f64::from(place.offset.abs()) * (beside.unwrap_or(own) - own))
    }

    /// The bin before `bin`, itself, and the one after it.
    #[inline]
    fn around(&self, bin: u8) -> [u8; 3] {
        let last = self.bins.day.max(1) - 1;
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
        if forecast.is_hour { forecast.hour } else { forecast.longer() }
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
        let rate = pace.weight(at_least(LEVEL, self.errors));
        self.errors = self.errors.saturating_add(1);
        // The step is known from the second sample on, and may turn out to be another.
        if self.bins != Bins::at(pace) && self.errors >= 2 {
            *profiles = Profiles::default();
            return self.begin_first_day(value, Bins::at(pace), age_s);
        }
        if self.bins == Bins::default() {
            return;
        }
        self.move_to(profiles, &forecast.place);
        if self.is_open {
            self.learn_profiles(value, forecast, pace);
            self.learn_levels(value, forecast, rate, share);
        } else {
            self.level += rate * (value - self.level);
            self.learn_first_day(value, pace);
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

    /// Lets `value` teach the levels, and what each forecast costs.
    #[inline]
    fn learn_levels(&mut self, value: f64, forecast: &Forecast, rate: f64, share: f64) {
        let above = value - self.level;
        let by_hour = value - self.hour_level - forecast.hour;
        let by_day = above - forecast.day;
        let most = COST_CLIP * self.error_variance.sqrt();
        for (cost, error) in self.costs.iter_mut().zip([above, by_hour, by_day, by_day - forecast.week]) {
            *cost += share * (error.abs().min(most) - *cost);
        }
        self.level += rate * (above - forecast.longer());
        self.hour_level += rate * by_hour;
    }

    /// Lets `value` teach the profiles.
    #[inline]
    fn learn_profiles(&mut self, value: f64, forecast: &Forecast, pace: &Pace) {
        let above = value - self.level;
        let by_day = above - forecast.day;
        let most = PROFILE_CLIP * self.error_variance.sqrt();
        let visit = (pace.step_s * (1.0 / DAY_S) * f64::from(self.bins.day)).min(1.0);
        let bin = self.near(NOW).map_or(above, |bin| bin + DAY_RATE * visit * clip(above - bin, most));
        self.hold(NOW, Some(bin));
        let visit = pace.share_of(3_600.0, 1.0);
        let hour = self.near(HOUR).unwrap_or(0.0);
        let rate = visit_rate(WEEK_RATE, visit, self.hour_seen);
        self.hold(HOUR, Some(hour + rate * clip(by_day - hour, most)));
        self.hour_seen = self.hour_seen.saturating_add(1);
        self.learn_minute(value - self.hour_level, pace, most);
    }

    /// Lets `above` teach the minute of the hour, as far as it differs by no more than `most`.
    #[inline]
    fn learn_minute(&mut self, above: f64, pace: &Pace, most: f64) {
        if self.bins.hour > 0 {
            let visit = (pace.step_s * (1.0 / 3_600.0) * f64::from(self.bins.hour)).min(1.0);
            let minute = self.near(MINUTE).unwrap_or(0.0);
            let rate = visit_rate(MINUTE_RATE, visit, self.minute_seen);
            self.hold(MINUTE, Some(minute + rate * clip(above - minute, most)));
            self.minute_seen = self.minute_seen.saturating_add(1);
        }
    }

    /// Makes of them what values `factor` times as large would have taught.
    pub(super) fn scale(&mut self, factor: f64) {
        let sizes =
            [&mut self.level, &mut self.hour_level].into_iter().chain(&mut self.costs).chain(&mut self.near);
        sizes.for_each(|size| *size *= factor);
        self.error_variance *= factor * factor;
    }

    // === the first day ===

    #[cold]
    fn begin_first_day(&mut self, value: f64, bins: Bins, age_s: f64) {
        self.hour_level = value;
        (self.bins, self.is_open, self.since_s) = (bins, false, age_s as f32);
        (self.costs, self.held) = ([0.0; 4], 0);
        self.be_nowhere();
    }

    /// During the first day each bin of it is a plain average; all is counted from its first value.
    #[inline]
    fn learn_first_day(&mut self, value: f64, pace: &Pace) {
        let above = value - self.hour_level;
        let most = PROFILE_CLIP * self.error_variance.sqrt();
        let bin = self
            .near(NOW)
            .map_or(above, |bin| bin + clip(above - bin, most) / (f64::from(self.bin_seen) + 1.0));
        self.hold(NOW, Some(bin));
        self.bin_seen = self.bin_seen.saturating_add(1);
        self.learn_minute(above, pace, most);
    }

    /// From now on bins are counted from their mean, and the day's is where the level starts.
    #[cold]
    fn end_first_day(&mut self, profiles: &mut Profiles) {
        self.write_back(profiles);
        let origin = self.hour_level;
        self.hour_level = origin + profiles.hour.centre();
        self.level = origin + profiles.day.centre();
        self.is_open = true;
        // Others speak from now on: what the level alone has erred says nothing of them.
        (self.errors, self.error_variance) = (1, 0.0);
        self.held = 0;
        self.be_nowhere();
    }

    fn be_nowhere(&mut self) {
        (self.minute_at, self.day_at, self.hour_at) = (NOWHERE, NOWHERE, NOWHERE);
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
        if place.minute != self.minute_at {
            self.write_back(profiles);
            self.minute_at = place.minute;
            let minute = profiles.hour.get(place.minute);
            self.minute_seen = if minute.is_some() { u16::MAX } else { 0 };
            self.hold(MINUTE, minute);
        }
    }

    fn write_back(&self, profiles: &mut Profiles) {
        if let Some(value) = self.near(NOW) {
            profiles.day.set(self.day_at, value);
        }
        if let Some(value) = self.near(HOUR) {
            profiles.week.set(self.hour_at, value);
        }
        if let Some(value) = self.near(MINUTE) {
            profiles.hour.set(self.minute_at, value);
        }
    }
}

// === impl Profiles ===

impl Profiles {
    /// Makes of them what values `factor` times as large would have taught.
    pub(super) fn scale(&mut self, factor: f64) {
        self.hour.scale(factor);
        self.day.scale(factor);
        self.week.scale(factor);
    }
}

// === impl Forecast ===

impl Forecast {
    /// What of the value is season, by what the level has under it.
    #[inline]
    fn longer(&self) -> f64 {
        match self.longer {
            Season::Day => self.day,
            Season::Week => self.day + self.week,
            Season::None | Season::Hour => 0.0,
        }
    }

    /// The hour of the day.
    #[inline]
    pub(super) fn hour_of_day(&self) -> usize {
        usize::from(self.place.hour % 24)
    }
}

// === impl Place ===

impl Place {
    /// Of a bin, the one before it (0) or after it (2), whichever is nearer.
    #[inline]
    fn beside(&self) -> usize {
        if self.offset < 0.0 { 0 } else { 2 }
    }

    #[inline]
    fn of(local_ms: i64, pace: &Pace, bins: Bins) -> Self {
        const DAY_MS: u32 = 86_400_000;
        const HOUR_MS: u32 = 3_600_000;
        // Whole weeks before any time there is, so that nothing is negative.
        const WEEK_MS: u64 = 7 * DAY_MS as u64;
        const ORIGIN: u64 = ((1 << 62) / WEEK_MS) * WEEK_MS;
        let in_week = ((local_ms as u64).wrapping_add(ORIGIN) % WEEK_MS) as u32;
        let position = f64::from(in_week % DAY_MS) * (f64::from(bins.day) * (1.0 / f64::from(DAY_MS)));
        let bin = position as u8;
        let offset = position - f64::from(bin) - 0.5;
        // A bin that holds one sample is that sample; one that holds more is a line between centres.
        let holds_more = pace.step_s * f64::from(bins.day) < 0.95 * DAY_S;
        Self {
            minute: ((in_week % HOUR_MS) * u32::from(bins.hour) / HOUR_MS) as u8,
            bin,
            hour: (in_week / HOUR_MS) as u8,
            offset: if holds_more { offset as f32 } else { 0.0 },
        }
    }
}

// === impl Bins ===

impl Bins {
    /// As many as hold a sample each, at the step of `pace`.
    #[inline]
    fn at(pace: &Pace) -> Self {
        let (hour, day) = match pace.step_s {
            minute if minute <= 67.0 => (MINUTES, DAY_BINS),
            two if two <= 135.0 => (30, DAY_BINS),
            quarter if quarter <= 1_350.0 => (0, DAY_BINS),
            half if half <= 2_700.0 => (0, 48),
            _ => (0, 24),
        };
        Self { hour: hour as u8, day: day as u8 }
    }
}

/// The weight of a sample in a bin of which it is the share `visit` of one visit: `lasting` a visit, but a plain
/// average in the first, in which `seen` have come.
#[inline]
fn visit_rate(lasting: f64, visit: f64, seen: u16) -> f64 {
    let seen = f64::from(seen);
    (lasting * visit).max(if seen * visit < 1.0 { 1.0 / (seen + 1.0) } else { 0.0 })
}

// === kept ===

kept!(Bins { hour, day });
kept!(Seasons {
    level,
    hour_level,
    error_variance,
    costs,
    near,
    errors,
    since_s,
    bin_seen,
    hour_seen,
    minute_seen,
    day_at,
    hour_at,
    minute_at,
    held,
    bins,
    is_open
});
kept!(Profiles { hour, day, week });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::hybrid::clock::Clock;

    const START: i64 = 1_700_006_400_000;

    /// Teaches `count` values every `step_s` seconds; gives the seasons and the last 200 errors' mean size.
    fn taught(step_s: i64, count: i64, value: impl Fn(i64) -> f64) -> (Seasons, f64) {
        taught_at((0..count).map(|i| START + i * step_s * 1_000), value)
    }

    fn taught_at(times: impl Iterator<Item = i64>, value: impl Fn(i64) -> f64) -> (Seasons, f64) {
        let (mut seasons, mut clock, mut errors) = (Seasons::default(), Clock::default(), Vec::new());
        let mut profiles = Profiles::default();
        for at_ms in times {
            let pace = clock.pace(at_ms);
            let forecast =
                seasons.forecast(&profiles, at_ms, &pace, Heeded { hour: true, day: true, week: true });
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
        for (step_s, days) in
            [(1, 3), (5, 3), (15, 4), (60, 5), (300, 8), (900, 10), (1_800, 14), (3_600, 30)]
        {
            let (_, error) = taught(step_s, days * 86_400 / step_s, day);
            // A bin that straddles a jump is wrong for a while; else errors are the noise.
            assert!(error < 40.0, "{step_s}: {error}");
        }
    }

    #[test]
    fn a_day_is_learned_although_samples_are_missing() {
        let day = |at_ms: i64| noise(at_ms) + if (9..17).contains(&hour(at_ms)) { 1_000.0 } else { 10.0 };
        let is_missing = |i: i64| noise(1_000 * i + 500) > 0.1;
        assert!((0..1_000).filter(|i| is_missing(*i)).count() > 150);
        let (_, error) =
            taught_at((0..8 * 1_440).filter(|i| !is_missing(*i)).map(|i| START + 60_000 * i), day);
        assert!(error < 40.0, "{error}");
    }

    #[test]
    fn an_hour_is_learned() {
        let job = |at_ms: i64| noise(at_ms) + if at_ms.rem_euclid(3_600_000) < 300_000 { 50.0 } else { 10.0 };
        for step_s in [5, 15, 60, 120] {
            let (seasons, error) = taught(step_s, 3 * 86_400 / step_s, job);
            let heeded = Heeded { hour: true, day: true, week: true };
            assert!(seasons.cheapest(heeded).1, "{step_s}: {:?}", seasons.costs);
            assert!(error < 4.0, "{step_s}: {error}");
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
        let [none, _, day, week] = seasons.costs;
        assert!(week < 0.8 * day && week < none, "{:?}", seasons.costs);
    }

    #[test]
    fn without_a_season_the_level_speaks() {
        let walk = |at_ms: i64| 50.0 + 20.0 * (at_ms as f64 / 7.7e7).sin() + noise(at_ms);
        let (seasons, error) = taught(60, 4 * 1_440, walk);
        assert!(error < 0.6, "{error} {:?}", seasons.costs);
    }

    #[test]
    fn a_place_is_the_same_for_any_time_there_is() {
        let pace = Pace { step_s: 60.0, steps: 1.0, decades: 0.0 };
        for at_ms in [0, -1, i64::MIN, i64::MAX, START] {
            let place = Place::of(at_ms, &pace, Bins { hour: 60, day: 96 });
            assert!(
                place.minute < 60
                    && place.bin < 96
                    && usize::from(place.hour) < HOURS
                    && (-0.5..=0.5).contains(&place.offset)
            );
        }
        assert_eq!(Place::of(START + 3_600_000 * 30, &pace, Bins { hour: 0, day: 24 }).bin, 6);
        assert_eq!(Place::of(-3_600_000, &pace, Bins { hour: 0, day: 24 }).bin, 23);
    }
}
