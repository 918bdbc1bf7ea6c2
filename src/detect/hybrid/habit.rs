//! Habit: what a series does at about this time every day is no news.
//!
//! Each hour of the day (UTC) remembers how high the energy usually rises in it. Where it rises no higher
//! than it usually does at about this time, the state calls nobody: the backup at six o'clock is reported for
//! some days and then is part of the day.

use crate::detect::kept::kept;

/// Hours of the day.
const HOURS: usize = 24;
/// Steps of an octave that are told apart.
const STEPS: f32 = 24.0;
/// The lowest place on the scale of calibration that is kept.
const LOWEST: f32 = -1.0;
/// How much of a day's height is habit the day after.
const RATE: f32 = 0.35;
/// Octaves above the habit from which on nothing is habit, and over which that comes about.
const MARGIN: f32 = 0.1;
const SLOPE: f32 = 2.0;

/// How high the energy of one series usually rises, by hour of the day: steps above the lowest place; 0 is an
/// hour that was not met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habit {
    usual: [u8; HOURS],
}

/// The hour under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Today {
    /// From 1; 0 before the first.
    hour: u8,
    /// How high the energy has risen in it.
    highest: u8,
}

// === impl Habit ===

impl Habit {
    /// How new a height is at an hour, 0 (as usual) to 1.
    #[inline]
    pub(super) fn newness(&self, hour: usize, height: f32) -> f32 {
        let at = |hour: usize| self.usual[hour % HOURS];
        let usual = at(hour + HOURS - 1).max(at(hour)).max(at(hour + 1));
        if usual == 0 {
            return 1.0;
        }
        let usual = LOWEST + f32::from(usual) / STEPS;
        ((height - usual - MARGIN) * SLOPE).clamp(0.0, 1.0)
    }

    /// Lets the hour that is over teach.
    fn learn(&mut self, today: Today) {
        let hour = usize::from(today.hour).wrapping_sub(1);
        let Some(usual) = self.usual.get_mut(hour) else { return };
        let (before, now) = (f32::from(*usual), f32::from(today.highest));
        *usual = if *usual == 0 { today.highest } else { (before + RATE * (now - before) + 0.5) as u8 };
    }
}

// === impl Today ===

impl Today {
    /// Lets a height at an hour teach; the hour before it is over, and teaches `habit`.
    #[inline]
    pub(super) fn learn(&mut self, habit: &mut Habit, hour: usize, height: f32) {
        let now = (hour % HOURS) as u8 + 1;
        if now != self.hour {
            habit.learn(*self);
            *self = Self { hour: now, highest: 0 };
        }
        self.highest = self.highest.max(((height - LOWEST) * STEPS).clamp(1.0, 255.0) as u8);
    }
}

// === kept ===

kept!(Habit { usual });
kept!(Today { hour, highest });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_every_day_is_habit_after_some_days_and_news_again_later() {
        let (mut habit, mut today) = (Habit::default(), Today::default());
        let mut day = |spike: f32| {
            let mut newness = 1.0;
            for hour in 0..HOURS {
                let height = if hour == 6 { spike } else { 1.6 };
                if hour == 6 {
                    newness = habit.newness(hour, height);
                }
                today.learn(&mut habit, hour, height);
            }
            newness
        };
        let mut days: Vec<f32> = (0..3).map(|_| day(1.6)).collect();
        days.extend((0..10).map(|_| day(4.5)));
        assert_eq!(days[3], 1.0, "{days:?}");
        assert!(days[12] < 0.1, "{days:?}");
        (0..10).for_each(|_| _ = day(1.6));
        assert_eq!(day(4.5), 1.0);
    }

    #[test]
    fn another_time_of_the_day_is_news() {
        let (mut habit, mut today) = (Habit::default(), Today::default());
        for _ in 0..10 {
            (0..HOURS).for_each(|hour| today.learn(&mut habit, hour, if hour == 6 { 4.5 } else { 1.6 }));
        }
        assert_eq!((habit.newness(15, 4.5), habit.newness(6, 6.0)), (1.0, 1.0));
        assert!(habit.newness(7, 4.0) < 0.1);
    }
}
