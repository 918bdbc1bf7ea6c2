//! When anomalies happen, and where.

use std::collections::VecDeque;

use super::TICK_MS;
use super::anomaly::{Channel, Event, Kind};
use super::noise::{mix, unit};

/// How many events are remembered; older ones are forgotten first.
pub const MAX_EVENTS: usize = 10_000;

/// How often anomalies are injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Milliseconds of stream time at the start without any anomaly.
    pub quiet_ms: i64,
    /// Mean milliseconds of stream time from the start of one anomaly to that of the next, over all
    /// instances. 0 = never.
    pub every_ms: i64,
    /// Which kinds there are.
    pub kinds: &'static [Kind],
}

/// All events so far, found one after the other from the seed alone.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    seed: u64,
    plan: Plan,
    events: VecDeque<Event>,
    next_id: u64,
    next_start_ms: i64,
    free_from_ms: Vec<i64>,
    bag: Vec<Kind>,
}

/// The noise source of the schedule, which no series has.
const SOURCE: u64 = u64::MAX;

// === impl Schedule ===

impl Schedule {
    pub(super) fn new(seed: u64, instances: u32, start_ms: i64, plan: Plan) -> Self {
        let first = start_ms + plan.quiet_ms.max(TICK_MS);
        Self {
            seed,
            plan,
            events: VecDeque::new(),
            next_id: 0,
            next_start_ms: first,
            free_from_ms: vec![first; instances as usize],
            bag: Vec::new(),
        }
    }

    /// All remembered events that start no later than the last [`Schedule::extend_to`] asked for, and
    /// one or more after it.
    pub(super) fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// Plans until an event starts after `until_ms`, so that all up to it are known.
    pub(super) fn extend_to(&mut self, until_ms: i64) {
        while self.plan.every_ms > 0 && self.events.back().is_none_or(|last| last.start_ms <= until_ms) {
            let event = self.plan_next();
            self.events.push_back(event);
            if self.events.len() > MAX_EVENTS {
                self.events.pop_front();
            }
        }
    }

    fn plan_next(&mut self) -> Event {
        let id = self.next_id;
        self.next_id += 1;
        let instance = self.choose_instance(id);
        let start_ms = self.next_start_ms.max(self.free_from_ms[instance]);
        let kind = self.choose_kind(id, start_ms);
        let channels = kind.channels();
        let channel = channels[self.pick(id, 2, channels.len())];
        let (shortest, longest) = kind.minutes();
        let minutes = shortest + (self.draw(id, 3) * (longest - shortest) as f64) as i64;
        let (weakest, strongest) = kind.sizes();
        let size = soften(channel, weakest + self.draw(id, 4) * (strongest - weakest));
        let end_ms = start_ms + minutes * 60_000;
        let event = Event { id, kind, channel, instance: instance as u32, start_ms, end_ms, size };
        if !event.strikes_all() {
            // What an event leaves behind is over before the same instance is struck again.
            self.free_from_ms[instance] = end_ms + 45 * 60_000;
        }
        // Gaps of 0.6 to 1.4 times the mean, on the grid of ticks.
        let gap = (self.plan.every_ms as f64 * (0.6 + 0.8 * self.draw(id, 5))) as i64;
        self.next_start_ms = start_ms + (gap / TICK_MS).max(1) * TICK_MS;
        event
    }

    /// An instance that is at rest; where all are struck, the one that is free first.
    fn choose_instance(&self, id: u64) -> usize {
        let free: Vec<usize> =
            (0..self.free_from_ms.len()).filter(|&i| self.free_from_ms[i] <= self.next_start_ms).collect();
        match free.as_slice() {
            [] => (0..self.free_from_ms.len()).min_by_key(|&i| self.free_from_ms[i]).unwrap_or(0),
            some => some[self.pick(id, 0, some.len())],
        }
    }

    /// Draws from a bag that holds each kind once, so that all come soon; leaves in it what would not
    /// show at this time of the day.
    fn choose_kind(&mut self, id: u64, start_ms: i64) -> Kind {
        let shows = |kind: &Kind| kind.shows_at(start_ms + 60 * 60_000);
        if !self.bag.iter().any(shows) {
            self.bag.extend(self.plan.kinds);
        }
        let open: Vec<usize> = (0..self.bag.len()).filter(|&i| shows(&self.bag[i])).collect();
        let chosen = open[self.pick(id, 1, open.len())];
        self.bag.remove(chosen)
    }

    fn draw(&self, id: u64, what: u64) -> f64 {
        unit(mix(self.seed, SOURCE, id * 8 + what))
    }

    fn pick(&self, id: u64, what: u64, of: usize) -> usize {
        (self.draw(id, what) * of as f64) as usize
    }
}

/// Memory cannot double where half of it is in use.
fn soften(channel: Channel, size: f64) -> f64 {
    if channel == Channel::Memory { 1.0 + (size - 1.0) * 0.45 } else { size }
}

#[cfg(test)]
mod tests {
    use super::super::MONDAY_MS;
    use super::*;

    fn week(seed: u64) -> Vec<Event> {
        let plan = Plan { quiet_ms: 3_600_000, every_ms: 3_600_000, kinds: Kind::OF_SERIES };
        let mut schedule = Schedule::new(seed, 4, MONDAY_MS, plan);
        schedule.extend_to(MONDAY_MS + 7 * 86_400_000);
        schedule.events().iter().cloned().collect()
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(week(1), week(1));
        assert_ne!(week(1), week(2));
    }

    #[test]
    fn extending_in_small_steps_plans_the_same() {
        let plan = Plan { quiet_ms: 3_600_000, every_ms: 3_600_000, kinds: Kind::OF_SERIES };
        let mut schedule = Schedule::new(1, 4, MONDAY_MS, plan);
        for hour in 0..=7 * 24 {
            schedule.extend_to(MONDAY_MS + hour * 3_600_000);
        }
        assert_eq!(schedule.events().iter().cloned().collect::<Vec<_>>(), week(1));
    }

    #[test]
    fn every_kind_comes_and_the_quiet_time_is_kept() {
        let events = week(3);
        assert!(events[0].start_ms >= MONDAY_MS + 3_600_000);
        assert!(Kind::OF_SERIES.iter().all(|kind| events.iter().filter(|e| e.kind == *kind).count() >= 5));
    }

    #[test]
    fn two_events_never_strike_one_instance_at_once() {
        let events = week(4);
        for (at, event) in events.iter().enumerate() {
            let rest = &events[at + 1..];
            assert!(rest.iter().filter(|e| e.instance == event.instance).all(|e| e.start_ms >= event.end_ms));
        }
    }

    #[test]
    fn without_a_rate_nothing_happens() {
        let mut schedule =
            Schedule::new(1, 4, MONDAY_MS, Plan { quiet_ms: 0, every_ms: 0, kinds: Kind::OF_SERIES });
        schedule.extend_to(MONDAY_MS + 86_400_000);
        assert!(schedule.events().is_empty());
    }
}
