//! A pipeline of its own for one series.

use std::ops::Range;
use std::sync::Arc;

use crate::batch::{Batch, Key, LabelSource, Sample, SeriesSpan};
use crate::inject::{Emit, Names, Output, TemplateError, Workloads};
use crate::model::{Model, ModelSlot};
use crate::pipeline::{Limits, Pipeline, Settings, Visit, Wiring};
use crate::rules::config::RawOutput;
use crate::rules::{OutputNames, RawRule, RuleError, RuleSet, RuleSetError};
use crate::series::labels::{METRIC_NAME, Pair, SeriesLabels};
use crate::series::{Scope, ScopeName, Scopes, Spelling, Table};

/// The name that the series goes by.
const NAME: &str = "backtest";

/// Leads one series through the production pipeline.
#[derive(Debug)]
pub struct Corridor {
    pipeline: Pipeline,
    scope: Arc<Scope>,
    batch: Batch,
    names: Names,
    last: Said,
}

/// What was said of one sample. NaN where nothing was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// At least 0; above 1 is an anomaly.
    pub score: f64,
    /// The forecast for this sample, made before it was seen.
    pub expected: f64,
    /// The lower edge of its band.
    pub lower: f64,
    /// The upper edge of its band.
    pub upper: f64,
}

/// Why there is no corridor.
#[derive(Debug, thiserror::Error)]
pub enum CorridorError {
    /// A rule that cannot be.
    #[error("the rule is wrong: {0:?}")]
    Rule(Vec<RuleError>),
    /// Rules that make no set.
    #[error("the rule makes no set")]
    Rules(#[from] RuleSetError),
    /// A name template that makes no names.
    #[error("the names of the scores are wrong")]
    Names(#[from] TemplateError),
    /// No room for even one series.
    #[error("there is no room for the series")]
    Scope,
}

/// Takes what comes out for one sample.
struct Listener<'a> {
    names: &'a Names,
    heard: Option<Said>,
}

/// The labels of the series.
struct Labels;

// === impl Corridor ===

impl Corridor {
    /// A corridor in which `model` judges by `rule`; what the rule selects and sends is overruled.
    ///
    /// # Errors
    ///
    /// A rule that cannot be.
    pub fn new(model: Model, rule: RawRule) -> Result<Self, CorridorError> {
        let outputs =
            vec![RawOutput::AnomalyScore, RawOutput::Yhat, RawOutput::YhatLower, RawOutput::YhatUpper];
        let rule = RawRule {
            matches: crate::rules::config::OneOrMany(vec![NAME.into()]),
            provide_series: Some(outputs),
            ..rule
        };
        let table = Table::default();
        let names = Names::new("$VAR", table.interner())?;
        let rules = vec![rule.check().map_err(CorridorError::Rule)?];
        let rules = RuleSet::compile(rules, Vec::new(), OutputNames::by_templates(["$VAR"]))?;
        let settings = Settings::new(rules, names, Limits::default());
        let slot = ModelSlot::new(model);
        let workloads = Workloads::new(Vec::new(), 0);
        let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(0), workloads, table);
        let scope = pipeline.scope(&ScopeName::Target(NAME.into()), 0).ok_or(CorridorError::Scope)?;
        let key = Key::of(NAME.as_bytes(), scope.seed(Spelling::Text));
        let series = vec![SeriesSpan { key, labels: 0..1, samples: 0..1 }];
        let batch = Batch { series, samples: Vec::with_capacity(1) };
        let last = Said { score: 0.0, ..Said::NOTHING };
        Ok(Self { pipeline, scope, batch, names, last })
    }

    /// What is said of `sample`, the next of the series. A sample that teaches nothing (older than the
    /// newest, another value at its time, not a number) is told what was said last.
    pub fn score(&mut self, sample: Sample) -> Said {
        self.batch.samples.clear();
        self.batch.samples.push(sample);
        let visit = Visit {
            scope: &self.scope,
            batch: &self.batch,
            labels: &Labels,
            now_ms: sample.timestamp_ms,
            wiring: Wiring::LoopBack,
        };
        let mut listener = Listener { names: &self.names, heard: None };
        self.pipeline.score(&visit, &mut listener);
        self.last = listener.heard.unwrap_or(self.last);
        self.last
    }
}

// === impl Said ===

impl Said {
    const NOTHING: Self = Self { score: f64::NAN, expected: f64::NAN, lower: f64::NAN, upper: f64::NAN };
}

// === impl Listener ===

impl Emit for Listener<'_> {
    fn emit(&mut self, _: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        let is = |output: Output| std::ptr::eq(self.names.of(output), name);
        let said = self.heard.get_or_insert(Said::NOTHING);
        let slot = match () {
            () if is(Output::AnomalyScore) => &mut said.score,
            () if is(Output::Yhat) => &mut said.expected,
            () if is(Output::YhatLower) => &mut said.lower,
            () if is(Output::YhatUpper) => &mut said.upper,
            () => return,
        };
        *slot = sample.value;
    }
}

// === impl Labels ===

impl LabelSource for Labels {
    fn for_each_label(&self, _: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        each(METRIC_NAME.as_bytes(), NAME.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_found_and_what_teaches_nothing_repeats_the_last() {
        let mut corridor =
            Corridor::new(Model::hybrid(Default::default(), Default::default()), RawRule::default()).unwrap();
        let at = |i: i64, value| Sample { timestamp_ms: 1_700_000_000_000 + i * 60_000, value };
        for i in 0..200 {
            assert!(corridor.score(at(i, 10.0 + (i * 7919 % 13) as f64)).score < 1.0);
        }
        let jump = corridor.score(at(200, 500.0));
        assert!(jump.score > 1.0 && jump.upper < 500.0, "{jump:?}");
        assert_eq!(corridor.score(at(150, 10.0)), jump);
        assert_eq!(corridor.score(at(200, 11.0)), jump);
        assert_eq!(corridor.score(at(201, f64::NAN)), jump);
    }
}
