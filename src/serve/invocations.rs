//! `/invocations`: MLflow's scoring protocol. A table with a column of times holds series, any other features, a row for each entity.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use super::Failure;
use super::predict::{Prediction, parts, predict};
use super::score::{ScoredSample, TimedValue, score};
use super::table::{Cell, Invocation, Table};
use crate::config::sections::Serving;
use crate::model::Model;
use crate::rules::RawRule;

/// The columns of a table of series; of two names for one, the first that is there.
const TIMES: [&str; 2] = ["ds", "timestamp"];
const VALUES: [&str; 2] = ["value", "y"];
const SERIES: [&str; 1] = ["series"];

/// The answer of `/invocations`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct InvocationAnswer {
    /// What is said of each row, in the order of the rows; null of a row without a number.
    pub predictions: Vec<Option<RowAnswer>>,
}

/// What is said of one row.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RowAnswer {
    /// The features of an entity.
    Features(Prediction),
    /// A sample of a series.
    Sample(ScoredSample),
}

/// A row of a series, and where it stands in the table.
struct Placed {
    row: usize,
    sample: TimedValue,
}

/// Answers `/invocations`.
///
/// # Errors
///
/// [`Failure`], by what is wrong, and with which row.
pub fn answer(
    model: &Arc<Model>,
    limits: &Serving,
    invocation: Invocation,
) -> Result<InvocationAnswer, Failure> {
    let table = Table::of(invocation)?;
    if table.rows.is_empty() {
        return Err(Failure::Wrong("there is no row; send one at least".to_owned()));
    }
    Failure::unless_within(table.values(), limits.max_samples, "values", "max_samples")?;
    let predictions = match table.column(&TIMES) {
        Some(times) => of_series(model, limits, &table, times)?,
        None => {
            Failure::unless_within(table.rows.len(), limits.max_rows, "rows", "max_rows")?;
            of_features(model, &table)?
        }
    };
    Ok(InvocationAnswer { predictions })
}

/// Each row is an entity.
fn of_features(model: &Model, table: &Table) -> Result<Vec<Option<RowAnswer>>, Failure> {
    let rows = table.rows.iter().enumerate().map(|(at, row)| {
        let feature = |(column, cell): &(usize, Cell)| {
            let name = table.columns[*column].as_str();
            number(cell, at, name).map(|z| (name, z))
        };
        let features: Vec<_> = row.iter().map(feature).collect::<Result<_, _>>()?;
        let parts = parts(features).map_err(|wrong| in_row(at, &wrong.to_string()))?;
        Ok(predict(&model.detector, &parts).map(RowAnswer::Features))
    });
    rows.collect()
}

/// Each row is a sample; those of one series stand in the order of their times.
fn of_series(
    model: &Arc<Model>,
    limits: &Serving,
    table: &Table,
    times: usize,
) -> Result<Vec<Option<RowAnswer>>, Failure> {
    let Some(values) = table.column(&VALUES) else {
        let text = format!("beside the column {} there must be a column value", table.columns[times]);
        return Err(Failure::Wrong(text));
    };
    let names = table.column(&SERIES);
    let known = [Some(times), Some(values), names];
    if let Some(other) = (0..table.columns.len()).find(|at| !known.contains(&Some(*at))) {
        let text = format!(
            "the column {:?} has no meaning in a table of series, which has ds or timestamp, value or y, and series",
            table.columns[other]
        );
        return Err(Failure::Wrong(text));
    }
    Failure::unless_within(table.rows.len(), limits.max_samples, "samples", "max_samples")?;
    let mut series: BTreeMap<String, Vec<Placed>> = BTreeMap::new();
    for (at, row) in table.rows.iter().enumerate() {
        let of = |column: usize| row.iter().find(|(place, _)| *place == column).map(|(_, cell)| cell);
        let Some(value) = of(values) else { continue };
        let value = number(value, at, &table.columns[values])?;
        let time = of(times).and_then(seconds);
        let time = time.ok_or_else(|| {
            let text = "has no time; write Unix seconds, or a date with a time such as 2026-01-05T07:30:00Z";
            in_row(at, &format!("{} {text}", table.columns[times]))
        })?;
        let name = names.and_then(of).map(name_of).unwrap_or_default();
        series.entry(name).or_default().push(Placed { row: at, sample: TimedValue(time, value) });
    }
    Failure::unless_within(series.len(), limits.max_series, "series", "max_series")?;
    let mut predictions = vec![None; table.rows.len()];
    for (name, placed) in series {
        let samples: Vec<TimedValue> = placed.iter().map(|placed| placed.sample).collect();
        let labels = Some(name.clone()).filter(|name| !name.is_empty());
        let labels = labels.map(|name| ("__name__".to_owned(), name)).into_iter().collect();
        let scored = score(model, &RawRule::default(), &labels, &samples)
            .map_err(|wrong| Failure::Wrong(format!("series {name:?}{wrong}")))?;
        for (Placed { row, .. }, scored) in placed.iter().zip(scored) {
            predictions[*row] = Some(RowAnswer::Sample(scored));
        }
    }
    Ok(predictions)
}

fn in_row(at: usize, wrong: &str) -> Failure {
    Failure::Wrong(format!("row {at}: {wrong}"))
}

fn number(cell: &Cell, row: usize, column: &str) -> Result<f64, Failure> {
    match cell {
        Cell::Number(number) => Ok(*number),
        Cell::Text(text) => Err(in_row(row, &format!("{column}: {text:?} is no number"))),
        Cell::Missing => Err(in_row(row, &format!("{column} is missing"))),
    }
}

/// Series may be numbered as well as named.
fn name_of(cell: &Cell) -> String {
    match cell {
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => text.to_string(),
        Cell::Missing => String::new(),
    }
}

/// Unix seconds of a number, or of a date with a time, in UTC where it says nothing else.
fn seconds(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Number(number) => Some(*number),
        Cell::Text(text) => {
            let with_zone = text.parse::<Timestamp>().ok();
            let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
            with_zone.or_else(civil).map(|at| at.as_millisecond() as f64 / 1e3)
        }
        Cell::Missing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn answer_to(request: Value) -> Result<Value, Failure> {
        let limits = Serving { max_rows: 3, max_series: 2, max_samples: 400, ..Serving::default() };
        let invocation = super::super::read(request.to_string().as_bytes())?;
        answer(&Arc::new(Model::builtin()), &limits, invocation).map(|answer| json!(answer.predictions))
    }

    fn wrong(request: Value) -> String {
        answer_to(request).unwrap_err().to_string()
    }

    #[test]
    fn every_form_of_a_table_is_the_same_table() {
        let split = json!({ "index": [0, 1], "columns": ["cpu_zscore", "memory_zscore"], "data": [[2.1, 1.5], [6, null]] });
        let rows = json!([{ "cpu_zscore": 2.1, "memory_zscore": 1.5 }, { "cpu_zscore": 6 }]);
        let want = answer_to(json!({ "dataframe_split": split })).unwrap();
        assert_eq!((&want[0]["is_anomaly"], &want[1]["is_anomaly"]), (&json!(false), &json!(true)));
        for form in ["dataframe_records", "inputs", "instances"] {
            assert_eq!(answer_to(json!({ form: rows })).unwrap(), want, "{form}");
        }
        let columns = json!({ "cpu_zscore": [2.1, 6], "memory_zscore": [1.5, null] });
        assert_eq!(answer_to(json!({ "inputs": columns })).unwrap(), want);
    }

    #[test]
    fn a_row_without_a_number_is_told_as_one() {
        let predictions = answer_to(json!({ "inputs": [{ "cpu": 1 }, {}, { "cpu": null }] })).unwrap();
        assert!(predictions[0]["score"].is_number() && predictions[1].is_null() && predictions[2].is_null());
    }

    #[test]
    fn a_column_of_times_makes_it_series() {
        let value = |at: i64| if at == 59 { 900 } else { at * 7919 % 13 };
        let rows: Vec<Value> = (0..60)
            .flat_map(|at| [json!([at * 60, "a", value(at)]), json!([at * 60, "b", at % 2])])
            .collect();
        let split = json!({ "columns": ["timestamp", "series", "value"], "data": rows });
        let predictions = answer_to(json!({ "dataframe_split": split })).unwrap();
        assert!(predictions[118]["score"].as_f64() >= Some(1.0), "{}", predictions[118]);
        assert_eq!(
            (&predictions[118]["timestamp"], &predictions[0]["warm_up"]),
            (&json!(3540.0), &json!(true))
        );
        assert_eq!(predictions[119]["is_anomaly"], json!(false));
        let alone: Vec<Value> = (0..60).map(|at| json!({ "ds": at * 60, "y": value(at) })).collect();
        let alone = answer_to(json!({ "inputs": alone })).unwrap();
        assert_eq!(alone[59], predictions[118]);
    }

    #[test]
    fn times_are_seconds_or_dates() {
        let at = |text: &str| seconds(&Cell::Text(text.into()));
        assert_eq!(at("2026-01-05T07:30:00Z"), Some(1_767_598_200.0));
        assert_eq!(at("2026-01-05T08:30:00.250+01:00"), Some(1_767_598_200.25));
        assert_eq!(at("2026-01-05 07:30:00"), Some(1_767_598_200.0));
        assert_eq!((at("now"), seconds(&Cell::Missing)), (None, None));
        let gap = json!({ "columns": ["ds", "value"], "data": [[0, 1], [60, null], [120, 1]] });
        assert!(answer_to(json!({ "dataframe_split": gap })).unwrap()[1].is_null());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(wrong(json!({ "inputs": [] })).contains("no row"));
        assert!(wrong(json!({ "rows": [] })).contains("unknown variant `rows`"));
        assert!(wrong(json!({ "inputs": 3 })).contains("a list of objects, or an object of lists"));
        assert!(wrong(json!({ "inputs": [{ "cpu": "hot" }] })).contains("row 0: cpu: \"hot\" is no number"));
        assert!(wrong(json!({ "inputs": [{ "cpu": true }] })).contains("a number, a text or null"));
        assert!(wrong(json!({ "inputs": { "a": [1], "b": [1, 2] } })).contains("inputs.b has 2 values"));
        let split = |columns: Value, data: Value| {
            wrong(json!({ "dataframe_split": { "columns": columns, "data": data } }))
        };
        assert!(split(json!(["a", "b"]), json!([[1, 2], [1]])).contains("data[1] has 1 values"));
        assert!(split(json!(["a", "a"]), json!([[1, 2]])).contains("\"a\" is there twice"));
        assert!(split(json!(["ds", "cpu"]), json!([[1, 2]])).contains("there must be a column value"));
        assert!(split(json!(["ds", "value", "cpu"]), json!([[1, 2, 3]])).contains("\"cpu\" has no meaning"));
        assert!(split(json!(["ds", "value"]), json!([["soon", 2]])).contains("row 0: ds has no time"));
        assert!(split(json!(["ds", "value"]), json!([[60, 2], [30, 2]])).contains("is not later"));
        assert!(wrong(json!({ "inputs": [{}, {}, {}, {}] })).contains("4 rows; 3 are allowed (max_rows)"));
    }
}
