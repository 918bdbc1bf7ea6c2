//! What is asked for: which series make a group, and what is made of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::derive;
use super::entity::Entity;
use super::native::{Before, Native};
use super::peers::{Beside, Peers};
use super::steps::{Closed, Pace};
use crate::detect::Together;
use crate::rules::{Kind, Selector};
use crate::series::labels::{METRIC_NAME, SeriesLabels};

/// All that one configuration asks for.
#[derive(Clone, Debug)]
pub struct Specs {
    list: Vec<Arc<Spec>>,
    watermark_ms: i64,
    max_groups: usize,
    /// Counts up with every configuration that asks for something else.
    pub(super) epoch: u16,
}

/// One entry: groups of series, and what is made of each.
#[derive(Debug)]
pub struct Spec {
    name: String,
    shape: Shape,
    step_ms: i64,
    max_series: usize,
    /// Its groups, and series that are made of them.
    groups: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
}

/// What is made of a group.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// The mean and the rate of a classic histogram or summary, of its `_sum` and its `_count`.
    Histogram(Histogram),
    /// The quotient of two sums.
    Ratio(Ratio),
    /// A sum.
    Sum(Sum),
    /// The distance of each of several equal series from the others.
    Peers(Alike),
    /// The mean, the rate and a quantile of a native histogram.
    Native(Native),
    /// What several series of one thing come to together.
    Entity(Thing),
}

/// Histograms and summaries, and what is made of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Selectors of families: `__name__` is the name without `_sum` or `_count`.
    pub selectors: Vec<Selector>,
    /// Whether `<family>:mean` is made.
    pub mean: bool,
    /// Whether `<family>:rate` is made.
    pub rate: bool,
}

/// A quotient of sums by labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// Selectors of what is counted in the numerator.
    pub of: Vec<Selector>,
    /// Selectors of what is counted in the denominator.
    pub to: Vec<Selector>,
    /// Labels by whose values quotients are made.
    pub by: Vec<String>,
    /// Gauges or counters.
    pub kind: Kind,
}

/// A sum by labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// Selectors of what is added up.
    pub selectors: Vec<Selector>,
    /// Labels by whose values sums are made.
    pub by: Vec<String>,
    /// Gauges or counters.
    pub kind: Kind,
}

/// Series that should behave alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike {
    /// Selectors of the series.
    pub selectors: Vec<Selector>,
    /// Labels in which they differ.
    pub without: Vec<String>,
    /// Gauges or counters.
    pub kind: Kind,
}

/// Series that describe one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    /// Selectors of the series.
    pub selectors: Vec<Selector>,
    /// Labels that name the thing.
    pub by: Vec<String>,
}

/// What is asked of a part, the more the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// What it is.
    Quantity,
    /// How rare it is: it is to be judged, also where no rule selects it.
    Score,
}

/// What of a part counts in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Its value.
    Value,
    /// Its increase per second.
    Rate,
    /// It has no value but a histogram.
    Histogram,
    /// Its score.
    Score,
}

/// What a group remembers from step to step.
#[derive(Debug)]
pub(super) enum Memory {
    /// Nothing.
    Nothing,
    /// How far peers spread, and were away.
    Peers(Peers),
    /// The histogram before.
    Native(Before),
    /// Which parts an entity has, and what they weigh.
    Entity(Entity),
}

/// What a group says of a sample that it makes, where no detector is to judge it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Given {
    /// How far it is from where it should be.
    Away {
        /// Where it should be.
        expected: f64,
        /// One standard deviation.
        spread: f64,
        /// Its distance in standard deviations.
        distance: f64,
    },
    /// How rare several are by themselves: how rare that is together is known to who has seen it before.
    Together(Together),
}

/// A series is a part of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claim {
    /// What it is there.
    pub(super) role: u16,
    pub(super) quantity: Quantity,
    /// The labels of the group, sorted; `__name__` is the base of the names of what is made.
    pub(super) labels: Vec<(String, String)>,
}

/// A place among the groups and the made series that are allowed, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    of: [Arc<AtomicUsize>; 2],
    taken: [usize; 2],
}

// === impl Specs ===

impl Default for Specs {
    /// Asks for nothing.
    fn default() -> Self {
        Self::new(Vec::new(), 0, 0)
    }
}

impl Specs {
    /// Asks for `list`; steps are closed `watermark_ms` after their time at the latest, and no more than `max_groups`
    /// are kept.
    pub fn new(list: Vec<Spec>, watermark_ms: i64, max_groups: usize) -> Self {
        let list = list.into_iter().map(Arc::new).collect();
        Self { list, watermark_ms, max_groups, epoch: 0 }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The entries, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.list.iter()
    }

    /// Groups that are kept.
    pub fn groups(&self) -> usize {
        self.list.iter().map(|spec| spec.groups.load(Ordering::Relaxed)).sum()
    }

    /// Groups that are kept at the most.
    pub fn max_groups(&self) -> usize {
        self.max_groups
    }

    /// How far the stream goes on before it is taken for complete, in milliseconds.
    pub fn watermark_ms(&self) -> i64 {
        self.watermark_ms
    }

    /// Takes the place of `before`: the groups of entries that both have go on.
    pub fn follow(&mut self, before: &Self) {
        let same_pace = self.watermark_ms == before.watermark_ms;
        let mut known: Vec<_> = before.list.iter().filter(|_| same_pace).collect();
        for spec in &mut self.list {
            if let Some(at) = known.iter().position(|known| **known == *spec) {
                *spec = Arc::clone(known.swap_remove(at));
            }
        }
        let same = same_pace
            && self.list.len() == before.list.len()
            && self.list.iter().zip(&before.list).all(|(now, then)| Arc::ptr_eq(now, then));
        self.epoch = before.epoch.wrapping_add(u16::from(!same));
    }

    /// The number of an entry, if it is still asked for.
    pub(super) fn number_of(&self, spec: &Arc<Spec>) -> Option<u16> {
        self.list.iter().position(|asked| Arc::ptr_eq(asked, spec)).map(|number| number as u16)
    }

    /// What is asked of a series of these `labels`, if it is a part of something by its samples.
    pub fn asked_of(&self, labels: &[(&str, &str)]) -> Option<Asked> {
        let asked =
            |claim: Claim| if claim.quantity == Quantity::Score { Asked::Score } else { Asked::Quantity };
        self.of(false).filter_map(|(_, spec)| spec.claim(labels)).map(asked).max()
    }

    /// Whether something is made of native histograms of a series of these `labels`.
    pub fn claim_histograms(&self, labels: &[(&str, &str)]) -> bool {
        self.of(true).any(|(_, spec)| spec.claim(labels).is_some())
    }

    /// Whether something is made of native histograms.
    pub fn take_histograms(&self) -> bool {
        self.of(true).next().is_some()
    }

    /// The entries that make something of native `histograms`, or those that do of samples, each with its number.
    pub(super) fn of(&self, histograms: bool) -> impl Iterator<Item = (u16, &Arc<Spec>)> {
        let numbered = self.list.iter().enumerate().map(|(number, spec)| (number as u16, spec));
        numbered.filter(move |(_, spec)| spec.takes_histograms() == histograms)
    }

    pub(super) fn pace(&self, spec: &Spec) -> Pace {
        let parts = match spec.shape {
            Shape::Histogram(_) => Some(2),
            Shape::Native(_) => Some(1),
            _ => None,
        };
        Pace { step_ms: spec.step_ms, watermark_ms: self.watermark_ms, parts }
    }

    /// A place for one more group of `spec` and what is made of the whole of it.
    pub(super) fn seat_group(&self, spec: &Spec) -> Option<Seat> {
        let seat = self.seat(spec, 1, spec.shape.outputs().count());
        seat.filter(|_| self.groups() <= self.max_groups)
    }

    /// A place for what is made of one more part.
    pub(super) fn seat_part(&self, spec: &Spec) -> Option<Seat> {
        self.seat(spec, 0, 1)
    }

    fn seat(&self, spec: &Spec, groups: usize, series: usize) -> Option<Seat> {
        spec.groups.fetch_add(groups, Ordering::Relaxed);
        spec.made.fetch_add(series, Ordering::Relaxed);
        let seat = Seat { of: [Arc::clone(&spec.groups), Arc::clone(&spec.made)], taken: [groups, series] };
        // Dropping the seat gives both back.
        Some(seat).filter(|_| spec.made() <= spec.max_series)
    }
}

// === impl Memory ===

impl Memory {
    /// Bytes that lie apart.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Peers(peers) => peers.bytes(),
            Self::Native(before) => before.bytes(),
            Self::Entity(entity) => entity.bytes(),
        }
    }

    /// A new part, where another one may have been.
    pub(super) fn join(&mut self, part: u32, labels: &Arc<SeriesLabels>) {
        match self {
            Self::Peers(peers) => peers.join(part),
            Self::Entity(entity) => entity.join(part, labels),
            Self::Nothing | Self::Native(_) => {}
        }
    }

    /// A part is forgotten.
    pub(super) fn leave(&mut self, part: u32) {
        if let Self::Entity(entity) = self {
            entity.leave(part);
        }
    }
}

// === impl Spec ===

impl Spec {
    /// Makes `shape` at each timestamp where `step_ms` is 0, else once in a step; at most `max_series` are made.
    pub fn new(name: String, shape: Shape, step_ms: i64, max_series: usize) -> Self {
        Self { name, shape, step_ms, max_series, groups: Arc::default(), made: Arc::default() }
    }

    /// What it is called in status pages and error texts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of signal it is.
    pub fn signal(&self) -> &'static str {
        match self.shape {
            Shape::Histogram(_) => "histogram",
            Shape::Ratio(_) => "ratio",
            Shape::Sum(_) => "sum",
            Shape::Peers(_) => "peers",
            Shape::Native(_) => "native_histogram",
            Shape::Entity(_) => "entity",
        }
    }

    /// Milliseconds of a step; 0 where each timestamp is one.
    pub fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// Series that are made of its groups.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// Series that may be made at the most.
    pub fn max_series(&self) -> usize {
        self.max_series
    }

    /// How a series of these `labels` takes part, if it does.
    pub(super) fn claim(&self, labels: &[(&str, &str)]) -> Option<Claim> {
        match &self.shape {
            Shape::Histogram(histogram) => histogram.claim(labels),
            Shape::Ratio(ratio) => ratio.claim(labels, &self.name),
            Shape::Sum(sum) => sum.claim(labels, &self.name),
            Shape::Peers(alike) => alike.claim(labels),
            Shape::Native(native) => native.claim(labels),
            Shape::Entity(thing) => thing.claim(labels, &self.name),
        }
    }

    /// What one of its groups remembers at first.
    pub(super) fn memory(&self) -> Memory {
        match self.shape {
            Shape::Peers(_) => Memory::Peers(Peers::default()),
            Shape::Native(_) => Memory::Native(Before::default()),
            Shape::Entity(_) => Memory::Entity(Entity::default()),
            Shape::Histogram(_) | Shape::Ratio(_) | Shape::Sum(_) => Memory::Nothing,
        }
    }

    /// What the series is called that is made of each part called `name`; none where something is made of the whole
    /// group.
    pub(super) fn name_for_part(&self, name: &str) -> Option<String> {
        matches!(self.shape, Shape::Peers(_)).then(|| format!("{name}:peer"))
    }

    /// The names of what is made, for the group of this base name.
    pub(super) fn names(&self, base: &str) -> impl Iterator<Item = String> {
        self.shape.outputs().map(move |suffix| format!("{base}{suffix}"))
    }

    /// What is made of a step: calls `each` with the number of the output, in the order of [`Spec::names`] or that of
    /// the part, its value, and what is given beside it.
    pub(super) fn make(
        &self,
        closed: &Closed<'_>,
        memory: &mut Memory,
        mut each: impl FnMut(u32, f64, Option<Given>),
    ) {
        if let Memory::Entity(entity) = memory {
            let together = entity.look_at(closed).into_iter();
            return together.for_each(|all| each(0, f64::from(all.mean), Some(Given::Together(all))));
        }
        if let Memory::Peers(peers) = memory {
            return peers.compare(closed, |part, value, beside| {
                let Beside { expected, spread, distance } = beside;
                each(part, value, Some(Given::Away { expected, spread, distance }));
            });
        }
        let mut give =
            |output, value: Option<f64>| value.into_iter().for_each(|value| each(output, value, None));
        match &self.shape {
            Shape::Histogram(asked) => {
                let (mean, rate) = derive::histogram(closed);
                give(0, mean.filter(|_| asked.mean));
                give(u32::from(asked.mean), rate.filter(|_| asked.rate));
            }
            Shape::Ratio(_) => give(0, derive::ratio(closed)),
            Shape::Sum(_) => give(0, derive::sum(closed)),
            Shape::Native(native) => {
                let Memory::Native(Before { made, .. }) = memory else { return };
                let asked =
                    native.outputs().into_iter().zip(made).filter_map(|(name, made)| name.and(Some(made)));
                asked.enumerate().for_each(|(output, made)| give(output as u32, *made));
            }
            Shape::Peers(_) | Shape::Entity(_) => {}
        }
    }

    /// Whether it makes something of native histograms, and not of samples.
    pub(super) fn takes_histograms(&self) -> bool {
        self.native().is_some()
    }

    /// What of native histograms it makes.
    pub(super) fn native(&self) -> Option<&Native> {
        match &self.shape {
            Shape::Native(native) => Some(native),
            _ => None,
        }
    }
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        let rest = |spec: &Self| (spec.step_ms, spec.max_series);
        self.name == other.name && self.shape == other.shape && rest(self) == rest(other)
    }
}

// === impl Shape ===

impl Shape {
    /// What stands behind the base name of the series that are made.
    fn outputs(&self) -> impl Iterator<Item = &str> {
        let outputs = match self {
            Self::Histogram(asked) => [asked.mean.then_some(":mean"), asked.rate.then_some(":rate"), None],
            Self::Ratio(_) => [Some(":ratio"), None, None],
            Self::Sum(_) => [Some(":sum"), None, None],
            Self::Peers(_) => [None; 3],
            Self::Entity(_) => [Some(""), None, None],
            Self::Native(native) => native.outputs(),
        };
        outputs.into_iter().flatten()
    }
}

// === impl Histogram ===

impl Histogram {
    fn claim(&self, labels: &[(&str, &str)]) -> Option<Claim> {
        let name = name(labels);
        let sum = name.strip_suffix("_sum").map(|family| (family, derive::SUM));
        let (family, role) = sum.or_else(|| Some((name.strip_suffix("_count")?, derive::COUNT)))?;
        let of_family: Vec<_> = labels
            .iter()
            .map(|&(name, value)| (name, if name == METRIC_NAME { family } else { value }))
            .collect();
        let labels =
            of_family.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        is_selected(&self.selectors, &of_family).then_some(Claim { role, quantity: Quantity::Rate, labels })
    }
}

// === impl Ratio ===

impl Ratio {
    fn claim(&self, labels: &[(&str, &str)], base: &str) -> Option<Claim> {
        let role = |selectors, role| if is_selected(selectors, labels) { role } else { 0 };
        let role = role(&self.of, derive::OF) | role(&self.to, derive::TO);
        (role != 0).then(|| Claim {
            role,
            quantity: Quantity::of(self.kind, labels),
            labels: grouped(labels, &self.by, base),
        })
    }
}

// === impl Sum ===

impl Sum {
    fn claim(&self, labels: &[(&str, &str)], base: &str) -> Option<Claim> {
        is_selected(&self.selectors, labels).then(|| Claim {
            role: 0,
            quantity: Quantity::of(self.kind, labels),
            labels: grouped(labels, &self.by, base),
        })
    }
}

// === impl Alike ===

impl Alike {
    fn claim(&self, labels: &[(&str, &str)]) -> Option<Claim> {
        let kept = || labels.iter().filter(|(name, _)| !self.without.iter().any(|without| without == name));
        is_selected(&self.selectors, labels).then(|| Claim {
            role: 0,
            quantity: Quantity::of(self.kind, labels),
            labels: kept().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        })
    }
}

// === impl Thing ===

impl Thing {
    fn claim(&self, labels: &[(&str, &str)], base: &str) -> Option<Claim> {
        is_selected(&self.selectors, labels).then(|| Claim {
            role: 0,
            quantity: Quantity::Score,
            labels: grouped(labels, &self.by, base),
        })
    }
}

// === impl Quantity ===

impl Quantity {
    fn of(kind: Kind, labels: &[(&str, &str)]) -> Self {
        if kind.is_counter(name(labels)) { Self::Rate } else { Self::Value }
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        for (count, taken) in self.of.iter().zip(self.taken) {
            count.fetch_sub(taken, Ordering::Relaxed);
        }
    }
}

fn name<'a>(labels: &[(&'a str, &'a str)]) -> &'a str {
    labels.iter().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value)
}

pub(super) fn is_selected(selectors: &[Selector], labels: &[(&str, &str)]) -> bool {
    selectors.iter().any(|selector| selector.matches(labels))
}

/// The labels called `by` and the name `base`, sorted.
fn grouped(labels: &[(&str, &str)], by: &[String], base: &str) -> Vec<(String, String)> {
    let kept = labels.iter().filter(|(name, _)| by.iter().any(|by| by == name));
    let kept = kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut grouped: Vec<_> = kept.chain([(METRIC_NAME.to_owned(), base.to_owned())]).collect();
    grouped.sort_unstable();
    grouped
}
