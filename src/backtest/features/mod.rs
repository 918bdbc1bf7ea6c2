//! What the detector sees at each sample, as columns: the numbers of an [`Explanation`], one row a sample.

mod csv;
#[cfg(feature = "archive")]
mod parquet;

use crate::detect::{Calibrated, Explanation, Residual, Shares};

pub use self::csv::CsvFeatures;
#[cfg(feature = "archive")]
pub use self::parquet::{FeatureFileError, ParquetFeatures};

/// One number, or word, of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A time in milliseconds since the Unix epoch, or a count.
    Integer(i64),
    /// A number of 64 bits.
    Double(f64),
    /// A number of 32 bits; nothing where it does not exist.
    Single(Option<f32>),
    /// A word from a closed list.
    Word(String),
}

/// The columns of `seen` by name, in an order that is always the same.
///
/// `timestamp` and `value` come first, so that a table of features is itself a series that can be replayed.
pub fn cells(seen: &Explanation) -> Vec<(&'static str, Cell)> {
    use Cell::{Double, Integer, Single};
    let Explanation { window, season, residuals, energy, .. } = seen;
    let [short, medium, long] = energy;
    let single = |number: f32| Single(Some(number));
    let mut cells = vec![
        ("timestamp", Integer(seen.timestamp_ms)),
        ("value", Double(seen.value)),
        ("score", Double(seen.score)),
        ("expected", Double(seen.expected)),
        ("lower", Double(seen.lower)),
        ("upper", Double(seen.upper)),
        ("detector", Cell::Word(seen.detector.name().to_owned())),
        ("spoke", word(&seen.spoke)),
        ("samples_seen", Integer(seen.samples_seen.into())),
        ("step_seconds", Double(seen.step_seconds)),
        ("steps", Double(seen.steps)),
    ];
    let names = ["window_1", "window_2", "window_3", "window_4"];
    cells.extend(names.into_iter().zip(window.values.map(Double)));
    let names = ["window_1_z", "window_2_z", "window_3_z", "window_4_z"];
    cells.extend(names.into_iter().zip(window.z.map(Double)));
    cells.extend([
        ("season", word(&season.chosen)),
        ("season_level", Double(season.level)),
        ("season_value", Double(season.value)),
        ("season_hour", Double(season.hour)),
        ("season_day", Double(season.day)),
        ("season_week", Double(season.week)),
        ("season_cost_none", Double(season.costs[0])),
        ("season_cost_hour", Double(season.costs[1])),
        ("season_cost_day", Double(season.costs[2])),
        ("season_cost_week", Double(season.costs[3])),
    ]);
    let residual =
        |names: [&'static str; 2], of: &Residual| names.into_iter().zip([of.error, of.z].map(Double));
    cells.extend(residual(["residual_short", "residual_short_z"], &residuals.short));
    cells.extend(residual(["residual_season", "residual_season_z"], &residuals.season));
    cells.extend(residual(["residual_hour", "residual_hour_z"], &residuals.hour));
    cells.extend(residual(["residual_long", "residual_long_z"], &residuals.long));
    let sides = |names: [&'static str; 2], of: &[f32; 2]| names.into_iter().zip(of.map(single));
    cells.extend(sides(["energy_short_below", "energy_short_above"], short));
    cells.extend(sides(["energy_medium_below", "energy_medium_above"], medium));
    cells.extend(sides(["energy_long_below", "energy_long_above"], long));
    let calibrated = |names: [&'static str; 4], of: &Calibrated| {
        names.into_iter().zip([of.short, of.season, of.hour, of.energy].map(single))
    };
    let names = ["place_short", "place_season", "place_hour", "place_energy"];
    cells.extend(calibrated(names, &seen.places));
    let names = ["rarity_short", "rarity_season", "rarity_hour", "rarity_energy"];
    cells.extend(calibrated(names, &seen.rarities));
    cells.extend([
        ("isolation_path", Single(seen.isolation.map(|isolation| isolation.path))),
        ("isolation_rarity", Single(seen.isolation.map(|isolation| isolation.rarity))),
        ("extreme", single(seen.extreme)),
        ("record", single(seen.record)),
        ("onset_rarity", single(seen.onset.rarity)),
        ("onset_score", Double(seen.onset.score)),
        ("state_rarity", single(seen.state.rarity)),
        ("state_score", Double(seen.state.score)),
        ("confidence", Double(seen.confidence)),
    ]);
    let names = ["share_state", "share_errors", "share_forest", "share_extremes", "share_data_range"];
    let shares = seen.shares.map_or([f64::NAN; Shares::NAMES.len()], |shares| shares.all());
    cells.extend(names.into_iter().zip(shares.map(Double)));
    cells
}

/// A word as JSON has it.
fn word(of: &impl serde::Serialize) -> Cell {
    let json = serde_json::to_value(of).unwrap_or_default();
    Cell::Word(json.as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::{Corridor, Series};
    use crate::batch::Sample;
    use crate::model::Model;
    use crate::rules::RawRule;

    /// What is seen at the last of `count` samples, which is far off.
    pub(super) fn seen(count: i64) -> Explanation {
        let mut corridor = Corridor::new(Model::builtin(), RawRule::default(), &Series::default()).unwrap();
        for at in 0..count {
            let value = if at + 1 == count { 99.0 } else { 10.0 + (at * 7919 % 13) as f64 };
            corridor.hear(Sample { timestamp_ms: 1_767_571_200_000 + at * 60_000, value });
        }
        corridor.explain().unwrap()
    }

    /// Counts the numbers and words in `json`, however deep they lie.
    fn leaves(json: &serde_json::Value) -> usize {
        match json {
            serde_json::Value::Object(fields) => fields.values().map(leaves).sum(),
            serde_json::Value::Array(entries) => entries.iter().map(leaves).sum(),
            _ => 1,
        }
    }

    #[test]
    fn every_number_of_an_explanation_has_a_column_of_its_own() {
        let seen = seen(400);
        assert!(seen.isolation.is_some(), "a far value is put before the forest");
        let cells = cells(&seen);
        assert_eq!(cells.len(), leaves(&serde_json::to_value(&seen).unwrap()));
        let names: std::collections::BTreeSet<_> = cells.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), cells.len(), "no name stands for two");
    }

    #[test]
    fn the_columns_are_the_same_for_every_sample() {
        let names = |count| cells(&seen(count)).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(2), names(400));
    }
}
