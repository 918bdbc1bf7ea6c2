//! All contexts that are in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};

use super::calendar::{Calendar, Stretch};
use super::clock;
use super::effect::Effect;
use crate::rules::Selector;

/// What is known beforehand of some series and some times.
#[derive(Debug)]
pub struct Context {
    /// What it is called.
    pub name: Box<str>,
    /// The series that it is for: those that any of these takes.
    pub selectors: Vec<Selector>,
    /// What is done with their scores.
    pub effect: Effect,
    /// When it holds.
    pub calendar: Calendar,
    /// Samples scored 1 or above while it held, whatever was made of the score.
    anomalies: Arc<AtomicU64>,
}

/// A context that somebody has announced.
#[derive(Clone, Debug)]
pub struct Announced {
    /// By which it is withdrawn.
    pub id: Box<str>,
    /// When it holds.
    pub window: Stretch,
    /// What it says.
    pub context: Arc<Context>,
}

/// All contexts that are in force. It is replaced as a whole.
#[derive(Clone, Debug)]
pub struct Board {
    /// Counts up, to tell which series were attached to an older one. From 1: a new series is attached to none.
    pub(super) generation: u32,
    /// Whether it is the board before it with one more announcement behind the others.
    pub(super) is_longer: bool,
    calendars: Vec<Arc<Context>>,
    announced: Vec<Announced>,
    /// The anomalies of all announced contexts, by effect.
    of_announced: [Arc<AtomicU64>; EFFECTS.len()],
}

/// A context that holds for a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// What it is called.
    pub name: String,
    /// What is done with the score.
    pub effect: Effect,
    /// When its window closes, in milliseconds since the epoch; told as people write it.
    #[serde(rename = "until", serialize_with = "written")]
    pub until_ms: i64,
}

/// In their order.
const EFFECTS: [Effect; 3] = [Effect::Annotate, Effect::Learn, Effect::Suppress];
/// What all announced contexts are called in metrics.
const ANNOUNCED: &str = "announced";

// === impl Context ===

impl Context {
    /// The context of `name` for the series of `selectors`.
    pub fn new(
        name: impl Into<Box<str>>,
        selectors: Vec<Selector>,
        effect: Effect,
        calendar: Calendar,
    ) -> Self {
        Self { name: name.into(), selectors, effect, calendar, anomalies: Arc::default() }
    }

    /// Whether it is for the series of these labels.
    fn is_for(&self, labels: &[(&str, &str)]) -> bool {
        self.selectors.iter().any(|selector| selector.matches(labels))
    }

    /// Counts an anomaly that came while it held.
    pub fn count_anomaly(&self) {
        self.anomalies.fetch_add(1, Ordering::Relaxed);
    }
}

// === impl Board ===

impl Default for Board {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Board {
    /// The name that no calendar may have: metrics call announced contexts so.
    pub const RESERVED: &str = ANNOUNCED;

    /// A board of `calendars`, on which nothing is announced.
    pub fn new(calendars: Vec<Context>) -> Self {
        let calendars = calendars.into_iter().map(Arc::new).collect();
        Self {
            generation: 1,
            is_longer: false,
            calendars,
            announced: Vec::new(),
            of_announced: Default::default(),
        }
    }

    /// Takes the place of `before`: what was announced there stands here, and what was counted goes on.
    pub fn follow(&mut self, before: &Self) {
        self.generation = before.next_generation();
        self.announced.clone_from(&before.announced);
        self.of_announced.clone_from(&before.of_announced);
        for calendar in self.calendars.iter_mut().filter_map(Arc::get_mut) {
            let same = before.calendars.iter().find(|other| other.name == calendar.name);
            if let Some(same) = same {
                calendar.anomalies = Arc::clone(&same.anomalies);
            }
        }
    }

    /// The same board with `announced` in the place of what was.
    #[must_use]
    pub fn announcing(&self, announced: Vec<Announced>) -> Self {
        Self { generation: self.next_generation(), is_longer: false, announced, ..self.clone() }
    }

    /// The same board with one announcement more. Series that were attached to this one are asked of that alone.
    #[must_use]
    pub fn adding(&self, announced: Announced) -> Self {
        let mut all = self.announced.clone();
        all.push(announced);
        Self { is_longer: true, ..self.announcing(all) }
    }

    fn next_generation(&self) -> u32 {
        self.generation.wrapping_add(1).max(1)
    }

    /// An announced context, which is counted with the others of its effect.
    pub fn announcement(&self, id: impl Into<Box<str>>, window: Stretch, mut context: Context) -> Announced {
        context.anomalies = Arc::clone(&self.of_announced[context.effect as usize]);
        Announced { id: id.into(), window, context: Arc::new(context) }
    }

    /// What was announced, in that order.
    pub fn announced(&self) -> &[Announced] {
        &self.announced
    }

    /// How many contexts come from the configuration.
    pub fn calendars(&self) -> usize {
        self.calendars.len()
    }

    /// Places of the contexts that are for the series of these labels, from the place `first` on.
    pub(super) fn places_for(&self, labels: &[(&str, &str)], first: usize) -> impl Iterator<Item = u16> {
        let is_for = move |(_, context): &(usize, &Arc<Context>)| context.is_for(labels);
        let from_first = self.contexts().enumerate().skip(first);
        from_first.filter(is_for).filter_map(|(place, _)| u16::try_from(place).ok())
    }

    /// How many contexts there are.
    pub(super) fn count(&self) -> usize {
        self.calendars.len() + self.announced.len()
    }

    /// Whether it is the board of `generation` with one announcement more.
    pub(super) fn goes_on_from(&self, generation: u32) -> bool {
        self.is_longer && generation > 0 && generation.wrapping_add(1) == self.generation
    }

    pub(super) fn context(&self, place: u16) -> Option<&Context> {
        let place = usize::from(place);
        let announced =
            || self.announced.get(place - self.calendars.len()).map(|announced| &announced.context);
        self.calendars.get(place).or_else(announced).map(Arc::as_ref)
    }

    /// What holds at `at_ms` for the series of these labels.
    pub fn held(&self, labels: &[(&str, &str)], at_ms: i64) -> Vec<Held> {
        let held = |context: &Arc<Context>| {
            let until_ms = context.calendar.open_until(at_ms)?;
            Some(Held { name: context.name.clone().into(), effect: context.effect, until_ms })
        };
        self.contexts().filter(|context| context.is_for(labels)).filter_map(held).collect()
    }

    /// Anomalies that came while a context held: its name, its effect and how many.
    pub fn anomalies(&self) -> impl Iterator<Item = (&str, Effect, u64)> {
        let of = |context: &'_ Arc<Context>| context.anomalies.load(Ordering::Relaxed);
        let calendars =
            self.calendars.iter().map(move |context| (&*context.name, context.effect, of(context)));
        let announced = EFFECTS.iter().zip(&self.of_announced);
        calendars.chain(announced.map(|(effect, count)| (ANNOUNCED, *effect, count.load(Ordering::Relaxed))))
    }

    fn contexts(&self) -> impl Iterator<Item = &Arc<Context>> {
        self.calendars.iter().chain(self.announced.iter().map(|announced| &announced.context))
    }
}

/// `at_ms` as RFC 3339 has it, in UTC.
fn written<S: Serializer>(at_ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&clock::written(*at_ms))
}
