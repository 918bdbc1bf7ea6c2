//! What the book concludes of what it knows, event by event in the order of the stream.

use super::Cause;
use super::book::{Book, Company};
use super::event::{Event, Missing, Todo};
use super::kin::Up;
use super::watch::{Gone, State};

/// Events that wait, for each watched series and besides: beyond it the earliest is handled as if all had come. A series
/// has one, two more for each time it was away within the watermark.
const EVENTS_EACH: usize = 4;
const EVENTS_BESIDES: usize = 1_024;

/// What is to be said of a watched series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Its number in the book.
    pub watch: u32,
    /// When: the time of the missed step, or that of its return.
    pub at_ms: i64,
    /// What.
    pub what: What,
}

/// What is to be said of a watched series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// It has missed one step more.
    Missed {
        /// How it stopped.
        cause: Cause,
        /// 1 where it is away for just longer than is usual for it.
        score: f64,
    },
    /// It is not absent any more.
    Over {
        /// It came back, or another took its place; else it is forgotten.
        returned: bool,
    },
}

// === impl Book ===

impl Book {
    /// The next thing to be said, in the order of the stream; nothing where all up to the watermark is said.
    pub fn next(&mut self, company: &mut dyn Company) -> Option<Verdict> {
        let most = EVENTS_EACH.saturating_mul(self.watches.len()).saturating_add(EVENTS_BESIDES);
        loop {
            let is_due = |event: &Event| event.at_ms <= self.until_ms;
            if !self.events.peek().is_some_and(is_due) && self.events.len() <= most {
                self.beats.go_on(self.until_ms);
                self.handled_ms = self.handled_ms.max(self.until_ms);
                return None;
            }
            let event = self.events.pop()?;
            self.handled_ms = self.handled_ms.max(event.at_ms);
            self.beats.go_on(self.handled_ms);
            let verdict = self.handle(event, company);
            if verdict.is_some() {
                return verdict;
            }
        }
    }

    fn handle(&mut self, event: Event, company: &mut dyn Company) -> Option<Verdict> {
        let (index, at_ms) = (event.watch, event.at_ms);
        // The number may have been another's when the event became known.
        let watch = self.watches.get_mut(index as usize)?.as_mut();
        let watch = watch.filter(|watch| watch.fingerprint == event.fingerprint)?;
        let relation = watch.relation;
        match event.todo {
            Todo::Up(up) => self.relations.say(&relation, Up::Says(up)),
            Todo::End => {
                watch.ended = true;
                if std::mem::take(&mut watch.here) {
                    self.relations.go(&relation, at_ms);
                }
                if relation.is_up {
                    self.relations.say(&relation, Up::Ended);
                }
            }
            Todo::Back => return self.welcome(index, at_ms),
            Todo::Decide(missing) => {
                if let State::Here = watch.state {
                    return self.decide(index, at_ms, missing, company);
                }
            }
            Todo::Again(missing) => {
                if let State::Waiting { at_ms: due_ms, .. } = watch.state
                    && due_ms == at_ms
                {
                    return self.decide(index, at_ms, missing, company);
                }
            }
            Todo::Look if watch.armed_ms == Some(at_ms) => {
                watch.armed_ms = None;
                let glance = company.look(watch.at, &watch.labels)?;
                if glance.decided_ms == i64::MAX {
                    return None; // it tells when it knows itself
                }
                if glance.decided_ms > at_ms {
                    self.arm(index, glance.decided_ms);
                } else if matches!(watch.state, State::Here) {
                    return self.decide(index, at_ms, glance.missing, company);
                }
            }
            Todo::Tick => {
                if let State::Absent(gone) = watch.state
                    && gone.next_ms == at_ms
                {
                    return self.tick(index, at_ms, gone, company);
                }
            }
            Todo::Look => {} // it is looked after at another time
        }
        None
    }

    fn welcome(&mut self, index: u32, at_ms: i64) -> Option<Verdict> {
        let watch = self.watches.get_mut(index as usize)?.as_mut()?;
        let begins = !std::mem::replace(&mut watch.has_begun, true);
        watch.ended = false;
        if !std::mem::replace(&mut watch.here, true) {
            self.relations.come(&watch.relation, at_ms, begins);
        }
        let before = std::mem::replace(&mut watch.state, State::Here);
        let State::Absent(gone) = before else { return None };
        // It may come later than all that was waited for, and one series has one order.
        let at_ms = at_ms.max(gone.missing.stamp_ms(gone.step).saturating_add(1));
        Some(Verdict { watch: index, at_ms, what: What::Over { returned: true } })
    }

    /// Whether the series that shows nothing by `at_ms` is absent.
    fn decide(
        &mut self,
        index: u32,
        at_ms: i64,
        missing: Missing,
        company: &mut dyn Company,
    ) -> Option<Verdict> {
        let silence_ms = missing.silence_ms();
        let watch = self.watches.get_mut(index as usize)?.as_mut()?;
        let deaf_since_ms = match watch.state {
            State::Waiting { deaf_since_ms, .. } => deaf_since_ms,
            _ => None,
        };
        let deaf_since_ms =
            deaf_since_ms.or_else(|| self.beats.are_silent(at_ms, silence_ms).then_some(at_ms));
        let base = match deaf_since_ms {
            Some(since_ms) => match self.beats.first_behind(since_ms, self.until_ms) {
                Some(heard_ms) => missing.steps_until(heard_ms) + 1,
                None => {
                    let again_ms = self.until_ms.max(at_ms).saturating_add(1);
                    watch.state = State::Waiting { at_ms: again_ms, deaf_since_ms };
                    self.push(index, again_ms, Todo::Again(missing));
                    return None;
                }
            },
            None => {
                let heard_ms = self.beats.end_of_silence(silence_ms, missing.from_ms);
                heard_ms.map_or(0, |heard_ms| missing.steps_until(heard_ms) + 1)
            }
        };
        let step = missing.steps_until(at_ms.saturating_sub(missing.step_ms / 2));
        if deaf_since_ms.is_some() || step - base < i64::from(missing.limit) {
            let due_ms = missing.decided_ms(base.saturating_add(missing.limit.into()));
            watch.state = State::Waiting { at_ms: due_ms, deaf_since_ms: None };
            self.push(index, due_ms, Todo::Again(missing));
            return None;
        }
        if std::mem::take(&mut watch.here) {
            self.relations.go(&watch.relation, at_ms);
        }
        let told_ms = missing.stamp_ms(step);
        let cause = watch.cause(&self.relations);
        watch.ask_anew(self.generation, company);
        if !watch.is_against_habit(&self.relations, at_ms, &missing)
            || watch.is_replaced(&self.relations, &missing, cause)
        {
            watch.state = State::Away;
            return None;
        }
        let gone = Gone { missing, cause, base, step, told_ms, next_ms: 0, deaf_since_ms: None };
        self.miss(index, gone)
    }

    /// A step more of an absent series.
    fn tick(&mut self, index: u32, at_ms: i64, mut gone: Gone, company: &mut dyn Company) -> Option<Verdict> {
        let missing = gone.missing;
        let is_deaf = || self.beats.are_silent(at_ms, missing.silence_ms()).then_some(at_ms);
        if let Some(since_ms) = gone.deaf_since_ms.or_else(is_deaf) {
            // Where nobody is there, no step is missed.
            let heard_ms = self.beats.first_behind(since_ms, self.until_ms);
            match heard_ms {
                Some(heard_ms) => {
                    let next = missing.steps_until(heard_ms) + 1;
                    gone.base = gone.base.saturating_add(next - gone.step - 1);
                    gone.step = next - 1;
                    (gone.next_ms, gone.deaf_since_ms) = (missing.decided_ms(next), None);
                }
                None => {
                    gone.next_ms = self.until_ms.max(at_ms).saturating_add(1);
                    gone.deaf_since_ms = Some(since_ms);
                }
            }
            self.watch(index)?.state = State::Absent(gone);
            self.push(index, gone.next_ms, Todo::Tick);
            return None;
        }
        gone.step += 1;
        let stamp_ms = missing.stamp_ms(gone.step);
        let watch = self.watches.get_mut(index as usize)?.as_mut()?;
        watch.ask_anew(self.generation, company);
        let keep_ms = watch.wishes.as_ref().map_or(-1, |wishes| wishes.forget_after_ms);
        let is_forgotten = stamp_ms.saturating_sub(gone.told_ms) > keep_ms;
        let returned = watch.is_replaced(&self.relations, &missing, gone.cause);
        if is_forgotten || returned {
            watch.state = State::Away;
            return Some(Verdict { watch: index, at_ms: stamp_ms, what: What::Over { returned } });
        }
        self.miss(index, gone)
    }

    fn miss(&mut self, index: u32, gone: Gone) -> Option<Verdict> {
        let next_ms = gone.missing.decided_ms(gone.step + 1);
        self.watch(index)?.state = State::Absent(Gone { next_ms, ..gone });
        self.push(index, next_ms, Todo::Tick);
        let what = What::Missed { cause: gone.cause, score: gone.score() };
        Some(Verdict { watch: index, at_ms: gone.missing.stamp_ms(gone.step), what })
    }
}
