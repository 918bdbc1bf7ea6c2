//! Stream time: which samples of which parts belong to one step, and when a step is closed.
//!
//! A step closes when every part that is expected has come, has gone on to a later step, or has ended; or when the
//! group has gone on by more than the watermark. What counts in a step must not depend on the order in which samples
//! of different parts arrive. Therefore all that is kept of a part follows from its own samples, which come in order;
//! and a part is expected, and counts, once it has been there for longer than the watermark: as long as no sample is
//! later than that, whoever has been there for so long has been met when the first sample of a step comes. Whoever is
//! away for longer than twice the watermark is new when it comes back, and is waited for until that is certain. Where
//! the parts are known beforehand (the sum and the count of a histogram) nothing of this is needed.
//!
//! No step is closed before half of the parts that are there have come to it, nor by the watermark before half of them have
//! gone on by that: a part whose clock is ahead moves nobody else. To close a step later than it might be changes nothing of
//! what is in it.
//!
//! Watermark and lateness are those of Akidau et al., The Dataflow Model, VLDB 2015.

use std::collections::VecDeque;

use crate::prefetch::prefetch;

/// Steps that may be open at a time. Beyond it the oldest is closed, as if the watermark had passed; or the newest is
/// given up, where it is further ahead than that and few are there.
const MAX_OPEN: usize = 128;
/// Watermarks without a sample after which a part is new when it comes back.
const AWAY_WATERMARKS: i64 = 2;

/// It has not happened. Two parts share a line of memory, which they would not with optional times.
const NEVER: i64 = i64::MIN;

/// The part is waited for.
const EXPECTED: f64 = f64::NAN;
/// Nobody waits for the part: it is new, silent, in a later step already, or has ended.
const OTHER: f64 = -f64::NAN;

/// How steps follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Milliseconds of one step. 0: each timestamp is a step of its own.
    pub(super) step_ms: i64,
    /// How far the group goes on before it closes a step without those that have not come, in milliseconds.
    pub(super) watermark_ms: i64,
    /// How many parts there are, where that is known beforehand.
    pub(super) parts: Option<usize>,
}

/// The steps of one group of parts.
#[derive(Debug)]
pub(super) struct Steps {
    pace: Pace,
    parts: Vec<Part>,
    fingerprints: Vec<u64>,
    /// Indexes of the parts by their fingerprints: whatever is added up is added up in one order.
    order: Vec<u32>,
    /// Indexes of parts that have left, each with the last step that may hold a value of it.
    free: Vec<(i64, u32)>,
    /// Steps in order.
    open: VecDeque<Step>,
    spare: Vec<Step>,
    /// The newest step.
    newest_ms: i64,
    closed_ms: i64,
    /// Parts that have not left, and those of them that are there.
    members: usize,
    present: usize,
    /// Those of them that have come to the oldest open step or a later one, and that have gone on by the watermark.
    reached: usize,
    passed: usize,
}

/// A step that is closed, as who makes something of it sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed<'a> {
    /// Time at which it begins.
    pub(super) at_ms: i64,
    /// Timestamp of the newest sample that counts.
    pub(super) timestamp_ms: i64,
    parts: &'a [Part],
    order: &'a [u32],
    values: &'a [f64],
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It has its place in a step.
    Taken,
    /// Its part has shown a sample of the same step before, or is too new to count.
    Passed,
    /// Its step was closed without it, or one so far ahead was given up.
    Late,
}

#[derive(Debug)]
struct Part {
    /// Step in which it came, or came back; [`NEVER`] before.
    since_ms: i64,
    /// Step of its newest sample.
    newest_ms: i64,
    /// When it said that it ends; [`NEVER`] while it has not.
    ended_ms: i64,
    role: u16,
    left: bool,
}

/// How a part stands to the oldest open step.
#[derive(Clone, Copy, Debug)]
struct Stands {
    present: bool,
    /// It has come to that step or a later one.
    reached: bool,
    /// It has gone on by more than the watermark.
    passed: bool,
}

#[derive(Debug, Default)]
struct Step {
    at_ms: i64,
    newest_ms: i64,
    /// Parts that are expected since it is the oldest, and those of them that are still waited for.
    expected: usize,
    missing: usize,
    /// Parts that have come.
    came: usize,
    /// One for each part: its value, or one of the marks above.
    values: Vec<f64>,
}

// === impl Pace ===

impl Pace {
    /// The step that a sample at `timestamp_ms` belongs to: the time at which it begins.
    #[inline]
    pub(super) fn step_of(&self, timestamp_ms: i64) -> i64 {
        match self.step_ms {
            0 => timestamp_ms,
            step_ms => timestamp_ms.div_euclid(step_ms) * step_ms,
        }
    }

    /// Whether a part whose newest step is `newest_ms` was away before the one at `at_ms`.
    fn is_away(&self, newest_ms: i64, at_ms: i64) -> bool {
        at_ms.saturating_sub(newest_ms) > AWAY_WATERMARKS.saturating_mul(self.watermark_ms)
    }
}

// === impl Steps ===

impl Steps {
    /// No part and no step yet.
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            parts: Vec::new(),
            fingerprints: Vec::new(),
            order: Vec::new(),
            free: Vec::new(),
            open: VecDeque::new(),
            spare: Vec::new(),
            newest_ms: i64::MIN,
            closed_ms: i64::MIN,
            members: 0,
            present: 0,
            reached: 0,
            passed: 0,
        }
    }

    /// Takes in a part that plays `role`; of equal roles, parts are ordered by `fingerprint`.
    pub(super) fn join(&mut self, fingerprint: u64, role: u16) -> u32 {
        let part = Part { since_ms: NEVER, newest_ms: NEVER, ended_ms: NEVER, role, left: false };
        let free = self.free.iter().position(|(until_ms, _)| *until_ms <= self.closed_ms);
        let index = match free.map(|at| self.free.swap_remove(at)) {
            Some((_, index)) => {
                self.order.retain(|other| *other != index);
                self.parts[index as usize] = part;
                self.fingerprints[index as usize] = fingerprint;
                index
            }
            None => {
                self.parts.push(part);
                self.fingerprints.push(fingerprint);
                self.parts.len() as u32 - 1
            }
        };
        self.members += 1;
        let rank = |index: u32| (self.fingerprints[index as usize], index);
        let at = self.order.partition_point(|other| rank(*other) < rank(index));
        self.order.insert(at, index);
        index
    }

    /// Lets a part go; its place is given away once the steps that know it are closed.
    pub(super) fn leave(&mut self, part: u32, close: &mut dyn FnMut(&Closed<'_>)) {
        self.change(part, |who| who.left = true);
        self.members -= 1;
        self.settle(part);
        self.free.push((self.open.back().map_or(i64::MIN, |step| step.at_ms), part));
        self.close_due(close);
    }

    /// Parts that have not left.
    pub(super) fn members(&self) -> usize {
        self.members
    }

    /// Those of them that have shown a sample and have not ended.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// When the last of the parts ended, if none that counts is left by then. Who is too new to count says nothing: it may as
    /// well come later.
    pub(super) fn ended_ms(&self) -> Option<i64> {
        let ended_ms = self.parts.iter().map(|part| part.ended_ms).max().filter(|ms| *ms != NEVER)?;
        let goes_on = |part: &Part| part.is_present() && part.counts(ended_ms, &self.pace);
        (!self.parts.iter().any(goes_on)).then_some(ended_ms)
    }

    /// Whether no step before `at_ms` is open.
    pub(super) fn are_closed_before(&self, at_ms: i64) -> bool {
        self.open.front().is_none_or(|step| step.at_ms >= at_ms)
    }

    /// Bytes that lie apart.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.parts.capacity() * (size_of::<Part>() + size_of::<u64>())
            + self.order.capacity() * size_of::<u32>();
        let steps = self.open.iter().chain(&self.spare).map(|step| step.values.capacity() * size_of::<f64>());
        parts + steps.sum::<usize>() + (self.open.capacity() + self.spare.capacity()) * size_of::<Step>()
    }

    /// Puts `value` (finite; NaN of a part that is there but says nothing) of a part at `timestamp_ms` into its step. The steps that are closed by it are handed to
    /// `close`, in order. The samples of one part come in rising order.
    #[inline]
    pub(super) fn put(
        &mut self,
        part: u32,
        timestamp_ms: i64,
        value: f64,
        close: &mut dyn FnMut(&Closed<'_>),
    ) -> Put {
        let at_ms = self.step_of(timestamp_ms);
        if at_ms == self.parts[part as usize].newest_ms {
            return Put::Passed;
        }
        let pace = self.pace;
        self.change(part, |who| who.come(at_ms, &pace));
        let counts = self.parts[part as usize].counts(at_ms, &pace);
        if at_ms <= self.closed_ms {
            return if counts { Put::Late } else { Put::Passed };
        }
        let index = self.step(at_ms);
        self.settle_before(part, at_ms);
        let step = &mut self.open[index];
        if step.values.len() <= part as usize {
            step.values.resize(part as usize + 1, OTHER);
        }
        let place = &mut step.values[part as usize];
        if is_expected(*place) {
            step.missing -= 1;
        }
        *place = OTHER;
        if counts {
            // Who does not count must not change anything: it may as well come once the step is closed.
            *place = if value.is_nan() { OTHER } else { value };
            step.came += 1;
            step.newest_ms = step.newest_ms.max(timestamp_ms);
        }
        self.newest_ms = self.newest_ms.max(at_ms);
        let given_up = self.close_due(close);
        match (counts, given_up) {
            (false, _) => Put::Passed,
            (true, false) => Put::Taken,
            (true, true) => Put::Late,
        }
    }

    /// Has what is known of `part`, and the newest step, fetched from memory.
    #[inline]
    pub(super) fn prefetch(&self, part: u32) {
        self.parts.get(part as usize).into_iter().for_each(prefetch);
        self.open.back().into_iter().for_each(prefetch);
    }

    /// And, once these are there, its place in the step.
    #[inline]
    pub(super) fn prefetch_place(&self, part: u32) {
        self.open.back().and_then(|step| step.values.get(part as usize)).into_iter().for_each(prefetch);
    }

    /// The part says that it ends at `timestamp_ms`.
    pub(super) fn end(&mut self, part: u32, timestamp_ms: i64, close: &mut dyn FnMut(&Closed<'_>)) {
        self.change(part, |who| who.ended_ms = timestamp_ms);
        self.settle(part);
        self.close_due(close);
    }

    /// Changes what is known of a part.
    #[inline]
    fn change(&mut self, part: u32, change: impl FnOnce(&mut Part)) {
        let front_ms = self.open.front().map(|front| front.at_ms);
        let who = &mut self.parts[part as usize];
        let before = who.stands(front_ms, &self.pace);
        change(who);
        let after = who.stands(front_ms, &self.pace);
        let count = |all: &mut usize, of: fn(&Stands) -> bool| {
            *all = *all + usize::from(of(&after)) - usize::from(of(&before));
        };
        count(&mut self.present, |stands| stands.present);
        count(&mut self.reached, |stands| stands.reached);
        count(&mut self.passed, |stands| stands.passed);
    }

    /// Nobody waits for the part any more.
    fn settle(&mut self, part: u32) {
        self.settle_before(part, i64::MAX);
    }

    /// The oldest step, if it is before the one at `at_ms`, does not wait for the part any more.
    #[inline]
    fn settle_before(&mut self, part: u32, at_ms: i64) {
        if let Some(front) = self.open.front_mut().filter(|front| front.at_ms < at_ms)
            && let Some(place) = front.values.get_mut(part as usize)
            && is_expected(*place)
        {
            *place = OTHER;
            front.missing -= 1;
        }
    }

    /// Another step is the oldest now: whom it waits for is decided by what is known by now.
    fn look_ahead(&mut self) {
        (self.reached, self.passed) = (0, 0);
        let Some(front) = self.open.front_mut() else { return };
        front.values.resize(self.parts.len(), OTHER);
        (front.expected, front.missing) = (front.came, 0);
        for (place, part) in front.values.iter_mut().zip(&self.parts) {
            let stands = part.stands(Some(front.at_ms), &self.pace);
            self.reached += usize::from(stands.reached);
            self.passed += usize::from(stands.passed);
            if place.is_nan() {
                let waits = part.is_expected(front.at_ms, &self.pace);
                *place = if waits { EXPECTED } else { OTHER };
                front.missing += usize::from(waits);
            }
        }
        front.expected += front.missing;
    }

    /// The step that a sample at `timestamp_ms` belongs to: nearly always the newest, which spares a division.
    #[inline]
    fn step_of(&self, timestamp_ms: i64) -> i64 {
        let since_ms = timestamp_ms.wrapping_sub(self.newest_ms);
        match (0..self.pace.step_ms).contains(&since_ms) {
            true => self.newest_ms,
            false => self.pace.step_of(timestamp_ms),
        }
    }

    /// Index of the step at `at_ms`, which is opened if need be.
    #[inline]
    fn step(&mut self, at_ms: i64) -> usize {
        match self.open.back() {
            Some(back) if back.at_ms == at_ms => return self.open.len() - 1,
            _ => {}
        }
        let index = self.open.partition_point(|step| step.at_ms < at_ms);
        if self.open.get(index).is_none_or(|step| step.at_ms != at_ms) {
            let step = self.opened(at_ms);
            self.open.insert(index, step);
            if index == 0 {
                self.look_ahead();
            }
        }
        index
    }

    fn opened(&mut self, at_ms: i64) -> Step {
        let mut step = self.spare.pop().unwrap_or_default();
        (step.at_ms, step.newest_ms) = (at_ms, i64::MIN);
        step.values.clear();
        step.values.resize(self.parts.len(), OTHER);
        (step.expected, step.missing, step.came) = (0, 0, 0);
        step
    }

    /// Closes the steps at the front that are complete, or that the watermark has passed. Whether there were too many and
    /// the newest was given up.
    #[inline]
    fn close_due(&mut self, close: &mut dyn FnMut(&Closed<'_>)) -> bool {
        while let Some(front) = self.open.front() {
            let are_half = |parts: usize| 2 * parts >= self.present;
            let is_behind = |ms: i64| ms.saturating_sub(front.at_ms) > self.pace.watermark_ms;
            let complete = front.is_complete(&self.pace) && are_half(self.reached);
            let passed = is_behind(self.newest_ms) && are_half(self.passed);
            if !complete && !passed {
                if self.open.len() <= MAX_OPEN {
                    return false;
                }
                if self.open.back().is_some_and(|back| is_behind(back.at_ms)) {
                    self.spare.clear();
                    self.spare.extend(self.open.pop_back());
                    return true;
                }
            }
            let Some(step) = self.open.pop_front() else { return false };
            self.closed_ms = step.at_ms;
            self.look_ahead();
            close(&Closed {
                at_ms: step.at_ms,
                timestamp_ms: step.newest_ms,
                parts: &self.parts,
                order: &self.order,
                values: &step.values,
            });
            if self.spare.is_empty() {
                self.spare.push(step);
            }
        }
        false
    }
}

// === impl Step ===

impl Step {
    #[inline]
    fn is_complete(&self, pace: &Pace) -> bool {
        match pace.parts {
            Some(parts) => self.came == parts || (self.missing == 0 && self.expected == parts),
            // Where nobody is expected, nobody counts who may come.
            None => self.missing == 0,
        }
    }
}

// === impl Part ===

impl Part {
    /// Whether it has shown a sample and has not ended.
    fn is_present(&self) -> bool {
        !self.left && self.ended_ms == NEVER && self.since_ms != NEVER
    }

    /// How it stands to the oldest step.
    #[inline]
    fn stands(&self, front_ms: Option<i64>, pace: &Pace) -> Stands {
        let present = self.is_present();
        let Some(front_ms) = front_ms.filter(|_| present) else {
            return Stands { present, reached: false, passed: false };
        };
        let passed = self.newest_ms.saturating_sub(front_ms) > pace.watermark_ms;
        Stands { present, reached: self.newest_ms >= front_ms, passed }
    }

    /// A sample of it belongs to the step at `at_ms`.
    #[inline]
    fn come(&mut self, at_ms: i64, pace: &Pace) {
        let away = self.ended_ms != NEVER || pace.is_away(self.newest_ms, at_ms);
        if away || self.since_ms == NEVER {
            (self.since_ms, self.ended_ms) = (at_ms, NEVER);
        }
        self.newest_ms = at_ms;
    }

    /// Whether a sample of it counts in the step at `at_ms`.
    #[inline]
    fn counts(&self, at_ms: i64, pace: &Pace) -> bool {
        let known_ms = at_ms.saturating_sub(self.since_ms);
        pace.parts.is_some() || (self.since_ms != NEVER && known_ms > pace.watermark_ms)
    }

    fn is_expected(&self, at_ms: i64, pace: &Pace) -> bool {
        // A sample that is under way may show yet that it was not away.
        let away = pace.is_away(self.newest_ms, at_ms.saturating_sub(pace.watermark_ms));
        let comes = self.newest_ms < at_ms && !away;
        let goes_on = !self.left && self.ended_ms == NEVER;
        comes && goes_on && self.counts(at_ms, pace)
    }
}

// === impl Closed ===

impl<'a> Closed<'a> {
    /// The values that count, each with the role and the index of its part, in the order of fingerprints.
    pub(super) fn values(&self) -> impl Iterator<Item = (u16, u32, f64)> + 'a {
        let (parts, values) = (self.parts, self.values);
        self.order.iter().filter_map(move |&index| {
            let value = *values.get(index as usize)?;
            (!value.is_nan()).then(|| (parts[index as usize].role, index, value))
        })
    }
}

#[inline]
fn is_expected(place: f64) -> bool {
    place.to_bits() == EXPECTED.to_bits()
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
