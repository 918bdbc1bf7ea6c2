//! The watched series of one scope and replica, and what of them is to be looked at next.

use std::collections::BinaryHeap;
use std::sync::Arc;

use serde::Serialize;

use super::beats::Beats;
use super::event::{Event, Todo, Told};
use super::habit::{Glance, Habit, News};
use super::kin::{Relation, Relations, Up};
use super::watch::{State, Watch};
use super::{Cause, Room, Wishes};
use crate::batch::Sample;
use crate::context::{Attached, Board, Context, Effect};
use crate::inject::Replica;
use crate::series::labels::{Pair, SeriesLabels};
use crate::series::{SlotId, fingerprint};

/// The watched series of one scope and replica.
#[derive(Debug)]
pub struct Book {
    pub(super) replica: Replica,
    pub(super) beats: Beats,
    pub(super) clock_ms: i64,
    /// Up to here all has come.
    pub(super) until_ms: i64,
    /// Up to here all is handled.
    pub(super) handled_ms: i64,
    pub(super) generation: u16,
    pub(super) watches: Vec<Option<Watch>>,
    pub(super) free: Vec<u32>,
    pub(super) relations: Relations,
    pub(super) events: BinaryHeap<Event>,
    /// What was sent of series that are watched no more.
    pub(super) goodbyes: Vec<Sent>,
}

/// A series that is to be watched.
#[derive(Debug)]
pub struct Enlisted<'a> {
    /// Its labels.
    pub labels: &'a Arc<SeriesLabels>,
    /// Where it lies in the table.
    pub at: SlotId,
    /// What its rule asks for; nothing for the `up` of a target, which is looked at for the sake of others.
    pub wishes: Option<&'a Arc<Wishes>>,
    /// Of the rules that ask for it.
    pub generation: u16,
    /// Its target, and those that are one and the same as it.
    pub relation: Relation,
    /// What is usual for it.
    pub habit: &'a mut Habit,
    /// The arrival clock.
    pub now_ms: i64,
}

/// What is being sent of an absent series.
#[derive(Debug)]
pub struct Sent {
    /// The labels of its score series.
    pub labels: Arc<SeriesLabels>,
    /// Its name.
    pub name: &'static Pair,
    /// What was sent last.
    pub newest: Sample,
    /// Its place among those that may be sent.
    pub room: Room,
}

/// A series that is absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Absent {
    /// How it stopped.
    pub reason: Cause,
    /// Its newest sample, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Steps that it has missed while others were there.
    pub missed_steps: i64,
    /// Its score.
    pub score: f64,
}

/// Who knows of series what the book does not.
pub trait Company {
    /// What is to be seen of the series of `labels`, which lay `at` there; nothing if it has left the table.
    fn look(&mut self, at: SlotId, labels: &Arc<SeriesLabels>) -> Option<Glance>;
    /// What the rules in force ask for where the series of `labels` stops.
    fn wishes(&mut self, labels: &SeriesLabels) -> Option<Arc<Wishes>>;
}

// === impl Book: who is watched ===

impl Book {
    /// Nobody is watched yet.
    pub(super) fn new(replica: Replica) -> Self {
        Self {
            replica,
            beats: Beats::default(),
            clock_ms: i64::MIN,
            until_ms: i64::MIN,
            handled_ms: i64::MIN,
            generation: 0,
            watches: Vec::new(),
            free: Vec::new(),
            relations: Relations::default(),
            events: BinaryHeap::new(),
            goodbyes: Vec::new(),
        }
    }

    /// Whether it is of the series of `replica`.
    pub fn is_of(&self, replica: &Replica) -> bool {
        self.replica == *replica
    }

    /// Whether nobody is watched, and nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.watches.len() == self.free.len() && self.goodbyes.is_empty()
    }

    /// Has a series watched as the `place`-th of this book; gives its number.
    pub(super) fn enlist(&mut self, who: &mut Enlisted<'_>) -> u32 {
        let Enlisted { labels, at, wishes, generation, relation, .. } = *who;
        let relation = Relation { is_watched: wishes.is_some(), ..relation };
        let here = who.habit.is_there();
        self.relations.join(&relation);
        if let Some(last_ms) = who.habit.last_ms().filter(|_| here) {
            self.relations.remember(&relation, last_ms.saturating_sub(who.habit.lived_ms()));
        }
        if let Some(up) = who.habit.up().filter(|_| relation.is_up) {
            self.relations.say(&relation, Up::Says(up));
        }
        let index = self.free.pop().unwrap_or(self.watches.len() as u32);
        let keep_ms = wishes.map_or(0, |wishes| wishes.forget_after_ms);
        let is_recent = who.habit.last_ms().is_some_and(|last| last.saturating_add(keep_ms) >= who.now_ms);
        let watch = Watch {
            labels: Arc::clone(labels),
            fingerprint: fingerprint(labels),
            at,
            generation,
            wishes: wishes.cloned(),
            relation,
            serial: 0,
            armed_ms: None,
            here,
            ended: !here,
            has_begun: who.habit.last_ms().is_some(),
            state: if is_recent { State::Here } else { State::Away },
            sent: None,
            context: Attached::default(),
        };
        match self.watches.get_mut(index as usize) {
            Some(place) => *place = Some(watch),
            None => self.watches.push(Some(watch)),
        }
        index
    }

    /// The series is looked after when it will be absent if nothing more of it comes.
    pub(super) fn begin(&mut self, index: u32, habit: &mut Habit) {
        let glance = habit.glance();
        if glance.decided_ms < i64::MAX {
            self.arm(index, glance.decided_ms);
        }
    }

    /// The series is not watched any more.
    pub(super) fn cross_out(&mut self, index: u32) {
        let Some(watch) = self.watches.get_mut(index as usize).and_then(Option::take) else { return };
        self.free.push(index);
        if watch.here {
            self.relations.go(&watch.relation, self.handled_ms);
        }
        self.relations.leave(&watch.relation);
        self.goodbyes.extend(watch.sent.map(|sent| *sent));
    }

    /// What was sent of series that are watched no more, and is to end.
    pub fn goodbyes(&mut self) -> impl Iterator<Item = Sent> {
        self.goodbyes.drain(..)
    }

    pub(super) fn watch(&mut self, index: u32) -> Option<&mut Watch> {
        self.watches.get_mut(index as usize)?.as_mut()
    }

    /// The labels of a watched series.
    pub fn labels(&self, index: u32) -> Option<&Arc<SeriesLabels>> {
        Some(&self.watches.get(index as usize)?.as_ref()?.labels)
    }

    /// What its rule asks for.
    pub fn wishes(&self, index: u32) -> Option<&Arc<Wishes>> {
        self.watches.get(index as usize)?.as_ref()?.wishes.as_ref()
    }

    /// What is being sent of it.
    pub fn sent(&self, index: u32) -> Option<&Sent> {
        self.watches.get(index as usize)?.as_ref()?.sent.as_deref()
    }

    /// The same, to be sent anew.
    pub fn sent_mut(&mut self, index: u32) -> Option<&mut Sent> {
        self.watch(index)?.sent.as_deref_mut()
    }

    /// What `board` does with the score of a step that it missed at `at_ms`; counted for the context that decides.
    pub fn weigh(&mut self, index: u32, board: &Board, at_ms: i64) -> Option<Effect> {
        let Watch { labels, context, .. } = self.watch(index)?;
        if context.is_outdated(board) {
            context.attach(board, &labels.scored().collect::<Vec<_>>());
        }
        let effect = context.effect_at(board, at_ms)?;
        context.deciding(board, at_ms).into_iter().for_each(Context::count_anomaly);
        Some(effect)
    }

    /// Keeps what is sent of it from now on. Where that is nothing, nothing is said of it until it has come back.
    pub fn send(&mut self, index: u32, sent: Option<Sent>) {
        let Some(watch) = self.watch(index) else { return };
        if sent.is_none() {
            watch.state = State::Away;
        }
        watch.sent = sent.map(Box::new);
    }

    /// Nothing more is sent of it. Gives what was.
    pub fn stop_sending(&mut self, index: u32) -> Option<Sent> {
        self.watch(index)?.sent.take().map(|sent| *sent)
    }

    /// All that is being sent, in the order of the book.
    pub fn all_sent(&self) -> impl Iterator<Item = &Sent> {
        self.watches.iter().flatten().filter_map(|watch| watch.sent.as_deref())
    }

    /// What is absent at `index`.
    pub(super) fn absent_at(&self, index: u32) -> Option<Absent> {
        let State::Absent(gone) = &self.watches.get(index as usize)?.as_ref()?.state else { return None };
        Some(Absent {
            reason: gone.cause,
            since_ms: gone.missing.from_ms,
            missed_steps: gone.missed(),
            score: gone.score(),
        })
    }
}

// === impl Book: what became known ===

impl Book {
    /// A sample of the scope lies at `at_ms`.
    #[inline]
    pub fn hear(&mut self, at_ms: i64) {
        self.clock_ms = self.clock_ms.max(at_ms);
        self.beats.hear(at_ms);
    }

    /// All that lies `watermark_ms` behind the newest sample has come. Rules of `generation` are in force.
    pub fn go_on(&mut self, watermark_ms: i64, generation: u16) {
        self.until_ms = self.until_ms.max(self.clock_ms.saturating_sub(watermark_ms));
        self.generation = generation;
    }

    /// Takes in what became known of a series, in the order of its samples.
    pub fn take(&mut self, news: &News) {
        let (index, at_ms) = (news.place.watch, news.at_ms);
        match news.told {
            Told::Due(due_ms) => self.arm(index, due_ms),
            Told::End => self.push(index, at_ms, Todo::End),
            Told::Up(up) => self.push(index, at_ms, Todo::Up(up)),
            Told::Back { missing, due_ms } => {
                if let Some(missing) = missing {
                    let decided_ms = missing.decided_ms(missing.limit.into());
                    // What was decided already is known.
                    if decided_ms > self.handled_ms {
                        self.push(index, decided_ms, Todo::Decide(missing));
                    }
                }
                self.push(index, at_ms, Todo::Back);
                due_ms.into_iter().for_each(|due_ms| self.arm(index, due_ms));
            }
        }
    }

    pub(super) fn push(&mut self, index: u32, at_ms: i64, todo: Todo) {
        let Some(watch) = self.watch(index) else { return };
        watch.serial = watch.serial.wrapping_add(1);
        let event = Event { at_ms, fingerprint: watch.fingerprint, serial: watch.serial, watch: index, todo };
        self.events.push(event);
    }

    /// Has the series looked after at `due_ms`, unless that happens before anyway.
    pub(super) fn arm(&mut self, index: u32, due_ms: i64) {
        let Some(watch) = self.watch(index) else { return };
        if watch.armed_ms.is_none_or(|armed_ms| due_ms < armed_ms) {
            watch.armed_ms = Some(due_ms);
            self.push(index, due_ms, Todo::Look);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::signals::absence::BYTES_A_SERIES;

    #[test]
    fn a_watched_series_takes_half_a_kibibyte() {
        const { assert!(BYTES_A_SERIES <= 512) };
    }
}
