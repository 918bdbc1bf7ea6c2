//! Reads a tree as serde types, collecting unknown keys on the way.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::Problem;
use super::node::{Entry, Node, Position, Value};
use super::suggest::did_you_mean;

/// Reads `node`, which stands at `path`; `None` after at least one problem more.
pub(super) fn read<T: DeserializeOwned>(
    node: &Node,
    path: &str,
    problems: &RefCell<Vec<Problem>>,
) -> Option<T> {
    let reader = Reader { node, path: &Path::Root(path), problems };
    let value = reader.read(PhantomData);
    value.map_err(|error| problems.borrow_mut().push(error.into_problem(node))).ok()
}

/// One problem for each key of the mapping `node` that is not in `known`.
pub(super) fn unknown_keys(node: &Node, path: &str, known: &[&str]) -> Vec<Problem> {
    let Value::Mapping(entries) = &node.value else { return Vec::new() };
    let unknown = entries.iter().filter(|entry| !known.contains(&entry.key.as_str()));
    let problem = |entry: &Entry| Problem {
        position: entry.position,
        path: path.to_owned(),
        message: format!("unknown key {:?}{}", entry.key, did_you_mean(&entry.key, known)),
    };
    unknown.map(problem).collect()
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Reader<'de, 'p> {
    node: &'de Node,
    path: &'p Path<'p>,
    problems: &'p RefCell<Vec<Problem>>,
}

/// The way from the root to a node, spelled out only when something is wrong.
enum Path<'a> {
    Root(&'a str),
    Key(&'a Self, &'a str),
    Index(&'a Self, usize),
}

/// An error on its way up; the innermost node that sees it gives it its place.
#[derive(Debug)]
struct Error {
    place: Option<(Position, String)>,
    message: String,
}

// === impl Reader ===

impl<'de> Reader<'de, '_> {
    /// Reads the node as what `seed` asks for; an error without a place gets this one.
    fn read<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self).map_err(|error| error.at(&self))
    }

    fn error(&self, message: impl fmt::Display) -> Error {
        Error { place: Some((self.node.position, self.path.to_string())), message: message.to_string() }
    }

    fn expected(&self, what: impl fmt::Display) -> Error {
        self.error(format!("expected {what}, found {}", self.node.describe()))
    }

    /// The text of a scalar, whatever it looks like.
    fn text(&self, what: &str) -> Result<&'de str, Error> {
        match &self.node.value {
            Value::Scalar { text, .. } => Ok(text),
            _ => Err(self.expected(what)),
        }
    }

    fn sequence<V: Visitor<'de>>(&self, nodes: &'de [Node], visitor: V) -> Result<V::Value, Error> {
        let mut entries = Entries { reader: *self, nodes: nodes.iter().enumerate() };
        let value = visitor.visit_seq(&mut entries)?;
        match entries.nodes.next() {
            None => Ok(value),
            Some(_) => Err(self.error(format!("the list has {} entries, too many", nodes.len()))),
        }
    }

    fn mapping<V: Visitor<'de>>(&self, known: Option<&[&str]>, visitor: V) -> Result<V::Value, Error> {
        let entries: &[Entry] = match &self.node.value {
            Value::Mapping(entries) => entries,
            _ if self.node.is_null() => &[],
            _ => return Err(self.expected("a mapping of options")),
        };
        let is_known = |entry: &&Entry| known.is_none_or(|known| known.contains(&entry.key.as_str()));
        let pairs = Pairs { reader: *self, entries: entries.iter().filter(is_known), value: None };
        visitor.visit_map(pairs)
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let what = || format!("a whole number from {} to {}", $type::MIN, $type::MAX);
            let text = self.text(&what())?.replace('_', "");
            visitor.$visit(text.parse().map_err(|_| self.expected(what()))?)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Reader<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Mapping(_) => self.mapping(None, visitor),
            Value::Sequence(nodes) => self.sequence(nodes, visitor),
            _ if self.node.is_null() => visitor.visit_unit(),
            Value::Scalar { text, plain, .. } => visit_scalar(text, *plain, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text("true or false")?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => visitor.visit_bool(true),
            "false" | "no" | "off" => visitor.visit_bool(false),
            _ => Err(self.expected("true or false")),
        }
    }

    whole_numbers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let number = float(self.text("a number")?).ok_or_else(|| self.expected("a number"))?;
        visitor.visit_f64(number)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.text("a text")?;
        visitor.visit_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Sequence(nodes) => self.sequence(nodes, visitor),
            _ if self.node.is_null() => self.sequence(&[], visitor),
            _ => Err(self.expected("a list")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.mapping(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let unknown = unknown_keys(self.node, &self.path.to_string(), fields);
        self.problems.borrow_mut().extend(unknown);
        self.mapping(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (name, value) = match &self.node.value {
            Value::Scalar { text, .. } => (text.as_str(), None),
            Value::Mapping(entries) if entries.len() == 1 => {
                (entries[0].key.as_str(), Some(&entries[0].value))
            }
            _ => return Err(self.expected(format!("one of {}", variants.join(", ")))),
        };
        if !variants.contains(&name) {
            let found = self.node.describe();
            let found = if value.is_some() { format!("{name:?}") } else { found };
            return Err(self.error(format!("{found} is unknown{}", did_you_mean(name, variants))));
        }
        visitor.visit_enum(Variant { reader: self, name, value })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

/// What a text without quotes stands for in YAML 1.2, for values that have several spellings.
fn visit_scalar<'a, V: Visitor<'a>>(text: &str, plain: bool, visitor: V) -> Result<V::Value, Error> {
    let digits = text.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text {
        _ if !plain => visitor.visit_str(text),
        "true" => visitor.visit_bool(true),
        "false" => visitor.visit_bool(false),
        _ if !is_number => visitor.visit_str(text),
        _ => match (text.parse(), text.parse(), float(text)) {
            (Ok(number), _, _) => visitor.visit_u64(number),
            (_, Ok(number), _) => visitor.visit_i64(number),
            (_, _, Some(number)) => visitor.visit_f64(number),
            _ => visitor.visit_str(text),
        },
    }
}

/// A floating-point number; `.inf` and `inf` alike.
fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | "+.inf" | ".Inf" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" => Some(f64::NAN),
        _ => text.replace('_', "").parse().ok(),
    }
}

// === lists ===

struct Entries<'de, 'p, I> {
    reader: Reader<'de, 'p>,
    nodes: I,
}

impl<'de, I: Iterator<Item = (usize, &'de Node)>> de::SeqAccess<'de> for &mut Entries<'de, '_, I> {
    type Error = Error;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.nodes.next() else { return Ok(None) };
        let path = Path::Index(self.reader.path, index);
        Reader { node, path: &path, problems: self.reader.problems }.read(seed).map(Some)
    }
}

// === mappings ===

struct Pairs<'de, 'p, I> {
    reader: Reader<'de, 'p>,
    entries: I,
    value: Option<&'de Entry>,
}

impl<'de, I: Iterator<Item = &'de Entry>> de::MapAccess<'de> for Pairs<'de, '_, I> {
    type Error = Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.value = self.entries.next();
        let Some(entry) = self.value else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let entry = self.value.take().ok_or_else(|| self.reader.error("a value without a key"))?;
        let path = Path::Key(self.reader.path, &entry.key);
        Reader { node: &entry.value, path: &path, problems: self.reader.problems }.read(seed)
    }
}

// === alternatives ===

/// `name`, or `name: value`.
struct Variant<'de, 'p> {
    reader: Reader<'de, 'p>,
    name: &'de str,
    value: Option<&'de Node>,
}

impl<'de> Variant<'de, '_> {
    fn value(&self) -> Result<&'de Node, Error> {
        self.value.ok_or_else(|| self.reader.error(format!("{0} needs a value; write {0}: VALUE", self.name)))
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'de, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(self.reader.error(format!("{} takes no value", self.name))),
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let path = Path::Key(self.reader.path, self.name);
        Reader { node: self.value()?, path: &path, problems: self.reader.problems }.read(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let path = Path::Key(self.reader.path, self.name);
        let reader = Reader { node: self.value()?, path: &path, problems: self.reader.problems };
        de::Deserializer::deserialize_seq(reader, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let path = Path::Key(self.reader.path, self.name);
        let reader = Reader { node: self.value()?, path: &path, problems: self.reader.problems };
        de::Deserializer::deserialize_struct(reader, "", fields, visitor)
    }
}

// === impl Path ===

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => f.write_str(root),
            Self::Key(Path::Root(""), key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

// === impl Error ===

impl Error {
    /// Gives the error its place, unless it has one. What a type says of a value from the environment is
    /// not repeated, since it would show the value.
    fn at(self, reader: &Reader<'_, '_>) -> Self {
        match (&self.place, &reader.node.value) {
            (Some(_), _) => self,
            (None, Value::Scalar { expanded: true, .. }) => {
                reader.error("the value of the environment variable cannot be used here")
            }
            (None, _) => reader.error(self.message),
        }
    }

    fn into_problem(self, root: &Node) -> Problem {
        let (position, path) = self.place.unwrap_or_else(|| (root.position, String::new()));
        Problem { position, path, message: self.message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: None, message: message.to_string() }
    }

    /// Values are not repeated: a password may stand where a mapping should.
    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Bool(_) => "true or false",
            de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) | de::Unexpected::Float(_) => "a number",
            de::Unexpected::Seq => "a list",
            de::Unexpected::Map => "a mapping",
            de::Unexpected::Unit => "nothing",
            _ => "a text",
        };
        Self::custom(format_args!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("the key {field:?} is missing; it has no default"))
    }
}
