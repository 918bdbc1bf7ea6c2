//! `docs/configuration.md`, made from the types that read the file: what is documented is what is read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::RawConfig;

/// The command that writes the reference.
pub const COMMAND: &str = "cargo run -- config-reference docs/configuration.md";

const INTRODUCTION: &str = "\
# Configuration

Sidelong reads one YAML file: `sidelong run --config sidelong.yml`. `sidelong check-config sidelong.yml`
says whether it is right, and `sidelong.example.yml` shows every option with its default.

- Every section may be left out; what is left out has the default of the tables below.
- An unknown key is an error that names its line and the nearest known key. All that is wrong with a file is
  said at once.
- `${NAME}` in a value is replaced by the environment variable; `${NAME:-default}` gives a default, and `$$`
  is one `$`. A variable that is not set is an error. A `$` before anything else means itself.
- A **duration** is written as in Prometheus: `500ms`, `5s`, `1m30s`, `1h`, `2d`. A **size** is a number of
  bytes, alone or with `B`, `KiB`, `MiB`, `GiB` or `TiB`; `KB` means `KiB`, as in Prometheus.
- A **secret** is shown as `<secret>` wherever the configuration is shown. A secret in a file of its own is
  read again when the file changes. A relative path starts at the directory of the configuration file.
";

/// The reference as Markdown.
pub fn markdown() -> String {
    let schema = schemars::schema_for!(RawConfig).to_value();
    let mut writer =
        Writer { schema: &schema, out: INTRODUCTION.to_owned(), places: BTreeMap::new(), open: vec![] };
    let root = schema.as_object().cloned().unwrap_or_default();
    writer.section("The file", "", &root);
    while !writer.open.is_empty() {
        let (path, definition) = writer.open.remove(0);
        writer.section(&format!("`{path}`"), &path, &definition);
    }
    writer.out.push_str(&format!("\n<!-- Generated from the sources by: {COMMAND} -->\n"));
    writer.out
}

/// Writes one section for each type, under the path where it is met first.
struct Writer<'a> {
    schema: &'a Value,
    out: String,
    /// Which type is described where.
    places: BTreeMap<String, String>,
    open: Vec<(String, Map<String, Value>)>,
}

// === impl Writer ===

impl Writer<'_> {
    fn section(&mut self, heading: &str, path: &str, definition: &Map<String, Value>) {
        self.out.push_str(&format!("\n## {heading}\n\n{}\n", paragraph(definition)));
        self.out.push_str("\n| option | type | default | |\n|---|---|---|---|\n");
        let properties = definition.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let row = self.row(name, &join(path, name), property, definition);
            self.out.push_str(&row);
        }
    }

    fn row(&mut self, name: &str, path: &str, property: &Value, parent: &Map<String, Value>) -> String {
        let required = parent.get("required").and_then(Value::as_array);
        let is_required = required.is_some_and(|all| all.iter().any(|one| one == name));
        let kind = self.kind(property, path);
        let default = match property.get("default") {
            _ if is_required => "required".to_owned(),
            // A type described in a section of its own has its defaults there.
            Some(Value::Object(_)) | None => String::new(),
            Some(default) => format!("`{}`", yaml_of(default)),
        };
        let text = property.as_object().map(paragraph).unwrap_or_default();
        format!("| `{name}` | {kind} | {default} | {} |\n", text.replace('|', "\\|"))
    }

    /// The type of an option in words; a type with options of its own is opened as a section.
    fn kind(&mut self, property: &Value, path: &str) -> String {
        if let Some(name) = reference(property) {
            return self.named(&name, path);
        }
        if let Some(format) = property.get("format").and_then(Value::as_str) {
            return format_name(format).to_owned();
        }
        match type_of(property) {
            Some("array") => {
                let items = property.get("items").unwrap_or(&Value::Null);
                format!("list of {}", self.kind(items, &format!("{path}[]")))
            }
            Some("object") => match property.get("additionalProperties") {
                Some(values) => format!("mapping of text to {}", self.kind(values, path)),
                None => "mapping".to_owned(),
            },
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("integer") => "whole number".to_owned(),
            Some("string") if property.get("items").is_some() => "text or list of texts".to_owned(),
            Some("string") => "text".to_owned(),
            Some(other) => other.to_owned(),
            None => "any".to_owned(),
        }
    }

    /// A type with a name: a link to its section, or the values it can have.
    fn named(&mut self, name: &str, path: &str) -> String {
        let Some(definition) = self.definition(name) else { return name.to_owned() };
        if !definition.contains_key("properties") {
            return choices(&definition).unwrap_or_else(|| name.to_owned());
        }
        let place = self.places.entry(name.to_owned()).or_insert_with(|| {
            self.open.push((path.to_owned(), definition));
            path.to_owned()
        });
        format!("[{place}](#{})", anchor(place))
    }

    fn definition(&self, name: &str) -> Option<Map<String, Value>> {
        self.schema.pointer(&format!("/$defs/{name}"))?.as_object().cloned()
    }
}

/// The definition that a property points to, directly, as an optional one or with words of its own.
fn reference(property: &Value) -> Option<String> {
    let direct = property.get("$ref").and_then(Value::as_str);
    let any_of = property.get("anyOf").or_else(|| property.get("allOf")).and_then(Value::as_array);
    let inside = any_of.into_iter().flatten().find_map(|one| one.get("$ref").and_then(Value::as_str));
    direct.or(inside)?.strip_prefix("#/$defs/").map(str::to_owned)
}

/// The first type that is not null.
fn type_of(property: &Value) -> Option<&str> {
    match property.get("type")? {
        Value::String(one) => Some(one),
        Value::Array(many) => many.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

/// What schemars and our own types call their texts and numbers.
fn format_name(format: &str) -> &str {
    match format {
        "byte-size" => "size",
        "uint" | "uint8" | "uint16" | "uint32" | "uint64" | "int32" | "int64" => "whole number",
        "double" | "float" => "number",
        "range" => "`[lower, upper]`",
        "deviation" => "number or `[below, above]`",
        other => other,
    }
}

/// The values of an enumeration.
fn choices(definition: &Map<String, Value>) -> Option<String> {
    let plain = definition.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    let one_of = definition.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let described = one_of.iter().filter_map(|one| match one.get("const") {
        Some(value) => Some(value.clone()),
        None => one.get("properties")?.as_object()?.keys().next().map(|key| Value::from(format!("{key}(…)"))),
    });
    let all: Vec<String> = plain
        .into_iter()
        .chain(described)
        .filter_map(|value| value.as_str().map(|text| format!("`{text}`")))
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// The description on one line.
fn paragraph(definition: &Map<String, Value>) -> String {
    let text = definition.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A default as one would write it in the file.
fn yaml_of(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(yaml_of).collect::<Vec<_>>().join(", ")),
        Value::Number(number) if number.as_f64() == Some(0.0) => "0".to_owned(),
        other => other.to_string(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The anchor that GitHub gives to a heading.
fn anchor(place: &str) -> String {
    place.chars().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections::{Downstream, Limits, Scores, Server, Target, Tenants};

    fn file(name: &str) -> String {
        let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_default()
    }

    #[test]
    fn the_reference_is_up_to_date() {
        let is_same = file("docs/configuration.md") == markdown();
        assert!(is_same, "docs/configuration.md is not what the sources say; run: {COMMAND}");
    }

    #[test]
    fn every_option_has_a_sentence() {
        let reference = markdown();
        let rows: Vec<&str> = reference.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(rows.len() > 60, "{}", rows.len());
        for row in rows {
            assert!(row.ends_with(". |"), "{row}");
        }
    }

    #[test]
    fn the_example_is_right_names_every_option_and_has_its_default() {
        let example = file("sidelong.example.yml");
        let environment = |_: &str| Some("x".to_owned());
        let config = crate::config::Config::from_yaml(&example, &environment).unwrap();
        assert!(!config.rules.is_empty());
        assert_eq!(config.server, Server::default());
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.tenants, Tenants::default());
        assert_eq!(config.scores, Scores::default());
        let downstream = config.downstream.unwrap();
        assert_eq!(downstream, Downstream::at(downstream.url.clone()));
        let target = &config.scrape.targets[0];
        assert_eq!(target, &Target::at(target.name.as_str(), target.url.clone()));
        for row in markdown().lines().filter_map(|line| line.strip_prefix("| `")) {
            let option = row.split('`').next().unwrap();
            assert!(example.contains(&format!("{option}:")), "sidelong.example.yml does not name {option}");
        }
    }
}
