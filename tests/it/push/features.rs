//! What `sidelong features` writes of a sample is what the running program tells of it, bit for bit and by name.

use super::*;
use crate::harness::scratch::Scratch;
use std::collections::BTreeMap;
use std::process::Command;

/// Two days and some more, so that a season is heeded.
const SAMPLES: i64 = 3_100;
/// Of so many samples at the end the explanations are compared, one after the other.
const COMPARED: usize = 12;
/// Of these the second is far off, and so is the last.
const FAR: [usize; 2] = [SAMPLES as usize - COMPARED + 1, SAMPLES as usize - 1];

/// Where in an explanation a column has its number or word.
const PLACES: &[(&str, &str)] = &[
    ("timestamp", "timestampMs"),
    ("value", "value"),
    ("score", "score"),
    ("expected", "expected"),
    ("lower", "lower"),
    ("upper", "upper"),
    ("detector", "detector"),
    ("spoke", "spoke"),
    ("samples_seen", "samplesSeen"),
    ("step_seconds", "stepSeconds"),
    ("steps", "steps"),
    ("window_1", "window/values/0"),
    ("window_2", "window/values/1"),
    ("window_3", "window/values/2"),
    ("window_4", "window/values/3"),
    ("window_1_z", "window/z/0"),
    ("window_2_z", "window/z/1"),
    ("window_3_z", "window/z/2"),
    ("window_4_z", "window/z/3"),
    ("season", "season/chosen"),
    ("season_level", "season/level"),
    ("season_value", "season/value"),
    ("season_hour", "season/hour"),
    ("season_day", "season/day"),
    ("season_week", "season/week"),
    ("season_cost_none", "season/costs/0"),
    ("season_cost_hour", "season/costs/1"),
    ("season_cost_day", "season/costs/2"),
    ("season_cost_week", "season/costs/3"),
    ("residual_short", "residuals/short/error"),
    ("residual_short_z", "residuals/short/z"),
    ("residual_season", "residuals/season/error"),
    ("residual_season_z", "residuals/season/z"),
    ("residual_hour", "residuals/hour/error"),
    ("residual_hour_z", "residuals/hour/z"),
    ("residual_long", "residuals/long/error"),
    ("residual_long_z", "residuals/long/z"),
    ("energy_short_below", "energy/0/0"),
    ("energy_short_above", "energy/0/1"),
    ("energy_medium_below", "energy/1/0"),
    ("energy_medium_above", "energy/1/1"),
    ("energy_long_below", "energy/2/0"),
    ("energy_long_above", "energy/2/1"),
    ("place_short", "places/short"),
    ("place_season", "places/season"),
    ("place_hour", "places/hour"),
    ("place_energy", "places/energy"),
    ("rarity_short", "rarities/short"),
    ("rarity_season", "rarities/season"),
    ("rarity_hour", "rarities/hour"),
    ("rarity_energy", "rarities/energy"),
    ("isolation_path", "isolation/path"),
    ("isolation_rarity", "isolation/rarity"),
    ("extreme", "extreme"),
    ("record", "record"),
    ("onset_rarity", "onset/rarity"),
    ("onset_score", "onset/score"),
    ("state_rarity", "state/rarity"),
    ("state_score", "state/score"),
    ("confidence", "confidence"),
    ("share_state", "shares/state"),
    ("share_errors", "shares/errors"),
    ("share_forest", "shares/forest"),
    ("share_extremes", "shares/extremes"),
    ("share_data_range", "shares/data_range"),
];

type Row = BTreeMap<String, String>;

/// What a gauge shows, and what a counter shows that grows by as much each minute.
fn samples(is_counter: bool) -> Vec<(i64, f64)> {
    // A moment that is always the same: which season serves best depends on the hour.
    let start = 29_400_265 - SAMPLES;
    let wave =
        |i: i64| ((start + i) % 1_440 - 720).abs() as f64 / 72.0 + (i * 7_919 % 1_013) as f64 / 1_013.0;
    let value = |i: i64| if FAR.contains(&(i as usize)) { 60.0 } else { wave(i) };
    let mut total = 0.0;
    let shown = |i: i64| {
        total = if is_counter { total + value(i) * 60.0 } else { value(i) };
        total
    };
    let shown: Vec<f64> = (0..SAMPLES).map(shown).collect();
    shown.into_iter().enumerate().map(|(i, value)| ((start + i as i64) * 60_000, value)).collect()
}

/// The last rows that are written of `samples`, each by column.
fn features(scratch: &Scratch, is_counter: bool, samples: &[(i64, f64)]) -> Vec<Row> {
    let rows: String = samples.iter().map(|(at_ms, value)| format!("{at_ms},{value}\n")).collect();
    let file = scratch.write("series.csv", &rows);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidelong"));
    command.args(["features", file.to_str().unwrap()]).args(is_counter.then_some("--counter"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let names: Vec<_> = lines.next().unwrap().split(',').map(str::to_owned).collect();
    let rows: Vec<_> = lines.collect();
    let row = |line: &&str| names.iter().cloned().zip(line.split(',').map(str::to_owned)).collect();
    rows[rows.len() - COMPARED..].iter().map(row).collect()
}

/// Every number and word of a JSON text by where it stands, as it is written: a reader of numbers may be a digit off.
/// What is null is empty.
fn leaves(json: &mut &str, path: &str, into: &mut Row) {
    let (open, rest) = json.split_at(1);
    if !["{", "["].contains(&open) {
        let end = json.find([',', '}', ']']).unwrap_or(json.len());
        let (leaf, rest) = json.split_at(end);
        into.insert(path.to_owned(), leaf.trim_matches('"').replace("null", ""));
        *json = rest;
        return;
    }
    *json = rest;
    for at in 0.. {
        let name = if open == "{" {
            let (name, rest) = json.split_once(':').unwrap();
            *json = rest;
            name.trim_matches('"').to_owned()
        } else {
            at.to_string()
        };
        leaves(json, &format!("{path}/{name}"), into);
        let (next, rest) = json.split_at(1);
        *json = rest;
        if next != "," {
            return;
        }
    }
}

/// What the running program says of the newest sample of the only series, which is of `at`.
async fn explained(sidelong: &Sidelong, at: i64) -> Row {
    let url = format!("http://{}/api/v1/explain?series={{__name__!=\"\"}}", sidelong.admin);
    let url = url.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
    crate::harness::eventually("the newest sample is explained", async || {
        let text = http::get(&url).await.ok()?.text();
        let (_, mut explanation) = text.split_once("\"explanation\":")?;
        let mut row = Row::new();
        leaves(&mut explanation, "", &mut row);
        (row.get("/timestampMs")? == &at.to_string()).then_some(row)
    })
    .await
}

/// The same text, or the same bits.
fn is_same(written: &str, told: &str) -> bool {
    match (written.parse::<f64>(), told.parse::<f64>()) {
        (Ok(written), Ok(told)) => written.to_bits() == told.to_bits(),
        _ => written == told,
    }
}

async fn features_are_what_is_explained(is_counter: bool) {
    let scratch = Scratch::new();
    let name = if is_counter { "level_total" } else { "level" };
    let sidelong = Sidelong::start(&scratch, &format!("rules: [{{match: {name}}}]\n")).await;
    let samples = samples(is_counter);
    let wanted = features(&scratch, is_counter, &samples);
    let (past, compared) = samples.split_at(samples.len() - COMPARED);
    let one_by_one = compared.chunks(1);
    let mut seen = BTreeMap::<&str, Vec<String>>::new();
    for some in past.chunks(500) {
        let body = Version::V1.body(vec![series(&[("__name__", name)], some)]);
        assert_eq!(push(&sidelong, Version::V1, body).await.status, 204);
    }
    for (some, row) in one_by_one.zip(wanted) {
        let body = Version::V1.body(vec![series(&[("__name__", name)], some)]);
        assert_eq!(push(&sidelong, Version::V1, body).await.status, 204);
        let told = explained(&sidelong, some[0].0).await;
        for (column, place) in PLACES {
            let (written, told) = (&row[*column], told.get(&format!("/{place}")).map_or("", String::as_str));
            assert!(is_same(written, told), "{column} is {written}, {place} is {told}, at {}", some[0].0);
            seen.entry(column).or_default().push(written.clone());
        }
        let named: std::collections::BTreeSet<_> = PLACES.iter().map(|(column, _)| *column).collect();
        let others: Vec<_> = row.keys().filter(|column| !named.contains(&***column)).collect();
        assert!(others.is_empty(), "{others:?} are compared with nothing");
    }
    // What is the same in every row proves nothing of which column it is in: few are.
    let alike = |one: &&str, other: &&str| seen[*one] == seen[*other];
    let columns: Vec<_> = seen.keys().copied().collect();
    let twins: Vec<_> = (0..columns.len())
        .flat_map(|at| columns[at + 1..].iter().map(move |other| (at, *other)))
        .map(|(at, other)| (columns[at], other))
        .filter(|(one, other)| alike(one, other))
        .collect();
    assert!(twins.len() < 12, "{twins:?} cannot be told apart");
    assert!(
        seen["isolation_path"].iter().any(|path| !path.is_empty()),
        "a far value is put before the forest"
    );
    assert!(seen["season"].iter().all(|season| season != "none"));
}

#[tokio::test]
async fn features_of_a_gauge_are_what_the_running_program_explains_to_the_last_bit() {
    features_are_what_is_explained(false).await;
}

#[tokio::test]
async fn features_of_a_counter_are_what_the_running_program_explains_to_the_last_bit() {
    features_are_what_is_explained(true).await;
}
