//! The corridor as it would run: the series of a census, with values made up around those that were read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::census::Census;
use super::stock::Stock;
use crate::batch::{Batch, Buckets, Key, LabelSource, NativeHistogram, Sample, SeriesSpan, Unreadable};
use crate::inject::{Emit, Workloads};
use crate::model::{Model, ModelSlot};
use crate::pipeline::{Budget, Holding, Pipeline, Reason, Settings, Tally, Visit, Wiring};
use crate::series::labels::{Pair, SeriesLabels};
use crate::series::{Scope, ScopeName, Scopes, Spelling, Table};
use crate::signals::Held;

/// Rounds after which a detector does all that it does.
const WARM_UP: u32 = 40;
/// Steps of the slowest signal that are waited for.
const STEPS: i64 = 6;
/// Rounds at the most until signals have settled.
const MAX_ROUNDS: u32 = 400;
/// How long is measured, in as many rounds as that takes, and how many there are at the least and the most.
const MEASURED: Duration = Duration::from_millis(200);
const MEASURED_ROUNDS: Range<u32> = 3..2_000;
/// When it begins, in milliseconds since the epoch.
const BEGIN_MS: i64 = 1_700_000_000_000;
/// The scope of all series.
const TENANT: &str = "estimate";

/// What a rehearsal found.
#[derive(Debug)]
pub struct Rehearsed {
    /// What is in the table, by rule.
    pub holdings: Vec<Holding>,
    /// What is there under each entry of `signals`, by its number.
    pub held: BTreeMap<u16, Held>,
    /// How much of the budget is spent.
    pub budget: Budget,
    /// Bytes of the labels.
    pub label_bytes: usize,
    /// Seconds that a round takes, by the index of the rule; behind the rules those of series without one, and those of
    /// the requests themselves.
    pub seconds: Vec<f64>,
    /// What came of the last round.
    pub last: Tally,
    /// Series that found no room in a group, over all rounds.
    pub groups_refused: u64,
    /// Rounds that were played before anything was measured.
    pub rounds: u32,
    /// Rounds that it takes until signals have settled.
    pub rounds_needed: u32,
}

/// Why there is no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// No room for even one tenant.
    #[error("there is no room for a tenant; raise limits.max_tenants")]
    Scope,
}

/// The series of one rule, as one write request after the other brings them.
struct Lot {
    rule: usize,
    batch: Batch,
    entries: Vec<u32>,
    seconds: f64,
}

/// What the values of one round are read from.
struct Round<'a> {
    stock: &'a Stock,
    at_ms: i64,
    number: u32,
}

/// Where the scores go: nowhere.
struct Unsent;

/// Series in a write request.
const REQUEST: usize = 2_000;

/// Leads the series of `census` through a corridor of `settings`, whose names are in the interner of `table`, with a
/// sample of each in `interval_ms`. `progress` is told how many rounds of how many are done.
///
/// # Errors
///
/// Settings without room for anybody.
pub fn rehearse(
    census: &Census,
    (table, settings): (Table, Settings),
    workloads: Workloads,
    interval_ms: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Rehearsed, RehearsalError> {
    let rounds_needed = rounds_needed(&settings, interval_ms);
    let rounds = rounds_needed.clamp(WARM_UP, MAX_ROUNDS);
    let rules = settings.rules.iter().count();
    let slot = ModelSlot::new(Model::builtin());
    let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(0), workloads, table);
    let scope = pipeline.scope(&ScopeName::Tenant(TENANT.into()), BEGIN_MS).ok_or(RehearsalError::Scope)?;
    let mut lots = lots(&census.stock, &scope, rules);
    let (mut groups_refused, mut last) = (0, Tally::default());
    for number in 0..rounds {
        last = play(&pipeline, &scope, census, &mut lots, (number, interval_ms));
        groups_refused += last.groups_refused;
        progress(u64::from(number) + 1, u64::from(rounds));
    }
    // What a request costs whatever it holds: a rule's series do not come alone.
    lots.push(Lot::of(&census.stock, &scope, rules + 1, &[]));
    lots.iter_mut().for_each(|lot| lot.seconds = 0.0);
    let (begun, mut measured) = (Instant::now(), 0);
    while measured < MEASURED_ROUNDS.end && (measured < MEASURED_ROUNDS.start || begun.elapsed() < MEASURED) {
        last = play(&pipeline, &scope, census, &mut lots, (rounds + measured, interval_ms));
        measured += 1;
    }
    let seconds = seconds(&lots, rules, measured);
    let budget = pipeline.budget();
    Ok(Rehearsed {
        holdings: pipeline.holdings(interval_ms),
        held: scope.groups().by_entry(),
        label_bytes: budget.label_bytes,
        budget,
        seconds,
        last,
        groups_refused,
        rounds,
        rounds_needed,
    })
}

/// The seconds of a round that each rule takes, and the requests in which all series would come.
fn seconds(lots: &[Lot], rules: usize, rounds: u32) -> Vec<f64> {
    let empty = lots.last().map_or(0.0, |empty| empty.seconds);
    let mut seconds = vec![0.0; rules + 2];
    for lot in lots {
        seconds[lot.rule] += (lot.seconds - empty).max(0.0) / f64::from(rounds);
    }
    let series: usize = lots.iter().map(Lot::series).sum();
    seconds[rules + 1] = series.div_ceil(REQUEST) as f64 * empty / f64::from(rounds);
    seconds
}

/// How many rounds it takes until everything is made that would be made.
fn rounds_needed(settings: &Settings, interval_ms: i64) -> u32 {
    let specs = settings.specs();
    let slowest = specs.iter().map(|spec| spec.step_ms().max(interval_ms)).max();
    let settled = slowest
        .map_or(0, |step_ms| (specs.watermark_ms().saturating_add(STEPS * step_ms)) / interval_ms.max(1) + 1);
    u32::try_from(settled).unwrap_or(u32::MAX)
}

/// The series by rule, in requests.
fn lots(stock: &Stock, scope: &Scope, rules: usize) -> Vec<Lot> {
    let mut numbers: Vec<u32> = (0..stock.entries().len() as u32).collect();
    let rule = |number: &u32| stock.entries()[*number as usize].rule.map_or(rules, usize::from);
    numbers.sort_by_key(rule); // stable: otherwise in the order in which they were read
    let by_rule = numbers.chunk_by(|one, other| rule(one) == rule(other));
    by_rule
        .flat_map(|of_rule| of_rule.chunks(REQUEST))
        .map(|lot| Lot::of(stock, scope, rule(&lot[0]), lot))
        .collect()
}

fn play(
    pipeline: &Pipeline,
    scope: &Arc<Scope>,
    census: &Census,
    lots: &mut [Lot],
    (number, interval_ms): (u32, i64),
) -> Tally {
    let at_ms = BEGIN_MS + i64::from(number) * interval_ms;
    let round = Round { stock: &census.stock, at_ms, number };
    let mut total = Tally::default();
    for lot in lots {
        lot.fill(&round);
        let visit =
            Visit { scope, batch: &lot.batch, labels: &round, now_ms: at_ms, wiring: Wiring::Gateway };
        let begun = Instant::now();
        let tally = pipeline.score(&visit, &mut Unsent);
        lot.seconds += begun.elapsed().as_secs_f64();
        total.scored += tally.scored;
        total.groups_refused += tally.groups_refused;
        Reason::ALL.into_iter().for_each(|reason| total.unscored(reason, tally.unscored_for(reason)));
    }
    total
}

// === impl Lot ===

impl Lot {
    fn of(stock: &Stock, scope: &Scope, rule: usize, numbers: &[u32]) -> Self {
        let mut batch = Batch::default();
        batch.histograms.max_buckets = u32::MAX;
        let mut entries = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let entry = &stock.entries()[number as usize];
            let key = Key::of(stock.spelled(entry), scope.seed(Spelling::RemoteWrite1));
            let at = entries.len() as u32;
            let span = |key, samples| SeriesSpan { key, labels: number..number + 1, samples };
            if entry.is_histogram {
                let at = batch.histograms.messages.len() as u32;
                batch.histograms.messages.push(number..number + 1);
                batch.histograms.series.push(span(key.of_histograms(), at..at + 1));
            } else {
                batch.series.push(span(key, at..at + 1));
                entries.push(number);
            }
        }
        Self { rule, batch, entries, seconds: 0.0 }
    }

    fn series(&self) -> usize {
        self.batch.series.len() + self.batch.histograms.series.len()
    }

    fn fill(&mut self, round: &Round<'_>) {
        self.batch.samples.clear();
        let sample = |number: &u32| Sample { timestamp_ms: round.at_ms, value: round.value(*number) };
        self.batch.samples.extend(self.entries.iter().map(sample));
    }
}

// === impl Round ===

impl Round<'_> {
    /// A value around the one that was read; of a counter one that goes on from it.
    fn value(&self, number: u32) -> f64 {
        let entry = &self.stock.entries()[number as usize];
        let noise = noise(number, self.number);
        if entry.is_counter {
            let step = (entry.value.abs() * 1e-4).max(1.0);
            return entry.value + step * (f64::from(self.number) + 0.3 * noise);
        }
        entry.value * (1.0 + 0.02 * (noise - 0.5))
    }
}

/// A number between 0 and 1, the same for the same series and round.
fn noise(series: u32, round: u32) -> f64 {
    let mut word = u64::from(series) << 32 | u64::from(round);
    word = (word ^ (word >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 27)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((word ^ (word >> 33)) >> 11) as f64 / (1_u64 << 53) as f64
}

impl LabelSource for Round<'_> {
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.stock.for_each_label(labels.start, each);
    }

    /// A histogram of ten buckets, each of which has one more in every round.
    fn read_histogram(&self, _: &Range<u32>, _: u32, into: &mut NativeHistogram) -> Result<(), Unreadable> {
        const BUCKETS: u32 = 10;
        into.clear();
        let counted = f64::from(self.number + 1);
        (into.timestamp_ms, into.count) = (self.at_ms, counted * f64::from(BUCKETS));
        into.sum = into.count;
        let Buckets { spans, counts } = &mut into.positive;
        spans.push((0, BUCKETS));
        counts.extend((0..BUCKETS).map(|_| counted));
        Ok(())
    }
}

impl Emit for Unsent {
    fn emit(&mut self, _: &Arc<SeriesLabels>, _: &'static Pair, _: Sample) {}
}
