//! The OpenAPI 3.1 document, made from the types that are read and written.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::door::{PingAnswer, VersionAnswer};
use super::invocations::InvocationAnswer;
use super::predict::{Features, PredictAnswer};
use super::score::{ScoreAnswer, ScoreRequest};
use super::table::Invocation;
use super::{ErrorAnswer, Failure};
use crate::config::sections::Serving;

/// Writes schemas, and remembers those with names.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

/// The document of what is served within `limits`.
pub fn document(limits: &Serving) -> Value {
    let mut schemas = Schemas::new();
    let predict = schemas.scoring::<Features, PredictAnswer>(
        "predict",
        "Score the features of one entity",
        "Features are z-scores by part. How rare each is, by the normal distribution, is what the joint forest looks at. Nothing \
         is remembered: the answer depends on the request and the model alone.",
    );
    let score = schemas.scoring::<ScoreRequest, ScoreAnswer>(
        "score",
        "Score series with their past",
        "Each series begins anew with each request: send its past along. The scores are those of `sidelong backtest`. Samples \
         stand in the order of their times.",
    );
    let invocations = schemas.scoring::<Invocation, InvocationAnswer>(
        "invocations",
        "Score a table, by MLflow's protocol",
        "A table with a column `ds` or `timestamp` holds series (`value` or `y`, and `series` where there are several). Any other \
         holds features, a row for each entity.",
    );
    let ping = schemas.asking::<PingAnswer>("ping", "Tell whether a model serves", &[Failure::NoModel]);
    let version =
        schemas.asking::<VersionAnswer>("version", "Tell the versions of Sidelong and of the model", &[]);
    let itself = json!({
        "operationId": "openapi",
        "summary": "This document",
        "responses": { "200": {
            "description": "An OpenAPI 3.1 document",
            "content": { "application/json": { "schema": { "type": "object" } } },
        } },
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sidelong",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Anomaly scores on request",
            "description": format!(
                "One request holds up to {} bytes, {} rows, {} series and {} samples or values.",
                limits.max_body_size.as_bytes(), limits.max_rows, limits.max_series, limits.max_samples,
            ),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": {
            "/predict": { "post": predict },
            "/api/v1/score": { "post": score },
            "/invocations": { "post": invocations },
            "/ping": { "get": ping },
            "/version": { "get": version },
            "/openapi.json": { "get": itself },
        },
        "components": { "schemas": schemas.components() },
    })
}

// === impl Schemas ===

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            read: settings.clone().for_deserialize().into_generator(),
            written: settings.for_serialize().into_generator(),
        }
    }

    /// An operation that reads `Q` and answers with `A`.
    fn scoring<Q: JsonSchema, A: JsonSchema>(&mut self, id: &str, summary: &str, text: &str) -> Value {
        let asked = self.read.subschema_for::<Q>();
        let mut operation = self.asking::<A>(id, summary, &failures());
        operation["description"] = json!(text);
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": asked } } });
        operation
    }

    /// An operation that answers with `A`, or with one of `failures`.
    fn asking<A: JsonSchema>(&mut self, id: &str, summary: &str, failures: &[Failure]) -> Value {
        let (answer, error) =
            (self.written.subschema_for::<A>(), self.written.subschema_for::<ErrorAnswer>());
        let mut responses = Map::new();
        responses.insert("200".to_owned(), content("All went well", &answer));
        for failure in failures {
            responses.insert(failure.kind().0.as_str().to_owned(), refusal(failure, &error));
        }
        json!({ "operationId": id, "summary": summary, "responses": responses })
    }

    /// The schemas with names.
    fn components(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        all
    }
}

/// One of each status.
fn failures() -> [Failure; 8] {
    [
        Failure::Json(String::new()),
        Failure::TooSlow(String::new()),
        Failure::TooLarge(0),
        Failure::MediaType,
        Failure::Wrong(String::new()),
        Failure::Rate(0),
        Failure::Busy,
        Failure::Internal,
    ]
}

fn content(description: &str, schema: &Schema) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn refusal(failure: &Failure, error: &Schema) -> Value {
    let (status, _) = failure.kind();
    let mut answer = content(status.canonical_reason().unwrap_or_default(), error);
    if matches!(failure, Failure::Rate(_) | Failure::Busy | Failure::NoModel) {
        answer["headers"] = json!({ "Retry-After": {
            "description": "Seconds after which it may be tried again",
            "schema": { "type": "integer" },
        } });
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` below `value`.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn whatever_is_named_is_there() {
        let document = document(&Serving::default());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
