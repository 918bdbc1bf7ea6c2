//! What is told of the cost is what a corridor really does with the same page.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::app;
use crate::batch::{Batch, Sample};
use crate::config::Config;
use crate::inject::Emit;
use crate::model::{Model, ModelSlot};
use crate::pipeline::{Pipeline, Visit, Wiring};
use crate::series::labels::{Interner, Pair, SeriesLabels};
use crate::series::{ScopeName, Scopes, Spelling, Table};
use crate::wire::exposition::{Format, Page, PageLimits, Syntax};

const CONFIG: &str = r#"
presets: [node_exporter]
rules:
- {name: load, match: '{__name__=~"node_load.*"}', provide_series: [anomaly_score, yhat, yhat_upper]}
signals:
  watermark: 30s
  sums:
  - {name: cpu, match: node_cpu_seconds_total, by: [mode]}
  - {name: filesystems, match: '{__name__=~"node_filesystem_.*_bytes"}', by: [device]}
  ratios: [{name: idle, of: 'node_cpu_seconds_total{mode="idle"}', to: node_cpu_seconds_total, by: [cpu]}]
  peers: [{match: '{__name__="node_cpu_seconds_total",mode="idle"}', without: [cpu], step: 15s}]
"#;
const STEP_MS: i64 = 15_000;

/// Every series that was ever sent.
#[derive(Default)]
struct Sent(BTreeSet<(Vec<(String, String)>, String)>);

impl Emit for Sent {
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, _: Sample) {
        let labels = labels.scored().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.0.insert((labels.collect(), name.value().to_owned()));
    }
}

fn page() -> Vec<u8> {
    let path = format!("{}/tests/data/expositions/node_exporter.prom", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// What is told of the page under `config`.
fn told(config: &Config) -> Estimate {
    let settings = |interner: &Interner| app::settings(config, interner);
    let mut census = Census::new(Arc::new(settings(&Interner::default()).unwrap()));
    read_page(&page(), &[], &mut census).unwrap();
    let table = Table::default();
    let of_table = settings(table.interner()).unwrap();
    let rehearsed =
        rehearse(&census, (table, of_table), app::workloads(config), STEP_MS, &mut |_, _| ()).unwrap();
    Estimate::new("page".into(), 15.0, &census, &rehearsed, &rehearsed, |_| None)
}

/// The three of `node_load.*` with `more` in their rule and `besides` in the configuration.
fn told_of_load(more: &str, besides: &str) -> Estimate {
    let rule = format!("rules: [{{name: load, match: '{{__name__=~\"node_load.*\"}}'{more}}}]\n{besides}");
    told(&Config::from_yaml(&rule, &|_| None).unwrap())
}

#[test]
fn absences_are_told_as_what_may_come_besides_and_what_is_kept_for_them() {
    let (with, without) =
        (told_of_load(", absence: {max_series: 2}", "scores: {max_series: 4}"), told_of_load("", ""));
    let (one, other) = (&with.rules[0], &without.rules[0]);
    assert_eq!((one.series, one.sent, one.absences, with.total.absences), (3, 3, 2, 2));
    assert_eq!((other.sent, other.absences, without.total.absences), (3, 0, 0));
    assert_eq!(one.bytes - other.bytes, 3 * crate::signals::absence::BYTES_A_SERIES);
    let over = with.over.iter().map(|over| (over.option.as_str(), over.wanted)).collect::<Vec<_>>();
    assert_eq!((over, without.over.len()), (vec![("scores.max_series", 5)], 0));
    assert!(with.to_string().contains("3, at most 2 absent"), "{with}");
    let three = told_of_load(", absence: true", "");
    assert_eq!(three.total.absences, 3, "no more than there are");
}

#[test]
fn signals_that_have_not_settled_are_told() {
    let peers = |step: &str| {
        let entry = format!("{{match: node_cpu_seconds_total, without: [cpu], step: {step}}}");
        told_of_load("", &format!("signals: {{watermark: 30s, peers: [{entry}]}}"))
    };
    assert_eq!(peers("15s").unsettled, None);
    let slow = peers("30m");
    // The watermark and six steps, by samples that are 15 s apart, and one.
    assert_eq!(slow.unsettled, Some(Unsettled { samples: 400, needed: 2 + 6 * 120 + 1 }));
    assert!(slow.to_string().contains("not settled"), "{slow}");
}

#[test]
fn what_is_told_is_what_a_corridor_takes_makes_and_sends() {
    let (bytes, config) = (page(), Config::from_yaml(CONFIG, &|_| None).unwrap());
    let told = told(&config);

    let table = Table::default();
    let settings = app::settings(&config, table.interner()).unwrap();
    let slot = ModelSlot::new(Model::builtin());
    let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(1), app::workloads(&config), table);
    let scope = pipeline.scope(&ScopeName::Tenant("".into()), 0).unwrap();
    let mut page = Page::new();
    let limits = PageLimits { body_size: 1 << 24, samples: usize::MAX };
    let format = Format { syntax: Syntax::Text, utf8_names: true };
    page.start(format, limits, scope.seed(Spelling::Text), 0);
    page.push(&bytes).unwrap();
    page.finish().unwrap();
    let mut sent = Sent::default();
    for step in 0..50 {
        let now_ms = 1_700_000_000_000 + step * STEP_MS;
        let value = |sample: &Sample| Sample { timestamp_ms: now_ms, value: sample.value + step as f64 };
        let samples = page.batch().samples.iter().map(value).collect();
        let batch = Batch { series: page.batch().series.clone(), samples, ..Batch::default() };
        let visit = Visit { scope: &scope, batch: &batch, labels: &page, now_ms, wiring: Wiring::Gateway };
        pipeline.score(&visit, &mut sent);
    }

    let budget = pipeline.budget();
    let made = pipeline.holdings(STEP_MS).iter().map(|holding| holding.made).sum::<usize>();
    assert!(made > 0 && told.over.is_empty());
    assert_eq!((told.total.made, told.total.scored + told.total.parts), (made, budget.series));
    for rule in &budget.rules {
        let told = told.rules.iter().find(|told| told.rule == rule.name).map_or(0, |told| told.series);
        assert_eq!(told, rule.series, "{}", rule.name);
    }
    let of_workloads = ["anomalous_series", "scored_series"];
    let (workloads, others): (Vec<_>, Vec<_>) =
        sent.0.iter().partition(|(_, name)| of_workloads.contains(&name.as_str()));
    assert_eq!((told.total.of_workloads, told.total.sent), (workloads.len(), workloads.len() + others.len()));
    let peers = told.signals.iter().find(|signal| signal.signal == "peers").unwrap();
    assert!(peers.series >= peers.made, "of fewer than five peers nothing is said");
}
