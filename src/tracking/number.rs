//! Numbers as MLflow's JSON has them: NaN and infinity are texts.
//!
//! MLflow keeps an infinity as the largest number there is, and gives that back; here it is an infinity again.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelled {
    Number(f64),
    Text(String),
}

pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        value if value.is_nan() => serializer.serialize_str("NaN"),
        f64::INFINITY => serializer.serialize_str("Infinity"),
        f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
        value => serializer.serialize_f64(value),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Spelled::deserialize(deserializer)? {
        Spelled::Number(f64::MAX) => Ok(f64::INFINITY),
        Spelled::Number(f64::MIN) => Ok(f64::NEG_INFINITY),
        Spelled::Number(value) => Ok(value),
        Spelled::Text(text) => text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no number"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "super")] f64);

    fn read(json: &str) -> f64 {
        serde_json::from_str::<Wrapped>(json).unwrap().0
    }

    #[test]
    fn what_json_has_no_number_for_is_a_text() {
        let written = |value| serde_json::to_string(&Wrapped(value)).unwrap();
        assert_eq!(written(f64::NAN), "\"NaN\"");
        assert_eq!(written(f64::NEG_INFINITY), "\"-Infinity\"");
        assert_eq!(written(0.5), "0.5");
        assert!(read("\"NaN\"").is_nan());
        assert_eq!((read("7"), read("\"Infinity\"")), (7.0, f64::INFINITY));
        assert_eq!(read("-1.7976931348623157e308"), f64::NEG_INFINITY);
        assert!(serde_json::from_str::<Wrapped>("\"many\"").is_err());
    }

    proptest! {
        #[test]
        fn any_number_comes_back(value in proptest::num::f64::ANY) {
            let back = read(&serde_json::to_string(&Wrapped(value)).unwrap());
            // serde_json reads to within the last digit; and the largest number stands for infinity.
            let near = (back - value).abs() <= value.abs() * 1e-15 + f64::MIN_POSITIVE;
            let is_largest = back.is_infinite() && value.abs() > f64::MAX * (1.0 - 1e-15);
            prop_assert!(near || back.is_nan() && value.is_nan() || is_largest, "{value} came back as {back}");
        }
    }
}
