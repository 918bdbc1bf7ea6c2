//! When the window of a context is open: a function of time, worked out a week at a time.

use std::sync::Arc;

use jiff::tz::TimeZone;
use parking_lot::Mutex;

use super::clock::END_MS;
use super::cron::Cron;
use super::ics::Event;

/// A stretch of time in milliseconds since the epoch; its end is no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// Its first millisecond.
    pub from_ms: i64,
    /// The first one behind it.
    pub until_ms: i64,
}

/// Says of any moment whether the window is open.
#[derive(Debug)]
pub struct Calendar {
    source: Source,
    /// The weeks that were asked for last, so that all series of a context are answered by one expansion.
    weeks: Mutex<[Option<Arc<Week>>; KEPT]>,
}

/// Where windows come from.
#[derive(Debug)]
enum Source {
    Cron { pattern: Cron, length_ms: i64, zone: TimeZone },
    Events(Vec<Event>),
    Once(Stretch),
}

/// The windows that are open in a week, joined where they touch.
#[derive(Debug)]
struct Week {
    number: i64,
    open: Vec<Stretch>,
}

/// What a moment is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) is_open: bool,
    /// From when to when that is known to be so.
    pub(super) known: Stretch,
}

const WEEK_MS: i64 = 7 * 86_400_000;
/// Samples of several senders may be of this week and of the one before.
const KEPT: usize = 2;
/// How many weeks a window is followed for its end, which is told to people.
const FOLLOWED_WEEKS: usize = 60;

// === impl Stretch ===

impl Stretch {
    /// Whether `at_ms` is in it.
    #[inline]
    pub fn holds(&self, at_ms: i64) -> bool {
        self.from_ms <= at_ms && at_ms < self.until_ms
    }

    /// What is part of both.
    pub(super) fn within(self, other: Self) -> Self {
        Self { from_ms: self.from_ms.max(other.from_ms), until_ms: self.until_ms.min(other.until_ms) }
    }
}

// === impl Calendar ===

impl Calendar {
    /// Windows of `length_ms` that open by a pattern, by the clock of `zone`.
    pub fn cron(pattern: Cron, length_ms: i64, zone: TimeZone) -> Self {
        Self::of(Source::Cron { pattern, length_ms, zone })
    }

    /// Windows that are open while one of `events` goes on.
    pub fn events(events: Vec<Event>) -> Self {
        Self::of(Source::Events(events))
    }

    /// One window.
    pub fn once(window: Stretch) -> Self {
        Self::of(Source::Once(window))
    }

    fn of(source: Source) -> Self {
        Self { source, weeks: Mutex::default() }
    }

    /// Whether the window is open at `at_ms`, and from when to when at the least that is so.
    pub(super) fn at(&self, at_ms: i64) -> Moment {
        if let Source::Once(window) = &self.source {
            return Moment::among(&[*window], Stretch { from_ms: i64::MIN, until_ms: i64::MAX }, at_ms);
        }
        let closed = |from_ms, until_ms| Moment { is_open: false, known: Stretch { from_ms, until_ms } };
        match at_ms {
            ..0 => closed(i64::MIN, 0),
            END_MS.. => closed(END_MS, i64::MAX),
            _ => {
                let week = self.week(at_ms.div_euclid(WEEK_MS));
                Moment::among(&week.open, Week::bounds(week.number), at_ms)
            }
        }
    }

    /// When the window that is open at `at_ms` closes; nothing where none is.
    pub fn open_until(&self, at_ms: i64) -> Option<i64> {
        let mut moment = self.at(at_ms);
        if !moment.is_open {
            return None;
        }
        // A window may go on in the next week.
        for _ in 0..FOLLOWED_WEEKS {
            let next = self.at(moment.known.until_ms);
            if !next.is_open {
                break;
            }
            moment = next;
        }
        Some(moment.known.until_ms)
    }

    fn week(&self, number: i64) -> Arc<Week> {
        let is_it = |week: &&Arc<Week>| week.number == number;
        if let Some(week) = self.weeks.lock().iter().flatten().find(is_it) {
            return Arc::clone(week);
        }
        let week = Arc::new(Week { number, open: self.open_in(number) });
        let mut weeks = self.weeks.lock();
        weeks.rotate_right(1);
        weeks[0] = Some(Arc::clone(&week));
        week
    }

    /// The windows that are open in a week, in order and joined.
    fn open_in(&self, week: i64) -> Vec<Stretch> {
        let Stretch { from_ms, until_ms } = Week::bounds(week);
        let mut open = Vec::new();
        match &self.source {
            Source::Cron { pattern, length_ms, zone } => {
                pattern.windows(zone, *length_ms, [from_ms, until_ms], &mut open);
            }
            Source::Events(events) => {
                events.iter().for_each(|event| event.stretches([from_ms, until_ms], &mut open))
            }
            Source::Once(window) => open.push(*window),
        }
        joined(open)
    }
}

/// `all` in order, those that touch as one.
fn joined(mut all: Vec<Stretch>) -> Vec<Stretch> {
    all.retain(|stretch| stretch.from_ms < stretch.until_ms);
    all.sort_unstable();
    all.dedup_by(|next, before| {
        let touches = next.from_ms <= before.until_ms;
        if touches {
            before.until_ms = before.until_ms.max(next.until_ms);
        }
        touches
    });
    all
}

// === impl Week ===

impl Week {
    fn bounds(number: i64) -> Stretch {
        let from_ms = number.saturating_mul(WEEK_MS);
        Stretch { from_ms, until_ms: from_ms.saturating_add(WEEK_MS) }
    }
}

// === impl Moment ===

impl Moment {
    /// What `at_ms` is where the windows of `bounds` are `open`.
    fn among(open: &[Stretch], bounds: Stretch, at_ms: i64) -> Self {
        let behind = open.partition_point(|window| window.from_ms <= at_ms);
        let before = behind.checked_sub(1).map(|at| open[at]);
        if let Some(window) = before.filter(|window| window.holds(at_ms)) {
            return Self { is_open: true, known: window.within(bounds) };
        }
        let from_ms = before.map_or(i64::MIN, |before| before.until_ms);
        let until_ms = open.get(behind).map_or(i64::MAX, |next| next.from_ms);
        Self { is_open: false, known: Stretch { from_ms, until_ms }.within(bounds) }
    }
}

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
