//! One batch, one model, one set of rules: both are replaced without a pause while batches walk the corridor (F-28).

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Limits, Pipeline, Settings, Tally, Visit, Wiring};
use crate::batch::{Batch, Key, LabelSource, Sample, SeriesSpan, is_stale_marker};
use crate::detect::{Detector, Hybrid};
use crate::inject::{Emit, Names, ScoreSample, Workloads};
use crate::model::{Model, ModelSlot};
use crate::rules::{OutputNames, RawRule, RuleSet};
use crate::series::labels::{Pair, SeriesLabels};
use crate::series::{Scope, ScopeName, Scopes, Spelling, Table};

/// Series of a batch. All of them show the same values, so that one model by one set of rules gives all one score.
const SERIES: u32 = 200;
const STEP_MS: i64 = 60_000;
const START: i64 = 1_700_000_000_000;
/// Batches within which both versions must have had their turn.
const BATCHES: usize = 20_000;
/// Batches that each version must have scored.
const TURNS: usize = 20;

/// Two versions that score the same values a hundred times differently.
const THRESHOLDS: [f64; 2] = [1.0, 100.0];
/// Two sets of rules that do, and that name what they send differently.
const RULES: [(&str, &str); 2] = [
    ("[{match: '{__name__!=\"\"}', z_threshold: 1}]", "a_$VAR"),
    ("[{match: '{__name__!=\"\"}', z_threshold: 100}]", "b_$VAR"),
];

fn model(threshold: f64) -> Model {
    let hybrid = Hybrid { z_threshold: threshold, ..Hybrid::default() };
    let detector = Detector::Hybrid(Box::new(hybrid));
    Model { version: threshold.to_string(), detector, ..Model::builtin() }
}

fn settings(rules: &str, names: &Names) -> Settings {
    let raw: Vec<RawRule> = serde_saphyr::from_str(rules).expect("rules are YAML");
    let rules = raw.iter().map(|raw| raw.check().expect("a rule")).collect();
    let own = OutputNames::by_templates(["a_$VAR", "b_$VAR"]);
    Settings::new(RuleSet::compile(Vec::new(), rules, own).expect("a set"), *names, Limits::default())
}

/// A corridor, and what the two configurations call their output.
struct House {
    slot: ModelSlot,
    pipeline: Pipeline,
    names: [Names; 2],
}

// === impl House ===

impl House {
    fn new(rules: &str) -> Self {
        let table = Table::default();
        let names = RULES.map(|(_, template)| Names::new(template, table.interner()).expect("a template"));
        let slot = ModelSlot::new(model(THRESHOLDS[0]));
        let workloads = Workloads::new(vec!["job".into()], 100);
        let settings = settings(rules, &names[0]);
        let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(7), workloads, table);
        Self { slot, pipeline, names }
    }

    fn configure(&self, which: usize) {
        self.pipeline.configure(settings(RULES[which].0, &self.names[which]));
    }

    fn swap(&self, which: usize) {
        drop(self.slot.swap(model(THRESHOLDS[which])));
    }
}

/// Sends batches of one tenant, in order.
struct Sender<'a> {
    pipeline: &'a Pipeline,
    scope: Arc<Scope>,
    batch: Batch,
    step: i64,
}

/// Labels by their number. `met` is called for each series whose labels are asked for: for each newcomer.
struct Numbered<'a> {
    met: &'a dyn Fn(),
}

/// Replaces something at each sample that is emitted.
struct Replacing<'a> {
    replace: &'a dyn Fn(),
    out: Vec<ScoreSample>,
}

// === impl Sender ===

impl<'a> Sender<'a> {
    fn new(house: &'a House, tenant: &str, series: u32) -> Self {
        let pipeline = &house.pipeline;
        let scope = pipeline.scope(&ScopeName::Tenant(tenant.into()), START).expect("room for a tenant");
        let seed = scope.seed(Spelling::RemoteWrite1);
        let key = |n: u32| Key::of(&n.to_le_bytes(), seed);
        let span = |n: u32| SeriesSpan { key: key(n), labels: n..n + 1, samples: n..n + 1 };
        let batch = Batch { series: (0..series).map(span).collect(), ..Batch::default() };
        Self { pipeline, scope, batch, step: 0 }
    }

    /// Sends the next batch and says what all that is emitted for it has in common.
    fn push(&mut self) -> (String, f64) {
        let mut out = Vec::new();
        self.push_into(&mut out, &|| ());
        self.in_common(&out)
    }

    fn push_into(&mut self, out: &mut impl Emit, met: &dyn Fn()) -> Tally {
        let value = 10.0 + ((self.step * 7919) % 13) as f64;
        let sample = Sample { timestamp_ms: START + self.step * STEP_MS, value };
        self.batch.samples = vec![sample; self.batch.series.len()];
        let (batch, now_ms) = (&self.batch, sample.timestamp_ms);
        let labels = &Numbered { met };
        let visit = Visit { scope: &self.scope, batch, labels, now_ms, wiring: Wiring::Gateway };
        self.step += 1;
        self.pipeline.score(&visit, out)
    }

    fn warmed(mut self) -> Self {
        (0..30).for_each(|_| drop(self.push()));
        self
    }

    /// The first word of all names, and the score of all series. Panics if they have not one in common.
    fn in_common(&self, emitted: &[ScoreSample]) -> (String, f64) {
        let (scores, counts): (Vec<_>, Vec<_>) =
            // What ends here was begun under other names, or by a clock that stood still meanwhile.
            emitted
                .iter()
                .filter(|sample| !is_stale_marker(sample.sample.value))
                .partition(|sample| sample.name.value().ends_with("anomaly_score"));
        assert_eq!(scores.len(), self.batch.series.len(), "every series has its score");
        let first_word = |sample: &ScoreSample| sample.name.value().chars().take(1).collect::<String>();
        let (word, score) = (first_word(scores[0]), scores[0].sample.value);
        for other in &scores {
            assert_eq!(other.sample.value.to_bits(), score.to_bits(), "two versions in one batch");
        }
        assert!(scores.iter().chain(&counts).all(|sample| first_word(sample) == word), "two sets of names");
        (word, score)
    }
}

impl LabelSource for Numbered<'_> {
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        (self.met)();
        each(b"__name__", b"level");
        each(b"job", b"it");
        each(b"n", labels.start.to_string().as_bytes());
    }
}

impl Emit for Replacing<'_> {
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        self.out.emit(labels, name, sample);
        (self.replace)();
    }
}

/// Two tenants send batches while `replace` goes on, until each version has had its turns. A version is known by what
/// an undisturbed house of it, in `houses`, gives for the same samples.
fn send_while(house: &House, replace: impl Fn(usize) + Sync, houses: &[House; 2]) {
    let over = AtomicBool::new(false);
    let send = |tenant: &str| {
        let mut sender = Sender::new(house, tenant, SERIES).warmed();
        let mut alone = [0, 1].map(|which| Sender::new(&houses[which], tenant, 1).warmed());
        let mut turns = [0; 2];
        for _ in 0..BATCHES {
            let (batch, want) = (sender.push(), alone.each_mut().map(Sender::push));
            assert_ne!(want[0], want[1], "the versions can be told apart");
            let version = want.iter().position(|want| *want == batch);
            turns[version.unwrap_or_else(|| panic!("{batch:?} is neither of {want:?}"))] += 1;
            if turns.iter().all(|turns| *turns >= TURNS) {
                return;
            }
        }
        panic!("in {BATCHES} batches the versions had {turns:?} turns");
    };
    thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                replace(1);
                replace(0);
            }
        });
        let sending = ["ant", "bee"].map(|tenant| scope.spawn(move || send(tenant)));
        let sent = sending.map(thread::ScopedJoinHandle::join);
        over.store(true, Ordering::Relaxed);
        replacing.join().expect("replacing goes on");
        for sent in sent {
            sent.expect("no batch is mixed");
        }
    });
}

#[test]
fn f28_every_batch_is_scored_by_one_model_while_models_are_swapped_without_a_pause() {
    let by_model = "[{match: '{__name__!=\"\"}', detector: zscore}]";
    let houses = [House::new(by_model), House::new(by_model)];
    houses[1].swap(1);
    let house = House::new(by_model);
    send_while(&house, |which| house.swap(which), &houses);
}

#[test]
fn f28_a_model_swapped_between_two_series_of_a_batch_is_for_the_next_batch() {
    let by_model = "[{match: '{__name__!=\"\"}', detector: zscore}]";
    let houses = [House::new(by_model), House::new(by_model)];
    houses[1].swap(1);
    let [mut first, mut second] = [0, 1].map(|which| Sender::new(&houses[which], "", 1).warmed());
    let house = House::new(by_model);
    let mut sender = Sender::new(&house, "", SERIES).warmed();
    let mut out = Replacing { replace: &|| house.swap(1), out: Vec::new() };
    sender.push_into(&mut out, &|| ());
    second.push();
    assert_eq!(sender.in_common(&out.out), first.push());
    assert_eq!(sender.push(), second.push());
}

#[test]
fn every_batch_is_scored_under_one_set_of_rules_while_they_are_replaced_without_a_pause() {
    let houses = [House::new(RULES[0].0), House::new(RULES[0].0)];
    houses[1].configure(1);
    let house = House::new(RULES[0].0);
    send_while(&house, |which| house.configure(which), &houses);
}

#[test]
fn rules_replaced_between_two_series_of_a_batch_are_for_the_next_batch() {
    let house = House::new(RULES[0].0);
    let mut sender = Sender::new(&house, "", SERIES);
    let mut out = Vec::new();
    sender.push_into(&mut out, &|| house.configure(1));
    assert_eq!(sender.in_common(&out).0, "a", "all are newcomers, before each of which the rules changed");
    assert_eq!(sender.push().0, "b");
}

/// A batch that began under the old rules must not leave their verdict behind for the new ones.
#[test]
fn what_the_old_rules_left_unselected_in_a_late_batch_is_asked_again() {
    let house = House::new("[{match: something_else}]");
    let mut sender = Sender::new(&house, "", SERIES);
    let replaced = Cell::new(false);
    let replace_once = || {
        if !replaced.replace(true) {
            house.configure(0);
        }
    };
    let late = sender.push_into(&mut Vec::new(), &replace_once);
    assert_eq!((late.unselected, late.scored), (u64::from(SERIES), 0), "it is under the old rules");
    assert_eq!(sender.push().0, "a");
}
