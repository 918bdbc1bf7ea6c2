//! What the book of a scope looks at in the order of the stream.

use std::cmp::Ordering;

/// Milliseconds of a hundred years: nobody is missed for more steps.
const MOST_STEPS: i64 = 100 * 366 * 86_400_000;

/// A series that shows nothing since `from_ms`, as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) from_ms: i64,
    pub(super) step_ms: i64,
    /// Missed steps from which it is absent.
    pub(super) limit: u32,
    /// For how long it had been there.
    pub(super) lived_ms: i64,
}

/// What became known of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is to be looked after at this time.
    Due(i64),
    /// It came, or came back.
    Back {
        /// It was away for so long that it was absent, if nobody has seen it yet.
        missing: Option<Missing>,
        /// When it is to be looked after.
        due_ms: Option<i64>,
    },
    /// It said that it ends.
    End,
    /// It is the `up` of a target and changed to this.
    Up(bool),
}

/// What is to be done at a time of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Todo {
    /// The series came, or came back.
    Back,
    /// It ended.
    End,
    /// It is an `up` and changed to this.
    Up(bool),
    /// It was away from one sample to the next: whether it was absent is to be decided.
    Decide(Missing),
    /// The same, put off since its scope was silent.
    Again(Missing),
    /// It may have been away for too long.
    Look,
    /// It is still away: its next missed step.
    Tick,
}

/// Something to be done for one series. Events of equal times come in the order of fingerprints, and those of one series
/// in the order in which they became known: that of its own samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) at_ms: i64,
    pub(super) fingerprint: u64,
    pub(super) serial: u32,
    pub(super) watch: u32,
    pub(super) todo: Todo,
}

// === impl Missing ===

impl Missing {
    /// When it is certain that the `step`-th step was missed: half a step behind it.
    pub(super) fn decided_ms(&self, step: i64) -> i64 {
        self.stamp_ms(step).saturating_add(self.step_ms / 2)
    }

    /// The time of the `step`-th missed step.
    pub(super) fn stamp_ms(&self, step: i64) -> i64 {
        self.from_ms.saturating_add(self.step_ms.saturating_mul(step))
    }

    /// How many steps there were up to `at_ms`; no more than can be counted on.
    pub(super) fn steps_until(&self, at_ms: i64) -> i64 {
        at_ms.saturating_sub(self.from_ms).div_euclid(self.step_ms.max(1)).clamp(-MOST_STEPS, MOST_STEPS)
    }

    /// Nobody comes as seldom as this who is there.
    pub(super) fn silence_ms(&self) -> i64 {
        self.step_ms.saturating_add(self.step_ms / 2).saturating_add(1_000)
    }
}

// === impl Event ===

impl Event {
    fn rank(&self) -> (i64, u8, u64, u32, u32) {
        // What was sent comes before what is concluded of it.
        let concluded = match self.todo {
            Todo::Back | Todo::End | Todo::Up(_) => 0,
            Todo::Decide(_) | Todo::Again(_) => 1,
            Todo::Look => 2,
            Todo::Tick => 3,
        };
        (self.at_ms, concluded, self.fingerprint, self.serial, self.watch)
    }
}

impl Ord for Event {
    /// The earliest is the greatest, as a heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank().cmp(&self.rank())
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}
