//! T19: a whole target's series end at once. What that takes is a small part of what they took to come.

use super::Alone;
use sidelong::batch::{Batch, Sample, stale_marker};
use sidelong::inject::{Emit, Names, PageScores, ScoreSample, Workloads};
use sidelong::model::{Model, ModelSlot};
use sidelong::pipeline::{Limits, Pipeline, Settings, Tally, Visit, Wiring};
use sidelong::rules::{OutputNames, RawRule, RuleSet};
use sidelong::series::{Scope, ScopeName, Scopes, Spelling, Table};
use sidelong::wire::exposition::{Format, Page, PageLimits, Syntax};
use std::sync::Arc;

const SERIES: usize = 10_000;
const START: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;

/// A corridor in which everything is scored.
struct House {
    pipeline: Pipeline,
    scope: Arc<Scope>,
    page: Page,
    text: String,
}

// === impl House ===

impl House {
    fn new(scope: ScopeName) -> Self {
        let table = Table::default();
        let rule = serde_saphyr::from_str::<RawRule>("match: '{__name__!=\"\"}'").unwrap();
        let names = Names::new("$VAR", table.interner()).unwrap();
        let output_names = OutputNames::by_templates(["$VAR"]);
        let rules = RuleSet::compile(Vec::new(), vec![rule.check().unwrap()], output_names).unwrap();
        let settings = Settings::new(rules, names, Limits::default());
        let workloads = Workloads::new(vec!["job".to_owned()], 100);
        let slot = ModelSlot::new(Model::builtin());
        let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(7), workloads, table);
        let scope = pipeline.scope(&scope, START).unwrap();
        let line = |n: usize| format!("level{{job=\"it\",pod=\"pod-{n}\"}} {n}\n");
        Self { pipeline, scope, page: Page::new(), text: (0..SERIES).map(line).collect() }
    }

    /// The page of the `minute`, with all series or without any.
    fn read(&mut self, minute: i64, is_empty: bool) -> i64 {
        let limits = PageLimits { body_size: 32 << 20, samples: 2 * SERIES };
        let at = START + minute * MINUTE;
        let format = Format { syntax: Syntax::Text, utf8_names: true };
        self.page.start(format, limits, self.scope.seed(Spelling::Text), at);
        self.page.push(if is_empty { b"" } else { self.text.as_bytes() }).unwrap();
        self.page.finish().unwrap();
        at
    }

    fn visit(&self, batch: &Batch, now_ms: i64, wiring: Wiring, out: &mut impl Emit) -> Tally {
        let visit = Visit { scope: &self.scope, batch, labels: &self.page, now_ms, wiring };
        self.pipeline.score(&visit, out)
    }

    /// Scrapes the page; gives how many scores stand on it.
    fn scrape(&mut self, minute: i64, is_empty: bool) -> usize {
        let now_ms = self.read(minute, is_empty);
        let mut out = PageScores::default();
        self.visit(self.page.batch(), now_ms, Wiring::Page { teach: true }, &mut out);
        out.into_scores().iter().filter(|score| score.name.value() == "anomaly_score").count()
    }

    /// Pushes what is on the page, or the ends of all of it.
    fn push(&mut self, minute: i64, ends: bool) -> (Tally, Vec<ScoreSample>) {
        let now_ms = self.read(minute, false);
        let mut batch = self.page.batch().clone();
        if ends {
            batch.samples.iter_mut().for_each(|sample| *sample = Sample { value: stale_marker(), ..*sample });
        }
        let mut out = Vec::new();
        (self.visit(&batch, now_ms, Wiring::Gateway, &mut out), out)
    }
}

#[test]
fn t19_a_page_that_is_suddenly_empty_takes_little_and_leaves_nothing_more_behind() {
    let heap = Alone::with_the_heap();
    let mut house = House::new(ScopeName::Target("t".into()));
    let (scores, came) = heap.peak_of(|| house.scrape(0, false));
    assert_eq!(scores, SERIES);
    let mut left = Vec::new();
    for round in 0..4 {
        assert_eq!(house.scrape(4 * round + 1, false), SERIES);
        let (scores, went) = heap.peak_of(|| house.scrape(4 * round + 2, true));
        assert_eq!(scores, 0);
        assert!(went < came / 8, "{went} bytes for their end, {came} for their begin");
        left.push(super::HEAP.current_usage());
    }
    let (first, last) = (left[1], left[3]);
    assert!(last < first + came / 64, "held after each end: {left:?}");
}

#[test]
fn t19_stale_markers_of_a_whole_target_take_little_and_leave_nothing_more_behind() {
    let heap = Alone::with_the_heap();
    let mut house = House::new(ScopeName::Tenant("t".into()));
    let ((tally, _), came) = heap.peak_of(|| house.push(0, false));
    assert_eq!(tally.scored, SERIES as u64);
    // What a series learns with its first samples takes room that is no part of its end.
    assert_eq!(
        (house.push(1, false).0.scored, house.push(2, false).0.scored),
        (SERIES as u64, SERIES as u64)
    );
    let mut left = Vec::new();
    for round in 1..5 {
        assert_eq!(house.push(4 * round + 1, false).0.scored, SERIES as u64);
        let ((tally, out), went) = heap.peak_of(|| house.push(4 * round + 2, true));
        assert_eq!(tally.stale, SERIES as u64, "each ends its score series");
        assert!(out.len() >= SERIES);
        assert!(went < came / 4, "{went} bytes for their end, {came} for their begin");
        drop(out);
        left.push(super::HEAP.current_usage());
    }
    let (first, last) = (left[1], left[3]);
    assert!(last < first + came / 64, "held after each end: {left:?}");
}
