//! Several past series of one thing, led through one pipeline together.

use std::ops::Range;
use std::sync::Arc;

use super::{CorridorError, Series};
use crate::batch::{Batch, Key, LabelSource, Sample, SeriesSpan, is_stale_marker};
use crate::context::Board;
use crate::detect::JointExplanation;
use crate::inject::{Emit, Injected, Names, Workloads};
use crate::model::{Model, ModelSlot};
use crate::pipeline::{Limits, Pipeline, Settings, Visit, Wiring};
use crate::rules::config::{OneOrMany, RawOutput};
use crate::rules::{self, OutputNames, RawRule, RuleError, RuleSet, Selector};
use crate::series::labels::{self, METRIC_NAME, Pair, SeriesLabels};
use crate::series::{Scope, ScopeName, Scopes, Spelling, Table};
use crate::signals::{Shape, Spec, Specs, Thing};

/// What the score of all parts together is for.
const ENTITY: &str = "entity";
/// The label by which parts are told apart.
const PART: &str = "sidelong_part";
/// Recorded samples come in the order of their times, so that nobody is waited for in vain; but a part counts, and is
/// missed, only when it has been there for so long.
const WATERMARK_MS: i64 = 3_600_000;

/// Leads the parts of one entity through the production pipeline.
#[derive(Debug)]
pub struct Entity {
    pipeline: Pipeline,
    scope: Arc<Scope>,
    keys: Vec<Key>,
    labels: Labels,
    names: Names,
    itself: Selector,
    scores: Vec<f64>,
}

/// What was said of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct SaidTogether {
    /// When the newest sample of it was.
    pub timestamp_ms: i64,
    /// The score of all parts together: 1 and above is an anomaly.
    pub score: f64,
    /// The metric name of the part that weighs most, and its share of the whole; none where nothing weighs anything.
    pub heaviest: Option<(String, f64)>,
}

/// Takes what comes out for the samples of one time.
struct Listener<'a> {
    names: &'a Names,
    scores: &'a mut [f64],
    said: Vec<SaidTogether>,
}

/// The labels of the parts, by their numbers.
#[derive(Debug)]
struct Labels(Vec<Series>);

// === impl Entity ===

impl Entity {
    /// An entity of `parts`, each of which `model` judges by `rule`; samples belong together that fall in one step of
    /// `step_ms`, or where that is 0 that have equal timestamps.
    ///
    /// # Errors
    ///
    /// A rule that cannot be.
    pub fn new(
        model: impl Into<Arc<Model>>,
        rule: RawRule,
        parts: &[Series],
        step_ms: i64,
    ) -> Result<Self, CorridorError> {
        if rule.exclude {
            return Err(CorridorError::Excludes);
        }
        let rule = RawRule {
            matches: OneOrMany(vec![format!("{{{PART}=~\".+\"}}")]),
            provide_series: Some(vec![RawOutput::AnomalyScore]),
            forecast_at: None,
            emit: None,
            ..rule
        };
        let rule = rule.check().map_err(CorridorError::Rule)?;
        let no_selector = || CorridorError::Rule(vec![RuleError::NoSelector]);
        let selector = |text: &str| text.parse::<Selector>().map_err(|_| no_selector());
        let thing = Thing { selectors: rule.selectors.clone(), by: Vec::new() };
        let spec = Spec::new(ENTITY.into(), Shape::Entity(thing), step_ms, 1);
        let table = Table::default();
        let names = Names::new("$VAR", table.interner())?;
        let of_entity = RawRule {
            matches: OneOrMany(vec![ENTITY.into()]),
            provide_series: Some(vec![RawOutput::AnomalyScore, RawOutput::AnomalyPart]),
            ..RawRule::default()
        };
        let of_entity = of_entity.check().map_err(CorridorError::Rule)?;
        let rules = RuleSet::compile(vec![rule, of_entity], Vec::new(), OutputNames::by_templates(["$VAR"]))?;
        let settings = Settings::new(rules, names, Limits::default());
        let settings = settings.with_signals(Specs::new(vec![spec], WATERMARK_MS, 1), rules::Emit::Always);
        let slot = ModelSlot::new(model);
        let workloads = Workloads::new(Vec::new(), 0);
        let pipeline = Pipeline::new(slot.handle(), settings, Scopes::new(0), workloads, table);
        let scope = pipeline.scope(&ScopeName::Target(ENTITY.into()), 0).ok_or(CorridorError::Scope)?;
        let numbered = |(number, part): (usize, &Series)| {
            Series::from_iter([(PART, number.to_string())])
                .on(&part.clone().on(&Series::from_iter([(METRIC_NAME, PART)])))
        };
        let labels: Vec<Series> = parts.iter().enumerate().map(numbered).collect();
        let seed = scope.seed(Spelling::Text);
        let keys = (0..parts.len()).map(|number| Key::of(number.to_string().as_bytes(), seed)).collect();
        let (scores, itself) = (vec![0.0; parts.len()], selector(ENTITY)?);
        Ok(Self { pipeline, scope, keys, labels: Labels(labels), names, itself, scores })
    }

    /// The same where the contexts of `board` are known beforehand.
    #[must_use]
    pub fn under(self, board: &Board) -> Self {
        self.pipeline.change_board(|_| (Some(board.clone()), ()));
        self
    }

    /// What is said of the steps that `samples` complete, each the next of the part of that number; all of one time.
    pub fn hear(&mut self, samples: &[(usize, Sample)]) -> Vec<SaidTogether> {
        let mut batch = Batch::default();
        for (at, (part, sample)) in samples.iter().enumerate() {
            let (at, number) = (at as u32, *part as u32);
            batch.samples.push(*sample);
            batch.series.push(SeriesSpan {
                key: self.keys[*part],
                labels: number..number + 1,
                samples: at..at + 1,
            });
        }
        let now_ms = samples.iter().map(|(_, sample)| sample.timestamp_ms).max().unwrap_or_default();
        let visit = Visit {
            scope: &self.scope,
            batch: &batch,
            labels: &self.labels,
            now_ms,
            wiring: Wiring::LoopBack,
        };
        let mut listener = Listener { names: &self.names, scores: &mut self.scores, said: Vec::new() };
        self.pipeline.score(&visit, &mut listener);
        listener.said
    }

    /// The newest scores of the parts.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// What was made of the parts in the newest step, as `/api/v1/explain` tells it; nothing before the first.
    pub fn explain(&self) -> Option<JointExplanation> {
        self.pipeline.explain(&self.itself, 1).pop()?.joint
    }
}

// === impl Listener ===

impl Emit for Listener<'_> {
    fn emit(&mut self, labels: &Arc<SeriesLabels>, name: &'static Pair, sample: Sample) {
        let Sample { timestamp_ms, value } = sample;
        let is = |output| std::ptr::eq(name, self.names.of(output));
        let part = labels.get(PART).and_then(|number| number.parse::<usize>().ok());
        match part.and_then(|part| self.scores.get_mut(part)) {
            _ if is_stale_marker(value) => {}
            Some(score) if is(Injected::AnomalyScore) => *score = value,
            Some(_) => {}
            None if is(Injected::AnomalyScore) => {
                self.said.push(SaidTogether { timestamp_ms, score: value, heaviest: None });
            }
            // What weighs most comes behind the score that it is a part of.
            None if is(Injected::AnomalyPart) => {
                let heaviest = labels.get(labels::PART).map(|part| (part.to_owned(), value));
                if let Some(said) = self.said.last_mut() {
                    said.heaviest = heaviest;
                }
            }
            None => {}
        }
    }
}

// === impl Labels ===

impl LabelSource for Labels {
    fn for_each_label(&self, labels: &Range<u32>, each: &mut dyn FnMut(&[u8], &[u8])) {
        let Some(part) = self.0.get(labels.start as usize) else { return };
        part.labels().for_each(|(name, value)| each(name.as_bytes(), value.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_odd_together_are_found_and_the_heaviest_is_named() {
        let parts: Vec<Series> = ["cpu", "memory", "disk"].map(|part| part.parse().unwrap()).to_vec();
        let mut entity = Entity::new(Model::builtin(), RawRule::default(), &parts, 0).unwrap();
        let value = |step: i64, part: i64| 10.0 + ((step * 7919 + part * 104_729) % 13) as f64;
        let mut said = Vec::new();
        for step in 0..600 {
            let timestamp_ms = 1_700_000_000_000 + step * 60_000;
            let odd = |part: i64| if step == 599 && part != 1 { 12.0 + part as f64 * 10.0 } else { 0.0 };
            let samples: Vec<_> = (0..3)
                .map(|part| (part as usize, Sample { timestamp_ms, value: value(step, part) + odd(part) }))
                .collect();
            said.extend(entity.hear(&samples));
        }
        let (last, before) = said.split_last().unwrap();
        assert!(before.iter().all(|said| said.score < 1.0));
        assert!(last.score >= 1.0 && last.timestamp_ms == 1_700_000_000_000 + 599 * 60_000, "{last:?}");
        assert_eq!(last.heaviest.as_ref().map(|(part, _)| part.as_str()), Some("disk"));
        assert!(entity.explain().is_some_and(|joint| joint.path.is_some()));
    }
}
