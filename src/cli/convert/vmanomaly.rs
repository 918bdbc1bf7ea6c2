//! What a configuration of vmanomaly says, in Sidelong's words.

use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::expr::{self, Judged};
use crate::config::sections::NameTemplate;
use crate::rules::RawRule;
use crate::rules::config::{Deviation, OneOrMany, Range, RawKind, RawOutput};

/// A configuration of Sidelong, and what it lacks.
pub(super) struct Translation {
    pub(super) config: Config,
    pub(super) lost: Vec<String>,
}

/// The sections that a translation has.
#[derive(Serialize)]
pub(super) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<Scores>,
    rules: Vec<RawRule>,
}

#[derive(Serialize)]
struct Scores {
    name_template: NameTemplate,
}

/// Options that mean the same in both, whether a query or a model has them.
const SHARED: [&str; 9] = [
    "data_range",
    "detection_direction",
    "min_dev_from_expected",
    "min_rel_dev_from_expected",
    "scale",
    "clip_predictions",
    "min_n_samples_seen",
    "z_threshold",
    "provide_series",
];

/// What a query or a model says besides, and what became of it.
const UNDERSTOOD: [&str; 5] = ["expr", "class", "queries", "schedulers", "step"];

/// Top-level sections without a counterpart, and why.
const SECTIONS: [(&str, &str); 5] = [
    ("schedulers", "every sample is scored as it passes, so that there is nothing to schedule"),
    ("monitoring", "own metrics stand at /metrics of server.admin_listen"),
    ("settings", "there are no workers to configure"),
    ("server", "see server.listen and server.admin_listen"),
    ("preset", "see presets"),
];

/// Translates a whole file.
pub(super) fn translate(file: &Value) -> anyhow::Result<Translation> {
    let mut translator = Translator { lost: Vec::new() };
    let queries = file.pointer("/reader/queries").and_then(Value::as_object);
    let queries = queries.context("reader.queries is missing; is this a configuration of vmanomaly?")?;
    let none = Map::new();
    let models = file.get("models").or_else(|| file.get("model")).and_then(Value::as_object).unwrap_or(&none);
    let mut rules = Vec::new();
    for (name, query) in queries {
        match translator.rule(name, query, models) {
            Ok(rule) => rules.push(rule),
            Err(reason) => translator.lose(format!("reader.queries.{name}"), reason),
        }
    }
    if rules.is_empty() && queries.is_empty() {
        bail!("reader.queries is empty; there is nothing to translate");
    }
    let scores = translator.scores(file);
    translator.models(models);
    translator.sections(file);
    Ok(Translation { config: Config { scores, rules }, lost: translator.lost })
}

struct Translator {
    lost: Vec<String>,
}

// === impl Translator ===

impl Translator {
    fn lose(&mut self, what: impl AsRef<str>, why: impl AsRef<str>) {
        self.lost.push(format!("{}: {}", what.as_ref(), why.as_ref()));
    }

    fn rule(&mut self, name: &str, query: &Value, models: &Map<String, Value>) -> Result<RawRule, String> {
        let at = format!("reader.queries.{name}");
        let none = Map::new();
        let (expr, own) = match query {
            Value::String(expr) => (expr.as_str(), &none),
            Value::Object(own) => (own.get("expr").and_then(Value::as_str).ok_or("expr is missing")?, own),
            _ => return Err("neither a text nor a mapping".to_owned()),
        };
        let judged = expr::judged(expr)?;
        let options = self.options(&at, name, own, models);
        let mut rule = RawRule {
            name: name.to_owned(),
            matches: OneOrMany(vec![judged.selector.to_string()]),
            kind: if judged.is_rate { RawKind::Counter } else { RawKind::Auto },
            data_range: self.option(&at, "data_range", &options),
            detection_direction: self.option(&at, "detection_direction", &options).unwrap_or_default(),
            min_dev_from_expected: self.option(&at, "min_dev_from_expected", &options).unwrap_or_default(),
            min_rel_dev_from_expected: self
                .option(&at, "min_rel_dev_from_expected", &options)
                .unwrap_or_default(),
            scale: self.option(&at, "scale", &options),
            clip_predictions: self.option(&at, "clip_predictions", &options).unwrap_or_default(),
            min_n_samples_seen: self.option(&at, "min_n_samples_seen", &options),
            z_threshold: self.option(&at, "z_threshold", &options),
            provide_series: self.outputs(&at, &options),
            ..RawRule::default()
        };
        per_second(&mut rule, &judged);
        if rule.clip_predictions && rule.data_range.is_none() {
            rule.clip_predictions = false;
            self.lose(format!("{at}: clip_predictions"), "there is no data_range to clip to");
        }
        // A rule that could not be loaded is no translation.
        rule.check()
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        Ok(rule)
    }

    /// The options of the query, and behind them those of the first model that judges it.
    fn options(
        &mut self,
        at: &str,
        query: &str,
        own: &Map<String, Value>,
        models: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut judges = models.iter().filter(|(_, model)| is_judged_by(query, model));
        let model = judges.next().and_then(|(_, model)| model.as_object()).cloned().unwrap_or_default();
        for (alias, _) in judges {
            self.lose(
                format!("models.{alias} for {at}"),
                "another model judges this query, too; one rule has one",
            );
        }
        for key in own.keys().filter(|key| !is_known(key)) {
            self.lose(format!("{at}.{key}"), "has no counterpart");
        }
        model.into_iter().chain(own.clone()).collect()
    }

    fn option<T: DeserializeOwned>(
        &mut self,
        at: &str,
        key: &str,
        options: &Map<String, Value>,
    ) -> Option<T> {
        let value = options.get(key).filter(|value| !value.is_null())?;
        let read = T::deserialize(value);
        read.map_err(|error| self.lose(format!("{at}: {key}"), error.to_string())).ok()
    }

    /// The outputs that both know; the score is always there.
    fn outputs(&mut self, at: &str, options: &Map<String, Value>) -> Option<Vec<RawOutput>> {
        let names: Vec<String> = self.option(at, "provide_series", options)?;
        let mut outputs = Vec::new();
        for name in names {
            match serde_json::from_value(Value::from(name.as_str())) {
                Ok(output) => outputs.push(output),
                Err(_) => {
                    self.lose(format!("{at}: provide_series"), format!("{name} is not among the outputs"))
                }
            }
        }
        (!outputs.is_empty()).then_some(outputs)
    }

    /// The name template, and which labels of `metric_format` differ.
    fn scores(&mut self, file: &Value) -> Option<Scores> {
        let format = file.pointer("/writer/metric_format").and_then(Value::as_object)?;
        for (label, value) in format.iter().filter(|(label, _)| *label != "__name__") {
            let at = format!("writer.metric_format.{label}");
            match value.as_str() {
                Some("$QUERY_KEY") if label == "for" => {
                    self.lose(at, "the label for holds the metric name, not the key of a query");
                }
                _ => self.lose(at, "scores have the labels of their series, and for"),
            }
        }
        let template = format.get("__name__").and_then(Value::as_str)?;
        let parsed = template.parse();
        let at = "writer.metric_format.__name__";
        parsed
            .map_err(|error: crate::config::sections::ValueError| self.lose(at, error.to_string()))
            .ok()
            .map(|name_template| Scores { name_template })
    }

    /// Which options of the models have no counterpart.
    fn models(&mut self, models: &Map<String, Value>) {
        for (alias, model) in models {
            let class = model.get("class").and_then(Value::as_str).unwrap_or("unknown");
            self.lose(
                format!("models.{alias}.class"),
                format!("Sidelong's own detector takes the place of {class}"),
            );
            for key in model.as_object().into_iter().flat_map(Map::keys).filter(|key| !is_known(key)) {
                self.lose(format!("models.{alias}.{key}"), "has no counterpart");
            }
        }
    }

    fn sections(&mut self, file: &Value) {
        let present = SECTIONS.into_iter().filter(|(key, _)| file.get(key).is_some());
        present.for_each(|(key, why)| self.lose(key, why));
        for section in ["reader", "writer"] {
            let keys = file.get(section).and_then(Value::as_object).into_iter().flat_map(Map::keys);
            for key in keys.filter(|key| !["queries", "metric_format", "class"].contains(&key.as_str())) {
                self.lose(
                    format!("{section}.{key}"),
                    "samples come by remote write or scrape, scores go to downstream",
                );
            }
        }
        let known = |key: &str| {
            ["reader", "writer", "models", "model"].contains(&key)
                || SECTIONS.iter().any(|(name, _)| *name == key)
        };
        let unknown = file.as_object().into_iter().flat_map(Map::keys).filter(|key| !known(key));
        unknown.for_each(|key| self.lose(key, "has no counterpart"));
    }
}

fn is_known(key: &str) -> bool {
    SHARED.contains(&key) || UNDERSTOOD.contains(&key)
}

/// A model without `queries` judges all.
fn is_judged_by(query: &str, model: &Value) -> bool {
    match model.get("queries") {
        Some(Value::Array(names)) => names.iter().any(|name| name == query),
        Some(Value::String(name)) => name == query || name == "all",
        _ => true,
    }
}

/// `increase` counts per window, a rule per second.
fn per_second(rule: &mut RawRule, judged: &Judged) {
    let scaled = |value: f64| value / judged.seconds;
    rule.data_range =
        rule.data_range.map(|Range { lower, upper }| Range { lower: scaled(lower), upper: scaled(upper) });
    let Deviation { below, above } = rule.min_dev_from_expected;
    rule.min_dev_from_expected = Deviation { below: scaled(below), above: scaled(above) };
}
