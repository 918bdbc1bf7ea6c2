//! The corridor, driven as the doors drive it, with label sets in place of wire bytes.

mod absence;
mod contexts;
mod entities;
mod forecasts;
mod heirs;
mod histograms;
mod leaving;
mod outputs;
mod replicas;
mod room;
mod samples;
mod selection;
mod signals;
mod workloads;

use std::ops::Range;
use std::sync::Arc;

use super::{Limits, Pipeline, Reason, Settings, Tally, Visit, Wiring};
use crate::batch::{Batch, Key, LabelSource, Sample, SeriesSpan, is_stale_marker, stale_marker};
use crate::detect::{Broken, Detector, Hybrid};
use crate::inject::{Emit, Names, PageScores, ScoreSample, Workloads};
use crate::model::{Model, ModelSlot};
use crate::rules::{OutputNames, RawRule, RuleSet};
use crate::series::{Scope, ScopeLimits, ScopeName, Scopes, Spelling, Table};

type Labels = Vec<(&'static str, String)>;

/// A corridor, one tenant in it, and what the tenant's sender remembers.
struct House {
    slot: ModelSlot,
    pipeline: Pipeline,
    scope: Arc<Scope>,
    out: Vec<ScoreSample>,
}

/// Label sets by their place.
struct Source(Vec<Labels>);

const MINUTE: i64 = 60_000;
const START: i64 = 1_700_000_000_000;

// === impl House ===

impl House {
    fn new(rules: &str) -> Self {
        Self::with(rules, Limits::default())
    }

    fn with(rules: &str, limits: Limits) -> Self {
        let slot = ModelSlot::new(Model::builtin());
        let table = Table::default();
        let settings = settings(rules, limits, "$VAR", &table);
        let workloads = Workloads::new(vec!["job".into()], 100);
        let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(7), workloads, table);
        let scope = pipeline.scope(&ScopeName::Tenant("".into()), START).expect("room for a tenant");
        Self { slot, pipeline, scope, out: Vec::new() }
    }

    fn configure(&self, rules: &str) {
        self.configure_as(rules, "$VAR");
    }

    fn configure_as(&self, rules: &str, template: &str) {
        self.pipeline.configure(settings(rules, Limits::default(), template, self.pipeline.series()));
    }

    /// Lets `series` through as one batch; what it emits is in `out` afterwards.
    fn push(&mut self, series: &[(Labels, Sample)]) -> Tally {
        let mut out = Vec::new();
        let tally = self.visit(series, Wiring::Gateway, &mut out);
        self.out = out;
        tally
    }

    /// Lets `series` through as one page; what stands at its end is in `out` afterwards.
    fn page(&mut self, series: &[(Labels, Sample)], teach: bool) -> Tally {
        let mut page = PageScores::default();
        let tally = self.visit(series, Wiring::Page { teach }, &mut page);
        self.out = page.into_scores();
        tally
    }

    fn visit(&mut self, series: &[(Labels, Sample)], wiring: Wiring, out: &mut impl Emit) -> Tally {
        let now_ms = series.iter().map(|(_, sample)| sample.timestamp_ms).max().unwrap_or(START);
        self.visit_at(now_ms, series, wiring, out)
    }

    /// The same at a time of the arrival clock.
    fn visit_at(
        &mut self,
        now_ms: i64,
        series: &[(Labels, Sample)],
        wiring: Wiring,
        out: &mut impl Emit,
    ) -> Tally {
        let mut batch = Batch::default();
        for (at, (labels, sample)) in series.iter().enumerate() {
            let at = at as u32;
            let key = Key::of(format!("{labels:?}").as_bytes(), self.scope.seed(Spelling::RemoteWrite1));
            batch.samples.push(*sample);
            batch.series.push(SeriesSpan { key, labels: at..at + 1, samples: at..at + 1 });
        }
        let source = Source(series.iter().map(|(labels, _)| labels.clone()).collect());
        let visit = Visit { scope: &self.scope, batch: &batch, labels: &source, now_ms, wiring };
        self.pipeline.score(&visit, out)
    }

    /// One sample of the series `up{job="a"}`.
    fn one(&mut self, timestamp_ms: i64, value: f64) -> Tally {
        self.push(&[(up("a"), Sample { timestamp_ms, value })])
    }

    /// Enough ordinary samples for the series to have left its warm-up; returns the next timestamp.
    fn warm(&mut self) -> i64 {
        for step in 0..30 {
            self.one(START + step * MINUTE, 10.0 + (step % 3) as f64);
        }
        START + 30 * MINUTE
    }

    /// Values of the emitted samples called `name`.
    fn emitted(&self, name: &str) -> Vec<f64> {
        let named = self.out.iter().filter(|score| score.name.value() == name);
        named.map(|score| score.sample.value).collect()
    }

    /// What the page of a scope without a downstream has under `name`.
    fn newest(&self, name: &str) -> Vec<ScoreSample> {
        let mut newest = self.pipeline.newest(&self.scope);
        newest.retain(|score| score.name.value() == name);
        newest
    }

    fn score(&self) -> f64 {
        let scores = self.emitted("anomaly_score");
        assert_eq!(scores.len(), 1, "one score");
        scores[0]
    }
}

impl LabelSource for Source {
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0[labels.start as usize] {
            each(name.as_bytes(), value.as_bytes());
        }
    }
}

fn settings(rules: &str, limits: Limits, template: &str, table: &Table) -> Settings {
    let raw: Vec<RawRule> = serde_saphyr::from_str(rules).expect("rules are YAML");
    let rules = raw.iter().map(|raw| raw.check().expect("a rule")).collect();
    let set = RuleSet::compile(Vec::new(), rules, OutputNames::by_templates([template])).expect("a rule set");
    let names = Names::new(template, table.interner()).expect("a template");
    Settings::new(set, names, limits).with_ha_labels(vec!["__replica__".into()])
}

fn up(job: &str) -> Labels {
    vec![("__name__", "up".into()), ("job", job.into())]
}

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn at(timestamp_ms: i64, value: f64) -> Sample {
    Sample { timestamp_ms, value }
}

const EVERYTHING: &str = "[{match: '{__name__=~\".+\"}'}]";

/// The times at which score series of the names `name` were ended in `house.out`.
fn ends(house: &House, name: &str) -> Vec<i64> {
    let ended =
        house.out.iter().filter(|score| score.name.value() == name && is_stale_marker(score.sample.value));
    ended.map(|score| score.sample.timestamp_ms).collect()
}
