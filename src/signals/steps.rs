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
//! Watermark and lateness are those of Akidau et al., The Dataflow Model, VLDB 2015.

use std::collections::VecDeque;

/// Steps that may be open at a time; beyond it the oldest is closed, as if the watermark had passed.
const MAX_OPEN: usize = 128;
/// Watermarks without a sample after which a part is new when it comes back.
const AWAY_WATERMARKS: i64 = 2;

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
    /// Indexes of the parts by their fingerprints: whatever is added up is added up in one order.
    order: Vec<u32>,
    /// Indexes of parts that have left, each with the last step that may hold a value of it.
    free: Vec<(i64, u32)>,
    /// Steps in order.
    open: VecDeque<Step>,
    spare: Vec<Step>,
    /// The newest step, and the newest sample in it.
    newest_ms: i64,
    newest_sample_ms: i64,
    closed_ms: i64,
    /// Parts that have not left, and those of them that are there.
    members: usize,
    present: usize,
}

/// A step that is closed, as who makes something of it sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed<'a> {
    /// Timestamp of its newest sample.
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
    /// Its step was closed without it.
    Late,
}

#[derive(Debug)]
struct Part {
    fingerprint: u64,
    role: u16,
    left: bool,
    /// Step in which it came, or came back.
    since_ms: Option<i64>,
    /// Step of its newest sample.
    newest_ms: i64,
    /// When it said that it ends.
    ended_ms: Option<i64>,
}

#[derive(Debug, Default)]
struct Step {
    at_ms: i64,
    newest_ms: i64,
    /// Parts that were expected when it was opened, and those of them that are still waited for.
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
            order: Vec::new(),
            free: Vec::new(),
            open: VecDeque::new(),
            spare: Vec::new(),
            newest_ms: i64::MIN,
            newest_sample_ms: i64::MIN,
            closed_ms: i64::MIN,
            members: 0,
            present: 0,
        }
    }

    /// Takes in a part that plays `role`; of equal roles, parts are ordered by `fingerprint`.
    pub(super) fn join(&mut self, fingerprint: u64, role: u16) -> u32 {
        let part =
            Part { fingerprint, role, left: false, since_ms: None, newest_ms: i64::MIN, ended_ms: None };
        let free = self.free.iter().position(|(until_ms, _)| *until_ms <= self.closed_ms);
        let index = match free.map(|at| self.free.swap_remove(at)) {
            Some((_, index)) => {
                self.order.retain(|other| *other != index);
                self.parts[index as usize] = part;
                index
            }
            None => {
                self.parts.push(part);
                self.parts.len() as u32 - 1
            }
        };
        self.members += 1;
        let rank = |index: u32| (self.parts[index as usize].fingerprint, index);
        let at = self.order.partition_point(|other| rank(*other) < rank(index));
        self.order.insert(at, index);
        index
    }

    /// Lets a part go; its place is given away once the steps that know it are closed.
    pub(super) fn leave(&mut self, part: u32, close: &mut dyn FnMut(&Closed<'_>)) {
        let who = &mut self.parts[part as usize];
        self.present -= usize::from(who.is_present());
        self.members -= 1;
        who.left = true;
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

    /// Whether no step before `at_ms` is open.
    pub(super) fn are_closed_before(&self, at_ms: i64) -> bool {
        self.open.front().is_none_or(|step| step.at_ms >= at_ms)
    }

    /// Time of the newest sample, or end, of any part.
    pub(super) fn newest_ms(&self) -> i64 {
        let ended = self.parts.iter().filter_map(|part| part.ended_ms).max();
        ended.map_or(self.newest_sample_ms, |ended_ms| ended_ms.max(self.newest_sample_ms))
    }

    /// Bytes that lie apart.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.parts.capacity() * size_of::<Part>() + self.order.capacity() * size_of::<u32>();
        let steps = self.open.iter().chain(&self.spare).map(|step| step.values.capacity() * size_of::<f64>());
        parts + steps.sum::<usize>() + (self.open.capacity() + self.spare.capacity()) * size_of::<Step>()
    }

    /// Puts `value` (finite) of a part at `timestamp_ms` into its step. The steps that are closed by it are handed to
    /// `close`, in order. The samples of one part come in rising order.
    #[inline]
    pub(super) fn put(
        &mut self,
        part: u32,
        timestamp_ms: i64,
        value: f64,
        close: &mut dyn FnMut(&Closed<'_>),
    ) -> Put {
        let at_ms = self.pace.step_of(timestamp_ms);
        let who = &mut self.parts[part as usize];
        if at_ms == who.newest_ms {
            return Put::Passed;
        }
        self.present += usize::from(!who.is_present());
        who.come(at_ms, &self.pace);
        let counts = who.counts(at_ms, &self.pace);
        if at_ms <= self.closed_ms {
            return if counts { Put::Late } else { Put::Passed };
        }
        let index = self.step(at_ms);
        self.skip(part, index);
        let step = &mut self.open[index];
        if step.values.len() <= part as usize {
            step.values.resize(part as usize + 1, OTHER);
        }
        let place = &mut step.values[part as usize];
        if is_expected(*place) {
            step.missing -= 1;
        }
        *place = if counts { value } else { OTHER };
        step.came += usize::from(counts);
        step.newest_ms = step.newest_ms.max(timestamp_ms);
        self.newest_ms = self.newest_ms.max(at_ms);
        self.newest_sample_ms = self.newest_sample_ms.max(timestamp_ms);
        self.close_due(close);
        if counts { Put::Taken } else { Put::Passed }
    }

    /// The part says that it ends at `timestamp_ms`.
    pub(super) fn end(&mut self, part: u32, timestamp_ms: i64, close: &mut dyn FnMut(&Closed<'_>)) {
        let who = &mut self.parts[part as usize];
        self.present -= usize::from(who.is_present());
        who.ended_ms = Some(timestamp_ms);
        self.settle(part);
        self.close_due(close);
    }

    /// No step waits for the part any more.
    fn settle(&mut self, part: u32) {
        self.skip(part, self.open.len());
    }

    /// No step before the one of index `behind` waits for the part any more.
    #[inline]
    fn skip(&mut self, part: u32, behind: usize) {
        for step in self.open.iter_mut().take(behind) {
            if let Some(place) = step.values.get_mut(part as usize)
                && is_expected(*place)
            {
                *place = OTHER;
                step.missing -= 1;
            }
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
        }
        index
    }

    fn opened(&mut self, at_ms: i64) -> Step {
        let mut step = self.spare.pop().unwrap_or_default();
        (step.at_ms, step.newest_ms) = (at_ms, i64::MIN);
        let mark = |part: &Part| if part.is_expected(at_ms, &self.pace) { EXPECTED } else { OTHER };
        step.values.clear();
        step.values.extend(self.parts.iter().map(mark));
        step.expected = step.values.iter().filter(|mark| is_expected(**mark)).count();
        (step.missing, step.came) = (step.expected, 0);
        step
    }

    /// Closes the steps at the front that are complete, or that the watermark has passed.
    #[inline]
    fn close_due(&mut self, close: &mut dyn FnMut(&Closed<'_>)) {
        while let Some(front) = self.open.front() {
            let complete = front.is_complete(&self.pace);
            let passed = self.newest_ms.saturating_sub(front.at_ms) > self.pace.watermark_ms;
            if !complete && !passed && self.open.len() <= MAX_OPEN {
                return;
            }
            let Some(step) = self.open.pop_front() else { return };
            self.closed_ms = step.at_ms;
            close(&Closed {
                timestamp_ms: step.newest_ms,
                parts: &self.parts,
                order: &self.order,
                values: &step.values,
            });
            if self.spare.is_empty() {
                self.spare.push(step);
            }
        }
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
        !self.left && self.ended_ms.is_none() && self.since_ms.is_some()
    }

    /// A sample of it belongs to the step at `at_ms`.
    #[inline]
    fn come(&mut self, at_ms: i64, pace: &Pace) {
        let away = self.ended_ms.is_some() || pace.is_away(self.newest_ms, at_ms);
        if away || self.since_ms.is_none() {
            (self.since_ms, self.ended_ms) = (Some(at_ms), None);
        }
        self.newest_ms = at_ms;
    }

    /// Whether a sample of it counts in the step at `at_ms`.
    #[inline]
    fn counts(&self, at_ms: i64, pace: &Pace) -> bool {
        let known_ms = self.since_ms.map_or(0, |since_ms| at_ms.saturating_sub(since_ms));
        pace.parts.is_some() || known_ms > pace.watermark_ms
    }

    fn is_expected(&self, at_ms: i64, pace: &Pace) -> bool {
        // A sample that is under way may show yet that it was not away.
        let away = pace.is_away(self.newest_ms, at_ms.saturating_sub(pace.watermark_ms));
        let comes = self.newest_ms < at_ms && !away;
        let goes_on = !self.left && self.ended_ms.is_none();
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
