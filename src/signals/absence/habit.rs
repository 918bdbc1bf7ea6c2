//! What is usual for one series: how far its samples are apart, and how long it stays away.
//!
//! All of it follows from the samples of the series, in their order. A sample that comes as usual costs a store and a few
//! comparisons; what is learned of several is put together once in eight.

use std::sync::Arc;

use super::event::{Missing, Told};
use super::{Place, Wishes};

/// Intervals, and times away, that are remembered.
const REMEMBERED: usize = 8;
/// Intervals from which the step of a series is known.
const LEAST: u32 = 4;
/// A series that was away for as long as it often is may stay for half of it more.
const MARGIN: (i64, i64) = (3, 2);
/// Times away count for four weeks.
const WEEK_MS: i64 = 7 * 86_400_000;
const REMEMBERED_MS: i64 = 4 * WEEK_MS;
/// Who was away once has no habit of it.
const LEAST_GAPS: f64 = 2.0;

/// The habit of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Habit {
    place: Option<Place>,
    since_ms: Option<i64>,
    last_ms: i64,
    /// For how long it was there, without the times away.
    lived_ms: i64,
    ended: bool,
    noted: u32,
    intervals: [u32; REMEMBERED],
    gaps: [Gap; REMEMBERED],
    /// The usual interval; 0 while it is not known.
    step_ms: i64,
    /// Missed steps from which it is away for longer than usual.
    limit: u32,
    usual_gap_ms: i64,
    /// When the book looks after it, at the latest.
    due_ms: i64,
    /// Whether it is the `up` of a target, and what it said last.
    is_up: bool,
    up: Option<bool>,
}

/// A time away: when it ended and how long it was, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gap {
    ended_s: u32,
    length_s: u32,
}

/// Something that the book has to know.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Where the series is watched.
    pub place: Place,
    pub(super) at_ms: i64,
    pub(super) told: Told,
}

/// What the book sees of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// When it will be absent if nothing more comes of it.
    pub(super) decided_ms: i64,
    pub(super) missing: Missing,
}

// === impl Habit ===

impl Default for Habit {
    /// Of a series that has shown nothing yet.
    fn default() -> Self {
        Self {
            place: None,
            since_ms: None,
            last_ms: i64::MIN,
            lived_ms: 0,
            ended: true,
            noted: 0,
            intervals: [0; REMEMBERED],
            gaps: [Gap::default(); REMEMBERED],
            step_ms: 0,
            limit: 0,
            usual_gap_ms: 0,
            due_ms: i64::MAX,
            is_up: false,
            up: None,
        }
    }
}

impl Habit {
    /// Where the series is watched.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// It is watched at `place` from now on, by `wishes`.
    pub(super) fn settle(&mut self, place: Place, is_up: bool, wishes: Option<&Arc<Wishes>>) {
        (self.place, self.is_up, self.due_ms) = (Some(place), is_up, i64::MAX);
        if let Some(wishes) = wishes {
            self.be_patient(wishes);
        }
    }

    /// The same, to be watched elsewhere.
    pub fn moved(mut habit: Box<Self>) -> Box<Self> {
        habit.place = None;
        habit
    }

    /// Whether it is there: it has shown a sample and has not ended.
    pub fn is_there(&self) -> bool {
        self.since_ms.is_some() && !self.ended
    }

    /// The usual time between two samples, in milliseconds; 0 while it is not known.
    pub fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// For how long it was there, in milliseconds.
    pub fn lived_ms(&self) -> i64 {
        self.lived_ms
    }

    /// For how long it is often away, in milliseconds.
    pub fn usual_gap_ms(&self) -> i64 {
        self.usual_gap_ms
    }

    /// Missed steps from which it is absent.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Time of its newest sample.
    pub fn last_ms(&self) -> Option<i64> {
        self.since_ms.map(|_| self.last_ms)
    }

    /// A sample came at `at_ms`. Without `wishes` only whether the series is there counts, and nothing is learned.
    #[inline]
    pub fn note(&mut self, at_ms: i64, wishes: Option<&Wishes>, news: &mut Vec<News>) {
        if at_ms <= self.last_ms && !self.ended {
            return;
        }
        if self.ended || at_ms > self.decided_ms() {
            return self.come_back(at_ms, wishes, news);
        }
        let (interval_ms, was_away) = (at_ms.saturating_sub(self.last_ms), self.is_away_until(at_ms));
        self.last_ms = at_ms;
        let Some(wishes) = wishes else { return };
        self.lived_ms = self.lived_ms.saturating_add(interval_ms);
        if was_away {
            self.remember_gap(at_ms, interval_ms);
        }
        self.intervals[self.noted as usize % REMEMBERED] = u32::try_from(interval_ms).unwrap_or(u32::MAX);
        // Beyond its wrap only the place in the ring matters.
        self.noted = self.noted.checked_add(1).unwrap_or(REMEMBERED as u32);
        if self.noted == LEAST || (self.noted as usize).is_multiple_of(REMEMBERED) {
            self.learn(wishes);
        }
        if self.decided_ms() < self.due_ms {
            self.due_ms = self.decided_ms();
            self.tell(at_ms, Told::Due(self.due_ms), news);
        }
    }

    /// The first and the last step that it has missed, if it has missed any before its next sample, that of `at_ms`.
    #[inline]
    pub fn missed_until(&self, at_ms: i64) -> Option<[i64; 2]> {
        let ends = || [self.last_ms.saturating_add(self.step_ms), at_ms.saturating_sub(self.step_ms)];
        self.is_away_until(at_ms).then(ends)
    }

    #[inline]
    fn is_away_until(&self, at_ms: i64) -> bool {
        let longest_ms = self.step_ms.saturating_add(self.step_ms / 2);
        self.step_ms > 0 && self.since_ms.is_some() && at_ms.saturating_sub(self.last_ms) > longest_ms
    }

    /// Whether it is the `up` of a target.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// A sample of the `up` of a target says whether it could be scraped.
    #[cold]
    pub fn note_up(&mut self, at_ms: i64, up: bool, news: &mut Vec<News>) {
        if self.up.replace(up) != Some(up) {
            self.tell(at_ms, Told::Up(up), news);
        }
    }

    /// It said at `at_ms` that it ends.
    #[cold]
    pub fn end(&mut self, at_ms: i64, news: &mut Vec<News>) {
        if self.is_there() {
            (self.ended, self.up) = (true, None);
            self.tell(at_ms, Told::End, news);
        }
    }

    #[cold]
    fn come_back(&mut self, at_ms: i64, wishes: Option<&Wishes>, news: &mut Vec<News>) {
        let missing = (at_ms > self.decided_ms()).then(|| self.missing());
        if wishes.is_some() && self.is_away_until(at_ms) {
            self.remember_gap(at_ms, at_ms.saturating_sub(self.last_ms));
        }
        self.since_ms = self.since_ms.or(Some(at_ms));
        (self.last_ms, self.ended) = (self.last_ms.max(at_ms), false);
        if let Some(wishes) = wishes {
            self.learn(wishes);
        }
        self.due_ms = self.decided_ms();
        let due_ms = Some(self.due_ms).filter(|due_ms| *due_ms < i64::MAX);
        self.tell(at_ms, Told::Back { missing, due_ms }, news);
    }

    fn tell(&self, at_ms: i64, told: Told, news: &mut Vec<News>) {
        news.extend(self.place.map(|place| News { place, at_ms, told }));
    }

    /// What the book sees of it, which looks after it again when that is decided.
    pub fn glance(&mut self) -> Glance {
        self.due_ms = self.decided_ms();
        Glance { decided_ms: self.due_ms, missing: self.missing() }
    }

    fn missing(&self) -> Missing {
        Missing { from_ms: self.last_ms, step_ms: self.step_ms, limit: self.limit, lived_ms: self.lived_ms }
    }

    /// When it is certain that too many steps were missed, if nothing more comes: half a step behind the last of them.
    #[inline]
    fn decided_ms(&self) -> i64 {
        if self.step_ms == 0 || self.limit == 0 {
            i64::MAX
        } else {
            self.missing().decided_ms(self.limit.into())
        }
    }

    /// Puts together what is usual.
    fn learn(&mut self, wishes: &Wishes) {
        let known = (self.noted as usize).min(REMEMBERED);
        if known < LEAST as usize {
            return;
        }
        let mut sorted = self.intervals;
        let sorted = &mut sorted[..known];
        sorted.sort_unstable();
        self.step_ms = i64::from(sorted[(known - 1) / 2]).max(1);
        self.usual_gap_ms = self.usual_gap(wishes.a_week);
        self.be_patient(wishes);
    }

    /// Once its step is known, it is absent when it has missed as many as are asked for, and is away for longer than usual.
    fn be_patient(&mut self, wishes: &Wishes) {
        if self.step_ms > 0 {
            let (more, of) = MARGIN;
            let steps = self.usual_gap_ms.saturating_mul(more) / self.step_ms.saturating_mul(of);
            self.limit = u32::try_from(steps).unwrap_or(u32::MAX).max(wishes.after);
        }
    }

    /// The longest time for which it is away at least as often as `a_week` allows.
    fn usual_gap(&self, a_week: f64) -> i64 {
        let seen_ms = self.last_ms.saturating_sub(self.since_ms.unwrap_or(self.last_ms));
        let weeks = seen_ms.clamp(0, REMEMBERED_MS) as f64 / WEEK_MS as f64;
        let often = (a_week * weeks).ceil().clamp(LEAST_GAPS, REMEMBERED as f64) as usize;
        let mut lengths = self.gaps.map(|gap| if self.counts(&gap) { gap.length_s } else { 0 });
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        i64::from(lengths[often - 1]) * 1_000
    }

    fn counts(&self, gap: &Gap) -> bool {
        i64::from(gap.ended_s).saturating_mul(1_000) > self.last_ms.saturating_sub(REMEMBERED_MS)
    }

    /// Remembers a time away, instead of one that does not count any more, or else of the
    /// shortest: the oldest of these.
    fn remember_gap(&mut self, ended_ms: i64, length_ms: i64) {
        let seconds = |ms: i64| u32::try_from((ms.max(0) as u64).div_ceil(1_000)).unwrap_or(u32::MAX);
        let gap = Gap { ended_s: seconds(ended_ms), length_s: seconds(length_ms) };
        let rank = |other: &Gap| if self.counts(other) { other.length_s } else { 0 };
        let least = (0..REMEMBERED).min_by_key(|at| (rank(&self.gaps[*at]), self.gaps[*at].ended_s));
        let least = least.unwrap_or_default();
        if rank(&self.gaps[least]) <= gap.length_s {
            self.gaps[least] = gap;
        }
    }
}

// === impl Habit: beyond the life of a process ===

impl Habit {
    /// Appends what is to be remembered to `to`.
    pub fn keep(&self, to: &mut Vec<u8>) {
        to.push(u8::from(self.since_ms.is_some()) | u8::from(self.ended) << 1);
        to.push(self.up.map_or(2, u8::from));
        let since_ms = self.since_ms.unwrap_or_default();
        for number in [since_ms, self.last_ms, self.lived_ms, self.step_ms, self.usual_gap_ms] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(&self.noted.to_le_bytes());
        let gaps = self.gaps.iter().flat_map(|gap| [gap.ended_s, gap.length_s]);
        self.intervals.into_iter().chain(gaps).for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
    }

    /// Takes what was kept from the front of `from`; nothing where that is none. It is to be settled.
    pub fn recall(from: &mut &[u8]) -> Option<Self> {
        let [marks, up] = take(from)?;
        let mut long = || take(from).map(i64::from_le_bytes);
        let (since_ms, last_ms, lived_ms) = (long()?, long()?, long()?);
        let (step_ms, usual_gap_ms) = (long()?.max(0), long()?.max(0));
        let mut short = || take(from).map(u32::from_le_bytes);
        let mut habit = Self {
            since_ms: (marks & 1 != 0).then_some(since_ms),
            last_ms,
            lived_ms,
            step_ms,
            usual_gap_ms,
            ended: marks & 2 != 0,
            noted: short()?,
            up: [Some(false), Some(true)].get(usize::from(up)).copied().flatten(),
            ..Self::default()
        };
        for interval in &mut habit.intervals {
            *interval = short()?;
        }
        for gap in &mut habit.gaps {
            *gap = Gap { ended_s: short()?, length_s: short()? };
        }
        Some(habit)
    }

    /// What the `up` of a target said last.
    pub(super) fn up(&self) -> Option<bool> {
        self.up
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*bytes)
}

#[cfg(test)]
#[path = "habit_tests.rs"]
mod tests;
