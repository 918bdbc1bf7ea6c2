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

#[test]
fn what_is_told_is_what_a_corridor_takes_makes_and_sends() {
    let path = format!("{}/tests/data/expositions/node_exporter.prom", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let config = Config::from_yaml(CONFIG, &|_| None).unwrap();
    let settings = |interner: &Interner| app::settings(&config, interner);

    let mut census = Census::new(Arc::new(settings(&Interner::default()).unwrap()));
    read_page(&bytes, &[], &mut census).unwrap();
    let table = Table::default();
    let of_table = settings(table.interner()).unwrap();
    let rehearsed =
        rehearse(&census, (table, of_table), app::workloads(&config), STEP_MS, &mut |_, _| ()).unwrap();
    let told = Estimate::new("page".into(), 15.0, &census, &rehearsed, &rehearsed, |_| None);

    let table = Table::default();
    let settings = settings(table.interner()).unwrap();
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
