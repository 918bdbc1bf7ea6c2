//! Values of a rule that have more than one spelling.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::units::PromDuration;
use crate::rules::rule::Emit;

/// One text, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<String>);

/// `[lower, upper]`; `inf` and `-inf` leave a side open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest value inside.
    pub lower: f64,
    /// The largest value inside.
    pub upper: f64,
}

/// One number for both sides of the expected value, or `[below, above]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    /// For values below the expected one.
    pub below: f64,
    /// For values above the expected one.
    pub above: f64,
}

/// When a score is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawEmit {
    /// With every sample.
    #[default]
    Always,
    /// From this score on.
    Above(f64),
}

/// When a series that stops, against its own habit, is told: `true` for the defaults, or a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAbsence {
    /// How many samples a series misses, by its usual interval, until it is absent: 1 to 1000. One that is often away for
    /// longer is absent when it is away for half as long again.
    pub after: u32,
    /// For how long a series must have been there before, by itself or, with `identity_without`, those that it stands
    /// for: what comes and goes is no habit to hold it to.
    pub seen_for: PromDuration,
    /// For how long an absence is told, up to `1d`.
    pub forget_after: PromDuration,
    /// Absent series of the rule that are told at the same time. Further ones are counted by
    /// `sidelong_unscored_total{reason="score_limit"}`.
    pub max_series: u32,
}

/// A number; `inf` may stand in words, as vmanomaly's files have it.
struct Number(f64);

/// `{above: 0.5}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Above {
    above: f64,
}

// === impl OneOrMany ===

impl Serialize for OneOrMany {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            many => serializer.collect_seq(many),
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor;

        impl<'de> Visitor<'de> for OneOrManyVisitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut many = Vec::new();
                while let Some(text) = seq.next_element()? {
                    many.push(text);
                }
                Ok(OneOrMany(many))
            }
        }

        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "text or list of texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

// === impl Range ===

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.lower, self.upper].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Number(lower), Number(upper)) = Deserialize::deserialize(deserializer)?;
        Ok(Self { lower, upper })
    }
}

impl JsonSchema for Range {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "[lower, upper]".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "number" }, "format": "range" })
    }
}

// === impl Deviation ===

impl Serialize for Deviation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.below == self.above {
            serializer.serialize_f64(self.below)
        } else {
            [self.below, self.above].serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Deviation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DeviationVisitor;

        impl<'de> Visitor<'de> for DeviationVisitor {
            type Value = Deviation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or [below, above]")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Deviation, E> {
                Ok(Deviation { below: value, above: value })
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Deviation, E> {
                self.visit_f64(value as f64)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Deviation, E> {
                self.visit_f64(value as f64)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Deviation, A::Error> {
                let pair = de::value::SeqAccessDeserializer::new(seq);
                let (Number(below), Number(above)) = Deserialize::deserialize(pair)?;
                Ok(Deviation { below, above })
            }
        }

        deserializer.deserialize_any(DeviationVisitor)
    }
}

impl JsonSchema for Deviation {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "number or [below, above]".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "array"], "items": { "type": "number" }, "format": "deviation" })
    }
}

// === impl RawEmit ===

impl From<RawEmit> for Emit {
    fn from(raw: RawEmit) -> Self {
        match raw {
            RawEmit::Always => Self::Always,
            RawEmit::Above(score) => Self::Above(score),
        }
    }
}

impl<'de> Deserialize<'de> for RawEmit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EmitVisitor;

        impl<'de> Visitor<'de> for EmitVisitor {
            type Value = RawEmit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("always, or above(0.5)")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawEmit, E> {
                let above = |text: &str| text.strip_prefix("above(")?.strip_suffix(')')?.trim().parse().ok();
                match text {
                    "always" => Some(RawEmit::Always),
                    _ => above(text).map(RawEmit::Above),
                }
                .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawEmit, A::Error> {
                let Above { above } = Deserialize::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(RawEmit::Above(above))
            }
        }

        deserializer.deserialize_any(EmitVisitor)
    }
}

// === impl RawAbsence ===

impl Default for RawAbsence {
    fn default() -> Self {
        Self {
            after: 3,
            seen_for: PromDuration::from_secs(3_600),
            forget_after: PromDuration::from_secs(3_600),
            max_series: 1_000,
        }
    }
}

/// Reads `true`, `false` or a mapping.
pub(super) fn absence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RawAbsence>, D::Error> {
    struct AbsenceVisitor;

    impl<'de> Visitor<'de> for AbsenceVisitor {
        type Value = Option<RawAbsence>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, false, or a mapping such as {after: 5}")
        }

        fn visit_bool<E: de::Error>(self, is_told: bool) -> Result<Self::Value, E> {
            Ok(is_told.then(RawAbsence::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Deserialize::deserialize(de::value::MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(AbsenceVisitor)
}

// === impl Number ===

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;

        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, inf or -inf")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                match text {
                    "inf" | "+inf" => Ok(Number(f64::INFINITY)),
                    "-inf" => Ok(Number(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(NumberVisitor)
    }
}
