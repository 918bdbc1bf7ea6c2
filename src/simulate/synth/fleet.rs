//! All nodes together, walked through time.

use std::collections::VecDeque;

use super::TICK_MS;
use super::anomaly::Event;
use super::catalog::{Place, Reading, Series, Sink};
use super::node::{Effects, Node};
use super::schedule::{Plan, Schedule};

/// How many instances a fleet may have: an exposition of about 20,000 series.
pub const MAX_INSTANCES: u32 = 500;

/// What a fleet follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetOptions {
    /// Every value follows from this number.
    pub seed: u64,
    /// How many nodes, each with one pod: 1 to [`MAX_INSTANCES`].
    pub instances: u32,
    /// Where the stream starts, Unix milliseconds; the time of the day and the day of the week follow.
    pub start_ms: i64,
    /// When anomalies are injected.
    pub plan: Plan,
}

/// A fleet of synthetic nodes at one moment of its stream.
///
/// It goes forwards only: the values at a time are the same however many times were asked for before it.
#[derive(Debug)]
pub struct Fleet {
    options: FleetOptions,
    at_ms: i64,
    ticks: i64,
    before: Vec<Node>,
    after: Vec<Node>,
    schedule: Schedule,
    active: Vec<Event>,
    next_event: u64,
    series: Vec<Series>,
    order: Vec<usize>,
}

// === impl Fleet ===

impl Fleet {
    /// A fleet at its start. Instances are held to 1 and [`MAX_INSTANCES`].
    pub fn new(options: FleetOptions) -> Self {
        let instances = options.instances.clamp(1, MAX_INSTANCES);
        let nodes: Vec<Node> = (0..instances).map(|number| Node::new(options.seed, number)).collect();
        let mut catalog = Catalog::default();
        for node in &nodes {
            node.export(&mut catalog);
            catalog.instance += 1;
        }
        let mut order: Vec<usize> = (0..catalog.series.len()).collect();
        order.sort_by_key(|&at| catalog.series[at].family);
        Self {
            schedule: Schedule::new(options.seed, instances, options.start_ms, options.plan),
            at_ms: options.start_ms,
            ticks: 0,
            before: nodes.clone(),
            after: nodes,
            active: Vec::new(),
            next_event: 0,
            series: order.iter().map(|&at| catalog.series[at].clone()).collect(),
            order,
            options,
        }
    }

    /// What the fleet follows from.
    pub fn options(&self) -> &FleetOptions {
        &self.options
    }

    /// The moment of the stream, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.at_ms
    }

    /// Every series, those of one family side by side, in the order of [`super::FAMILIES`].
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// Goes on to `at_ms` (Unix milliseconds); a time that has passed changes nothing.
    pub fn advance_to(&mut self, at_ms: i64) {
        self.at_ms = self.at_ms.max(at_ms);
        while self.tick_end() < self.at_ms {
            self.ticks += 1;
            self.step();
        }
    }

    fn tick_end(&self) -> i64 {
        self.options.start_ms + self.ticks * TICK_MS
    }

    fn step(&mut self) {
        let end_ms = self.tick_end();
        let begin_ms = end_ms - TICK_MS;
        self.renew_active(begin_ms);
        let days = (end_ms - self.options.start_ms) as f64 / 86_400_000.0;
        self.before.clone_from(&self.after);
        for (number, node) in self.after.iter_mut().enumerate() {
            let mut effects = Effects::none();
            for event in self.active.iter().filter(|event| event.strikes(number as u32)) {
                effects.add(event.channel, event.effect(begin_ms));
                effects.restart |= event.restarts(begin_ms, TICK_MS);
            }
            node.step(end_ms, days, &effects);
        }
    }

    fn renew_active(&mut self, at_ms: i64) {
        self.schedule.extend_to(at_ms);
        let begun = self
            .schedule
            .events()
            .iter()
            .rev()
            .take_while(|event| event.id >= self.next_event)
            .filter(|event| event.start_ms <= at_ms);
        let begun: Vec<Event> = begun.cloned().collect();
        self.next_event += begun.len() as u64;
        self.active.extend(begun.into_iter().rev());
        self.active.retain(|event| event.is_active(at_ms));
    }

    /// The values at [`Fleet::now_ms`], in the order of [`Fleet::series`]; NaN where a series is not exported. `values` is
    /// emptied first.
    pub fn read(&self, values: &mut Vec<f64>) {
        let (mut before, mut after) = (Readings::default(), Readings::default());
        self.before.iter().for_each(|node| node.export(&mut before));
        self.after.iter().for_each(|node| node.export(&mut after));
        // At a tick's very end the share is 1; before the first tick both sides are the same.
        let share = 1.0 - (self.tick_end() - self.at_ms) as f64 / TICK_MS as f64;
        values.clear();
        values.extend(self.order.iter().map(|&at| before.0[at].towards(after.0[at], share)));
        for event in self.active().filter(|event| event.hides()) {
            self.struck_by(event).for_each(|at| values[at] = f64::NAN);
        }
    }

    /// The events that have begun by now, oldest first; of very many the newest
    /// [`super::MAX_EVENTS`].
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.planned().iter().take_while(|event| event.start_ms <= self.at_ms)
    }

    /// The events under way now.
    pub fn active(&self) -> impl Iterator<Item = &Event> {
        self.events().filter(|event| event.is_active(self.at_ms))
    }

    /// Plans up to `until_ms` without going there, and returns every event known.
    pub fn plan_to(&mut self, until_ms: i64) -> &VecDeque<Event> {
        self.schedule.extend_to(until_ms);
        self.planned()
    }

    fn planned(&self) -> &VecDeque<Event> {
        self.schedule.events()
    }

    /// The positions in [`Fleet::series`] of the series that `event` strikes.
    pub fn struck_by(&self, event: &Event) -> impl Iterator<Item = usize> {
        let struck = self.series.iter().enumerate().filter(|(_, series)| series.is_struck_by(event));
        struck.map(|(at, _)| at)
    }
}

/// Takes down which series there are.
#[derive(Default)]
struct Catalog {
    instance: u32,
    series: Vec<Series>,
}

/// Takes down what they read.
#[derive(Default)]
struct Readings(Vec<Reading>);

impl Sink for Catalog {
    fn put(&mut self, place: Place<'_>, _: Reading) {
        self.series.push(Series {
            family: place.family,
            suffix: place.suffix,
            labels: place.labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            channel: place.channel,
            instance: self.instance,
        });
    }
}

impl Sink for Readings {
    fn put(&mut self, _: Place<'_>, reading: Reading) {
        self.0.push(reading);
    }
}
