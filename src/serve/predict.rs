//! `/predict`: the features of one entity, in one step.
//!
//! The joint forest looks at the scores of an entity's parts, in which 1 is worth an alert whatever a part measures. A z-score
//! is made into such a score by how rare it is ([`gauss::rarity`]), in the unit of the model: so rare a sample of a single series
//! would score 1 by itself ([`crate::detect::Detector::alert_rarity`]). From there on it goes as in a running Sidelong, but that nothing is known of
//! the entity's past: every part counts alike, the steps before are taken to have been like this one, and the score is how
//! much the parts come to, without how rare that is for this entity.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Failure, gauss};
use crate::detect::{Detector, Together};
use crate::model::Model;

/// Features are called by their part, with this behind it or without.
const SUFFIX: &str = "_zscore";
/// Parts of one entity.
const MOST_PARTS: u32 = 256;
/// Characters in the name of a feature.
const LONGEST_NAME: usize = 256;
/// A part says no more beyond this score.
const LARGEST_SCORE: f64 = 16.0;

/// The features of one entity.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Features(BTreeMap<String, f64>);

/// What is said of one entity.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Prediction {
    /// How much the parts come to, from 0; 1 and above is an anomaly.
    #[schemars(range(min = 0.0))]
    pub score: f64,
    /// Whether the score is at least 1.
    pub is_anomaly: bool,
    /// The parts, the one that weighs most first.
    pub parts: Vec<PartShare>,
}

/// What one part has to do with it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PartShare {
    /// Its name, without `_zscore`.
    pub name: String,
    /// Its own score: 1 is worth an alert by itself; 16 at the most.
    #[schemars(range(min = 0.0, max = 16.0))]
    pub score: f64,
    /// Its share of the whole, 0 to 1: of the sum of the squares of all parts' scores. All are 0 where nothing weighs anything.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
}

/// The answer of `/predict`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PredictAnswer {
    /// What is said of the entity.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// The version of the model that said so.
    pub model_version: String,
}

/// Answers `/predict`.
///
/// # Errors
///
/// [`Failure`], by what is wrong with the features.
pub fn answer(model: &Model, features: &Features) -> Result<PredictAnswer, Failure> {
    let parts = parts(features.0.iter().map(|(name, z)| (name.as_str(), *z)))?;
    let prediction = predict(&model.detector, &parts).ok_or_else(|| {
        Failure::Wrong(r#"there is no feature; send for example {"cpu_zscore": 2.1}"#.to_owned())
    })?;
    Ok(PredictAnswer { prediction, model_version: model.version.clone() })
}

/// The z-scores of parts by their names, of features by theirs.
///
/// # Errors
///
/// [`Failure`] for a name that cannot be, or a part that is named twice.
pub fn parts<'a>(
    features: impl IntoIterator<Item = (&'a str, f64)>,
) -> Result<BTreeMap<&'a str, f64>, Failure> {
    let mut parts = BTreeMap::new();
    for (name, z) in features {
        let length = name.chars().count();
        if length == 0 || length > LONGEST_NAME {
            let text = format!("the name of a feature has 1 to {LONGEST_NAME} characters, and not {length}");
            return Err(Failure::Wrong(text));
        }
        if !z.is_finite() {
            return Err(Failure::Wrong(format!("{name}: {z} is no z-score; leave out what is not known")));
        }
        let part = part_of(name);
        if parts.insert(part, z).is_some() {
            return Err(Failure::Wrong(format!(
                "the part {part} is there twice, as {part} and as {part}{SUFFIX}"
            )));
        }
    }
    Failure::unless_within(parts.len(), MOST_PARTS, "parts", "an entity's bound")?;
    Ok(parts)
}

fn part_of(name: &str) -> &str {
    name.strip_suffix(SUFFIX).filter(|part| !part.is_empty()).unwrap_or(name)
}

/// What the z-scores of some parts come to; nothing where there is no part.
pub fn predict(detector: &Detector, parts: &BTreeMap<&str, f64>) -> Option<Prediction> {
    let unit = detector.alert_rarity();
    let score_of = |z: f64| (gauss::rarity(z) / unit).min(LARGEST_SCORE);
    let mut scores: Vec<(&str, f64)> = parts.iter().map(|(part, z)| (*part, score_of(*z))).collect();
    // The heaviest first; of equal ones the first by name.
    scores.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let (_, largest) = *scores.first()?;
    let second = scores.get(1).map_or(0.0, |(_, score)| *score);
    let squares: f64 = scores.iter().map(|(_, score)| score * score).sum();
    let share = |score: f64| if squares > 0.0 { score * score / squares } else { 0.0 };
    let together = Together {
        largest: largest as f32,
        second: second as f32,
        mean: f64::sqrt(squares / scores.len() as f64) as f32,
        share: share(largest) as f32,
    };
    let score = detector.weigh_together(&together);
    let part = |(name, score): &(&str, f64)| PartShare {
        name: (*name).to_owned(),
        score: *score,
        share: share(*score),
    };
    Some(Prediction { score, is_anomaly: score >= 1.0, parts: scores.iter().map(part).collect() })
}

// === impl Features ===

impl JsonSchema for Features {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Features".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The features of one entity by name: <part>_zscore, or <part> alone. A feature is how many standard \
                deviations its part is from what is usual for it, on either side.",
            "type": "object",
            "propertyNames": { "minLength": 1, "maxLength": LONGEST_NAME },
            "additionalProperties": { "type": "number" },
            "minProperties": 1,
            "maxProperties": MOST_PARTS,
            "examples": [{ "cpu_zscore": 2.1, "memory_zscore": 1.5 }],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn said(features: &[(&str, f64)]) -> Prediction {
        predict(&Model::builtin().detector, &parts(features.iter().copied()).unwrap()).unwrap()
    }

    #[test]
    fn several_parts_that_are_odd_together_are_an_anomaly() {
        let ordinary = said(&[("cpu_zscore", 2.1), ("memory_zscore", 1.5)]);
        assert!(ordinary.score > 0.3 && !ordinary.is_anomaly, "{ordinary:?}");
        let odd = said(&[("cpu_zscore", 4.0), ("memory_zscore", -3.6), ("disk_zscore", 0.1)]);
        assert!(odd.is_anomaly, "{odd:?}");
        assert_eq!(
            odd.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
            ["cpu", "memory", "disk"]
        );
    }

    #[test]
    fn a_part_that_is_as_rare_as_an_anomaly_of_a_single_series_scores_1() {
        assert_eq!(Model::builtin().detector.alert_rarity(), 3.525, "docs/serving.md says so");
        let alone = |z| said(&[("cpu", z)]).parts[0].score;
        assert!(alone(3.61) < 1.0 && alone(3.62) > 1.0);
    }

    #[test]
    fn a_part_goes_by_either_name_and_by_one_of_them_only() {
        assert_eq!(said(&[("cpu", 3.0)]), said(&[("cpu_zscore", 3.0)]));
        let twice = parts([("cpu", 3.0), ("cpu_zscore", 1.0)]).unwrap_err();
        assert!(twice.to_string().contains("cpu is there twice"), "{twice}");
        assert_eq!(said(&[("_zscore", 3.0)]).parts[0].name, "_zscore");
    }

    #[test]
    fn what_is_no_entity_is_refused() {
        assert_eq!(predict(&Model::builtin().detector, &BTreeMap::new()), None);
        assert!(parts([("cpu", f64::NAN)]).is_err());
        assert!(parts([("", 1.0)]).is_err());
        let names: Vec<String> = (0..257).map(|part| format!("part{part}")).collect();
        let many = parts(names.iter().map(|name| (name.as_str(), 1.0))).unwrap_err();
        assert!(matches!(many, Failure::TooMany { found: 257, allowed: 256, .. }), "{many}");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_finite_and_its_shares_are_of_one(
            features in btree_map("[a-z]{1,8}", any::<f64>().prop_filter("a number", |z| z.is_finite()), 1..12)
        ) {
            let features: Vec<_> = features.iter().map(|(name, z)| (name.as_str(), *z)).collect();
            let one = said(&features);
            prop_assert!(one.score.is_finite() && one.score >= 0.0);
            let shares: f64 = one.parts.iter().map(|part| part.share).sum();
            prop_assert!((shares - 1.0).abs() < 1e-9 || one.parts.iter().all(|part| part.score == 0.0));
            prop_assert!(one.parts.is_sorted_by(|a, b| a.share >= b.share));
            let again: Vec<_> = features.into_iter().rev().collect();
            prop_assert_eq!(one, said(&again));
        }

        #[test]
        fn the_farther_a_part_is_off_the_larger_its_score(z in 0.0..12.0_f64, more in 0.001..4.0_f64) {
            let (near, far) = (said(&[("a", z), ("b", 1.0)]), said(&[("a", z + more), ("b", 1.0)]));
            let of = |said: &Prediction| said.parts.iter().find(|part| part.name == "a").map(|part| part.score);
            prop_assert!(of(&far) > of(&near));
        }

        #[test]
        fn a_part_that_is_missing_is_no_part_that_is_ordinary(z in 3.0..6.0_f64) {
            prop_assert!(said(&[("a", z)]).score > said(&[("a", z), ("b", 0.0)]).score);
        }
    }
}
