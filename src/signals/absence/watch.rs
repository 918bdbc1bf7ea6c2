//! One watched series, as the book of its scope has it.

use std::sync::Arc;

use super::book::{Company, Sent};
use super::event::Missing;
use super::kin::{Relation, Relations, Up};
use super::{Cause, Wishes};
use crate::context::Attached;
use crate::series::SlotId;
use crate::series::labels::SeriesLabels;

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) labels: Arc<SeriesLabels>,
    pub(super) fingerprint: u64,
    pub(super) at: SlotId,
    pub(super) generation: u16,
    pub(super) wishes: Option<Arc<Wishes>>,
    pub(super) relation: Relation,
    /// Events of it that became known.
    pub(super) serial: u32,
    /// When it is looked after next.
    pub(super) armed_ms: Option<i64>,
    /// Whether it is there, and whether it said that it ended.
    pub(super) here: bool,
    pub(super) ended: bool,
    pub(super) has_begun: bool,
    pub(super) state: State,
    pub(super) sent: Option<Box<Sent>>,
    /// The contexts that are for it.
    pub(super) context: Attached,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// It goes on.
    Here,
    /// It does not, and it is to be decided at `at_ms` whether it is absent: its scope is or was silent. If nothing was
    /// heard of the scope since, `deaf_since_ms` says since when.
    Waiting { at_ms: i64, deaf_since_ms: Option<i64> },
    /// It is absent.
    Absent(Gone),
    /// It is not there, and nothing is said of it.
    Away,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub(super) missing: Missing,
    pub(super) cause: Cause,
    /// The step from which the missed ones count, and the last of them.
    pub(super) base: i64,
    pub(super) step: i64,
    /// The first missed step that was told.
    pub(super) told_ms: i64,
    pub(super) next_ms: i64,
    pub(super) deaf_since_ms: Option<i64>,
}

// === impl Watch ===

impl Watch {
    /// The rules have changed since they were asked for it.
    pub(super) fn ask_anew(&mut self, generation: u16, company: &mut dyn Company) {
        if self.generation != generation {
            self.generation = generation;
            self.wishes = company.wishes(&self.labels);
        }
    }

    pub(super) fn cause(&self, relations: &Relations) -> Cause {
        match (relations.up(&self.relation), self.ended) {
            (_, false) if self.relation.is_up => Cause::Silent,
            (Up::Says(false), _) => Cause::ScrapeFailed,
            (Up::Ended, _) => Cause::TargetLost,
            (_, false) => Cause::Silent,
            (Up::Says(true), true) => Cause::StaleMarker,
            (Up::Unknown, true) if relations.all_are_gone(&self.relation) => Cause::TargetLost,
            (Up::Unknown, true) => Cause::StaleMarker,
        }
    }

    /// Whether it is to be missed at all: it, or its kin, was there for long enough.
    pub(super) fn is_against_habit(&self, relations: &Relations, at_ms: i64, missing: &Missing) -> bool {
        let Some(wishes) = &self.wishes else { return false };
        let kin_ms = relations.kin(&self.relation).map_or(0, |kin| kin.lived_ms(at_ms));
        missing.lived_ms.max(kin_ms) >= wishes.seen_for_ms
    }

    /// Whether one that is the same to whoever runs it is there instead. A target that is still to be scraped and cannot
    /// be is only replaced by one that came for it.
    pub(super) fn is_replaced(&self, relations: &Relations, missing: &Missing, cause: Cause) -> bool {
        let Some(kin) = relations.kin(&self.relation).filter(|kin| kin.are_here()) else { return false };
        let near_ms = missing.from_ms.saturating_sub(self.relation.within_ms);
        cause != Cause::ScrapeFailed || kin.begun_ms.is_some_and(|begun_ms| begun_ms >= near_ms)
    }
}

// === impl Gone ===

impl Gone {
    pub(super) fn missed(&self) -> i64 {
        self.step - self.base
    }

    /// 1 at the limit, 2 when the series is away for four times as long.
    pub(super) fn score(&self) -> f64 {
        let times = self.missed() as f64 / f64::from(self.missing.limit.max(1));
        times.max(1.0).sqrt()
    }
}
