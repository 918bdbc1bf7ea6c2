//! What a rollout of 100 pods costs and hides: `cargo bench --bench rollout`.
//!
//! One workload of synthetic pods with a daily season, each a little unlike the others, is scored for four days by the
//! presets. Then all pods are replaced within five minutes, by others of the same work: their
//! caches are cold at first and they burn processor time while they start. Ten minutes after the last one, five of
//! them each use half more processor time, 0.4 times more memory, answer five times the errors or take half longer.
//! Counted are alerts on all other series in the first hour of the new pods, and which of these troubles are found. The
//! same is played with the presets as they are, and with `identity_without` taken out of them.

use std::ops::Range;
use std::sync::Arc;

use sidelong::batch::{Batch, Key, LabelSource, Sample, SeriesSpan, stale_marker};
use sidelong::inject::{Names, ScoreSample, Workloads};
use sidelong::model::{Model, ModelSlot};
use sidelong::pipeline::{Limits, Memory, Pipeline, Settings, Visit, Wiring};
use sidelong::rules::{OutputNames, Preset, Rule, RuleSet};
use sidelong::series::labels::Interner;
use sidelong::series::{Scope, ScopeName, Scopes, Spelling, Table};
use sidelong::simulate::synth::{Fleet, FleetOptions, Kind, MONDAY_MS, Plan};

/// Steps of the samples.
const STEPS_MS: [i64; 2] = [15_000, 60_000];
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const PODS: usize = 100;
/// The time from the first pod to the last. Those that are replaced in one step are a fleet of their own.
const ROLLOUT_MS: i64 = 300_000;
const LEARNED_MS: i64 = 96 * HOUR_MS;
/// From one pod to the one that takes its place.
const HANDOVER_MS: i64 = 60_000;
/// A trouble that is found later is not found.
const FOUND_WITHIN_MS: i64 = 20 * MINUTE_MS;
const STARTING_MS: i64 = 90_000;
const STARTING_CORES: f64 = 0.4;
/// Seed of a fleet, and the hour of the day of its rollout.
const ROLLOUTS: [(u64, i64); 3] = [(1, 3), (2, 8), (3, 14)];

/// How the pods are replaced.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// The new one starts before the old one ends, as a Deployment does it.
    NewFirst,
    /// The old one ends first, as a StatefulSet does it.
    OldFirst,
    /// The new one starts first, and nobody says that the old one ended: its samples have timestamps of their own.
    Untold,
    /// Not at all: what could be had at best.
    Never,
}

/// What goes wrong with one pod in five.
#[derive(Clone, Copy)]
struct Trouble {
    series: &'static str,
    code: &'static str,
    factor: f64,
}

const TROUBLES: [Trouble; 4] = [
    Trouble { series: "container_cpu_usage_seconds_total", code: "", factor: 1.5 },
    Trouble { series: "container_memory_working_set_bytes", code: "", factor: 1.4 },
    Trouble { series: "http_requests_total", code: "500", factor: 5.0 },
    Trouble { series: "http_request_duration_seconds_sum", code: "", factor: 1.5 },
];

/// A series of one pod, as it is exported.
struct Line {
    labels: Vec<(&'static str, String)>,
    pod: usize,
    counts: bool,
    trouble: Option<Trouble>,
    /// Its place in the fleet.
    at: usize,
    /// What was read there last, and when.
    read: Option<(i64, f64)>,
    told: f64,
    is_anomalous: bool,
    alerts: u32,
    found_ms: Option<i64>,
}

/// Pods that started together.
struct Pods {
    fleet: Fleet,
    started_ms: i64,
    lines: Vec<Line>,
    values: Vec<f64>,
}

/// Labels by their place in a batch.
struct Source<'a>(Vec<&'a Line>);

/// A corridor of its own.
struct Corridor {
    _slot: ModelSlot,
    pipeline: Pipeline,
    scope: Arc<Scope>,
    inherited: u64,
}

/// One rollout.
#[derive(Clone, Copy)]
struct Rollout {
    step_ms: i64,
    way: Way,
    rollout_ms: i64,
}

/// What came of some rollouts.
#[derive(Default)]
struct Outcome {
    alerts: u32,
    troubled: u32,
    delays_ms: Vec<i64>,
    inherited: u64,
}

fn main() {
    for step_ms in STEPS_MS {
        play(step_ms);
    }
}

/// Prints the table of rollouts at steps of `step_ms`.
fn play(step_ms: i64) {
    let learned: Vec<_> = ROLLOUTS.iter().map(|(seed, hour)| learn(step_ms, *seed, *hour)).collect();
    println!("{PODS} pods of 7 series, a sample every {} s\n", step_ms / 1_000);
    println!(
        "| pods are replaced | identity_without | states inherited | alerts in the first hour | troubles found | after, median |"
    );
    println!("|---|---|---|---|---|---|");
    for (way, name) in [
        (Way::NewFirst, "new ones first"),
        (Way::OldFirst, "old ones first"),
        (Way::Untold, "new ones first, no stale markers"),
        (Way::Never, "never"),
    ] {
        for inherits in [false, true] {
            if way == Way::Never && inherits {
                continue; // nobody leaves anything
            }
            let mut sum = Outcome::default();
            for ((seed, _), (memories, rollout_ms)) in ROLLOUTS.iter().zip(&learned) {
                roll_out(
                    Rollout { step_ms, way, rollout_ms: *rollout_ms },
                    inherits,
                    *seed,
                    memories,
                    &mut sum,
                );
            }
            let rounds = ROLLOUTS.len() as f64;
            sum.delays_ms.sort_unstable();
            let median = sum.delays_ms.get(sum.delays_ms.len() / 2);
            println!(
                "| {name} | {} | {:.0} | {:.1} | {} of {} | {} |",
                if inherits { "as in the presets" } else { "none" },
                sum.inherited as f64 / rounds,
                f64::from(sum.alerts) / rounds,
                sum.delays_ms.len(),
                sum.troubled,
                median.map_or("never".to_owned(), |ms| format!("{} s", ms / 1_000)),
            );
        }
    }
    println!();
}

/// What four days teach, and when the rollout begins.
fn learn(step_ms: i64, seed: u64, hour: i64) -> (Vec<Memory>, i64) {
    let start_ms = MONDAY_MS + hour * HOUR_MS;
    let mut corridor = Corridor::new(true, &[], start_ms);
    let mut pods = [Pods::new(seed, 0, 0..PODS, start_ms)];
    let rollout_ms = start_ms + LEARNED_MS;
    for at_ms in (start_ms..rollout_ms).step_by(step_ms as usize) {
        corridor.step(&mut pods, at_ms, |_, _| Some(false), i64::MAX);
    }
    let chunks = 0..corridor.pipeline.series().chunks();
    (chunks.flat_map(|chunk| corridor.pipeline.memories(chunk)).collect(), rollout_ms)
}

fn roll_out(rollout: Rollout, inherits: bool, seed: u64, memories: &[Memory], sum: &mut Outcome) {
    let Rollout { step_ms, way, rollout_ms } = rollout;
    let mut corridor = Corridor::new(inherits, memories, rollout_ms);
    let mut old = Pods::new(seed, 0, 0..PODS, rollout_ms - LEARNED_MS);
    if way != Way::Never {
        old.lines.iter_mut().for_each(|line| line.trouble = None);
    }
    old.read(rollout_ms - step_ms, i64::MAX);
    let mut all = vec![old];
    let troubled_ms = rollout_ms + ROLLOUT_MS + 10 * MINUTE_MS;
    for at_ms in (rollout_ms..rollout_ms + ROLLOUT_MS + HOUR_MS).step_by(step_ms as usize) {
        if let Some(numbers) = rollout.begin_at(at_ms) {
            all.push(Pods::new(seed * 1_000 + numbers.start as u64, 1, numbers, at_ms));
        }
        corridor.step(
            &mut all,
            at_ms,
            |line, started_ms| rollout.is_there(line, started_ms, at_ms),
            troubled_ms,
        );
    }
    sum.inherited += corridor.inherited;
    let judged = if way == Way::Never { &all[..] } else { &all[1..] };
    for line in judged.iter().flat_map(|pods| &pods.lines) {
        match line.trouble {
            None => sum.alerts += line.alerts,
            Some(_) => {
                sum.troubled += 1;
                let delay_ms = line.found_ms.map(|found_ms| found_ms - troubled_ms);
                sum.delays_ms.extend(delay_ms.filter(|delay_ms| *delay_ms <= FOUND_WITHIN_MS));
            }
        }
    }
}

// === impl Rollout ===

impl Rollout {
    /// Pods that are replaced in one step.
    fn wave(&self) -> usize {
        (PODS as i64 * self.step_ms / ROLLOUT_MS) as usize
    }

    /// The numbers of the pods that begin at `at_ms`, if any do.
    fn begin_at(&self, at_ms: i64) -> Option<Range<usize>> {
        let since_ms = at_ms - self.rollout_ms - if self.way == Way::OldFirst { HANDOVER_MS } else { 0 };
        let first = usize::try_from(since_ms / self.step_ms).ok()? * self.wave();
        let begins = self.way != Way::Never && since_ms >= 0 && first < PODS;
        begins.then(|| first..first + self.wave())
    }

    /// Whether `line` ends at `at_ms` (`true`) or goes on (`false`), or nothing where it is not there.
    fn is_there(&self, line: &Line, started_ms: i64, at_ms: i64) -> Option<bool> {
        if started_ms >= self.rollout_ms || self.way == Way::Never {
            return Some(false);
        }
        let turn_ms = self.rollout_ms + (line.pod / self.wave()) as i64 * self.step_ms;
        let ends_ms = turn_ms + if self.way == Way::OldFirst { 0 } else { HANDOVER_MS };
        let is_told = self.way != Way::Untold && at_ms - self.step_ms < ends_ms;
        if at_ms < ends_ms { Some(false) } else { is_told.then_some(true) }
    }
}

// === impl Pods ===

impl Pods {
    fn new(seed: u64, generation: usize, numbers: Range<usize>, start_ms: i64) -> Self {
        let plan = Plan { quiet_ms: 0, every_ms: 0, kinds: Kind::OF_SERIES };
        let fleet = Fleet::new(FleetOptions { seed, instances: numbers.len() as u32, start_ms, plan });
        let of_pods = fleet.series().iter().enumerate().filter(|(_, series)| {
            series.suffix != "_bucket" && series.labels.iter().any(|(name, _)| *name == "pod")
        });
        let lines = of_pods.map(|(at, series)| {
            let number = numbers.start + series.instance as usize;
            let mut labels = vec![("__name__", series.name())];
            labels.extend(series.labels.iter().filter(|(name, _)| *name != "pod").cloned());
            labels.push(("pod", pod_name(generation, number)));
            labels.push(("instance", format!("10.{generation}.0.{number}:8080")));
            if series.name().starts_with("container_") {
                labels.push(("id", format!("/kubepods/pod{generation}{number:04}")));
                labels.push(("image", format!("registry/api:v{generation}")));
            }
            let is_of = |trouble: &&Trouble| {
                let code = series.labels.iter().find(|(name, _)| *name == "code");
                series.name() == trouble.series && code.map_or("", |(_, code)| code) == trouble.code
            };
            // One pod in five has a trouble, each of its own kind.
            let kind = number.is_multiple_of(5).then(|| &TROUBLES[number / 5 % TROUBLES.len()]);
            Line {
                labels,
                pod: number,
                counts: series.is_counter(),
                trouble: kind.filter(is_of).copied(),
                at,
                read: None,
                told: 0.0,
                is_anomalous: false,
                alerts: 0,
                found_ms: None,
            }
        });
        let lines = lines.collect();
        Self { fleet, started_ms: start_ms, lines, values: Vec::new() }
    }

    /// Reads all values of the moment `at_ms`, troubles from `troubled_ms` on.
    fn read(&mut self, at_ms: i64, troubled_ms: i64) {
        self.fleet.advance_to(at_ms);
        self.fleet.read(&mut self.values);
        let is_starting = at_ms - self.started_ms <= STARTING_MS;
        for line in &mut self.lines {
            let value = self.values[line.at];
            let factor = line.trouble.filter(|_| at_ms >= troubled_ms).map_or(1.0, |trouble| trouble.factor);
            if line.counts {
                let (since_ms, before) = line.read.unwrap_or((at_ms, value));
                line.told += (value - before) * factor;
                if is_starting && line.labels[0].1 == TROUBLES[0].series {
                    line.told += STARTING_CORES * (at_ms - since_ms) as f64 / 1e3;
                }
            } else {
                line.told = value * factor;
            }
            line.read = Some((at_ms, value));
        }
    }
}

/// As a Deployment names its pods.
fn pod_name(generation: usize, number: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let letter = |place: u32| char::from(LETTERS[(number * 7 + generation * 11) / 27_usize.pow(place) % 27]);
    let part: String = (0..5).map(letter).collect();
    format!("api-{}-{part}", ["7d9f8b6c5", "66b5d8c9df"][generation])
}

// === impl Corridor ===

impl Corridor {
    fn new(inherits: bool, memories: &[Memory], now_ms: i64) -> Self {
        let interner = Interner::default();
        let names = Names::new("$VAR", &interner).expect("a template");
        let own = OutputNames::by_templates(["$VAR"]);
        let rules = RuleSet::compile(rules(inherits), Vec::new(), own).expect("the presets");
        let slot = ModelSlot::new(Model::builtin());
        let settings = Settings::new(rules, names, Limits::default());
        let workloads = Workloads::new(Vec::new(), 0);
        let pipeline =
            Pipeline::new(slot.handle(), settings, Scopes::new(0), workloads, Table::new(interner));
        for memory in memories {
            pipeline.recall(memory.clone(), now_ms).expect("room for what was learned");
        }
        let scope = pipeline.scope(&ScopeName::Tenant("".into()), now_ms).expect("room for a tenant");
        Self { _slot: slot, pipeline, scope, inherited: 0 }
    }

    /// Writes all that is there as one request. `ends` says of a line that it goes on (`false`), ends now (`true`) or
    /// is not there.
    fn step(
        &mut self,
        all: &mut [Pods],
        at_ms: i64,
        ends: impl Fn(&Line, i64) -> Option<bool>,
        troubled_ms: i64,
    ) {
        all.iter_mut().for_each(|pods| pods.read(at_ms, troubled_ms));
        let (mut batch, mut there) = (Batch::default(), Vec::new());
        for (group, pods) in all.iter().enumerate() {
            for (number, line) in pods.lines.iter().enumerate() {
                let Some(ends) = ends(line, pods.started_ms) else { continue };
                let at = there.len() as u32;
                let key = Key::of(
                    &[group.to_le_bytes(), number.to_le_bytes()].concat(),
                    self.scope.seed(Spelling::RemoteWrite1),
                );
                let value = if ends { stale_marker() } else { line.told };
                batch.series.push(SeriesSpan { key, labels: at..at + 1, samples: at..at + 1 });
                batch.samples.push(Sample { timestamp_ms: at_ms, value });
                there.push((group, number));
            }
        }
        let source = Source(there.iter().map(|(group, number)| &all[*group].lines[*number]).collect());
        let visit = Visit {
            scope: &self.scope,
            batch: &batch,
            labels: &source,
            now_ms: at_ms,
            wiring: Wiring::Gateway,
        };
        let mut out: Vec<ScoreSample> = Vec::new();
        self.inherited += self.pipeline.score(&visit, &mut out).inherited;
        drop(source);
        take_scores(all, &there, &out, at_ms, troubled_ms);
    }
}

/// Notes what was said of each line; scores come in the order of the batch, each line's own or none.
fn take_scores(
    all: &mut [Pods],
    there: &[(usize, usize)],
    out: &[ScoreSample],
    at_ms: i64,
    troubled_ms: i64,
) {
    let is_score =
        |score: &&ScoreSample| score.name.value() == "anomaly_score" && score.sample.value.is_finite();
    let mut scores = out.iter().filter(is_score).peekable();
    for (group, number) in there {
        let line = &mut all[*group].lines[*number];
        let of_line = |score: &&ScoreSample| {
            line.labels.iter().all(|(name, value)| score.labels.get(name) == Some(value))
        };
        let Some(score) = scores.next_if(of_line) else { continue };
        let is_anomalous = score.sample.value >= 1.0;
        line.alerts += u32::from(is_anomalous && !line.is_anomalous);
        // One that was called before is not found by that.
        if is_anomalous && !line.is_anomalous && at_ms >= troubled_ms {
            line.found_ms.get_or_insert(at_ms);
        }
        line.is_anomalous = is_anomalous;
    }
    assert!(scores.next().is_none(), "every score is of a line");
}

/// The presets for pods; without heirs, if nobody is to inherit.
fn rules(inherits: bool) -> Vec<Rule> {
    let presets = [Preset::Kubernetes, Preset::KubeStateMetrics, Preset::HttpRed];
    let all = presets.iter().flat_map(|preset| preset.rules().expect("a preset"));
    all.map(|mut raw| {
        if !inherits {
            raw.identity_without.clear();
        }
        raw.check().expect("a rule")
    })
    .collect()
}

impl LabelSource for Source<'_> {
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0[labels.start as usize].labels {
            each(name.as_bytes(), value.as_bytes());
        }
    }
}
