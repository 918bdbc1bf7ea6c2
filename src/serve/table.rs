//! The tables of MLflow's scoring protocol, whichever way they are written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Failure;

/// The body of `/invocations`: one table, in one of four forms.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Invocation {
    /// Columns, and rows of as many values, as `DataFrame.to_dict(orient="split")` writes them.
    DataframeSplit(Split),
    /// Rows by the names of columns, as `orient="records"`.
    DataframeRecords(Vec<Row>),
    /// Rows by the names of columns, or columns of equal length by their names.
    Inputs(Inputs),
    /// Rows by the names of columns.
    Instances(Vec<Row>),
}

/// Columns, and rows of as many values.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The names of the columns.
    columns: Vec<String>,
    /// The rows.
    data: Vec<Vec<Cell>>,
    /// The names of the rows; nothing is made of them.
    #[serde(default, rename = "index")]
    _index: Vec<Cell>,
}

/// A row by the names of columns.
pub type Row = BTreeMap<String, Cell>;

/// Rows by the names of columns, or columns by their names.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// Rows.
    Rows(Vec<Row>),
    /// Columns.
    Columns(BTreeMap<String, Vec<Cell>>),
}

/// One value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Not known.
    Missing,
    /// A number.
    Number(f64),
    /// A text.
    Text(Box<str>),
}

/// A table: rows of values, each with the place of its column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, with the values that are there.
    pub rows: Vec<Vec<(usize, Cell)>>,
}

// === impl Table ===

impl Table {
    /// The table that `invocation` writes.
    ///
    /// # Errors
    ///
    /// Rows or columns that do not fit each other.
    pub fn of(invocation: Invocation) -> Result<Self, Failure> {
        match invocation {
            Invocation::DataframeSplit(split) => Self::of_split(split),
            Invocation::DataframeRecords(rows)
            | Invocation::Instances(rows)
            | Invocation::Inputs(Inputs::Rows(rows)) => Ok(Self::of_rows(rows)),
            Invocation::Inputs(Inputs::Columns(columns)) => Self::of_columns(columns),
        }
    }

    fn of_split(Split { columns, data, .. }: Split) -> Result<Self, Failure> {
        let mut sorted: Vec<&String> = columns.iter().collect();
        sorted.sort_unstable();
        if let Some([twice, _]) = sorted.array_windows().find(|[one, other]| one == other) {
            return Err(Failure::Wrong(format!("dataframe_split.columns: {twice:?} is there twice")));
        }
        let width = columns.len();
        if let Some(at) = data.iter().position(|row| row.len() != width) {
            let text = format!(
                "dataframe_split.data[{at}] has {} values, and there are {width} columns",
                data[at].len()
            );
            return Err(Failure::Wrong(text));
        }
        let rows = data.into_iter().map(|row| row.into_iter().enumerate().filter(is_known).collect());
        Ok(Self { columns, rows: rows.collect() })
    }

    fn of_rows(rows: Vec<Row>) -> Self {
        let mut places = BTreeMap::new();
        let place = |(name, cell): (String, Cell)| {
            let next = places.len();
            (*places.entry(name).or_insert(next), cell)
        };
        let mut place = place;
        let rows: Vec<Vec<_>> =
            rows.into_iter().map(|row| row.into_iter().map(&mut place).filter(is_known).collect()).collect();
        let mut columns = vec![String::new(); places.len()];
        places.into_iter().for_each(|(name, at)| columns[at] = name);
        Self { columns, rows }
    }

    fn of_columns(columns: BTreeMap<String, Vec<Cell>>) -> Result<Self, Failure> {
        let height = columns.values().next().map_or(0, Vec::len);
        let mut table = Self { columns: Vec::new(), rows: vec![Vec::new(); height] };
        for (at, (name, cells)) in columns.into_iter().enumerate() {
            if cells.len() != height {
                let text =
                    format!("inputs.{name} has {} values, and the first column has {height}", cells.len());
                return Err(Failure::Wrong(text));
            }
            for (row, cell) in table.rows.iter_mut().zip(cells) {
                row.extend(Some((at, cell)).filter(is_known));
            }
            table.columns.push(name);
        }
        Ok(table)
    }

    /// The values that are there, of all rows.
    pub fn values(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    /// The place of the first of `names` that is a column.
    pub fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.columns.iter().position(|column| column == name))
    }
}

fn is_known((_, cell): &(usize, Cell)) -> bool {
    *cell != Cell::Missing
}

// === impl Inputs ===

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InputsVisitor;

        impl<'de> Visitor<'de> for InputsVisitor {
            type Value = Inputs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects, or an object of lists")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, rows: A) -> Result<Inputs, A::Error> {
                Deserialize::deserialize(serde::de::value::SeqAccessDeserializer::new(rows)).map(Inputs::Rows)
            }

            fn visit_map<A: MapAccess<'de>>(self, columns: A) -> Result<Inputs, A::Error> {
                Deserialize::deserialize(serde::de::value::MapAccessDeserializer::new(columns))
                    .map(Inputs::Columns)
            }
        }

        deserializer.deserialize_any(InputsVisitor)
    }
}

impl JsonSchema for Inputs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Inputs".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rows = generator.subschema_for::<Vec<Row>>();
        let columns = generator.subschema_for::<BTreeMap<String, Vec<Cell>>>();
        json_schema!({ "anyOf": [rows, columns] })
    }
}

// === impl Cell ===

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CellVisitor;

        impl Visitor<'_> for CellVisitor {
            type Value = Cell;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text or null")
            }

            fn visit_unit<E>(self) -> Result<Cell, E> {
                Ok(Cell::Missing)
            }

            fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
                Ok(Cell::Number(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
                Ok(Cell::Number(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
                Ok(Cell::Number(number as f64))
            }

            fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
                Ok(Cell::Text(text.into()))
            }
        }

        deserializer.deserialize_any(CellVisitor)
    }
}

impl JsonSchema for Cell {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cell".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string", "null"] })
    }
}
