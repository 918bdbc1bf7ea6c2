//! Training on metrics of the past, on one machine and on several.

use super::{Key, model, s3};
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::PROGRAM;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `sidelong` with these arguments; gives what it printed, or else complained of.
pub(super) fn sidelong(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(PROGRAM).args(arguments).envs(s3::CREDENTIALS).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Three days of one synthetic node, and the truth about them.
fn metrics(folder: &Path) -> (String, String) {
    let (csv, truth) = (folder.join("metrics.csv"), folder.join("truth.json"));
    let (csv, truth) = (csv.to_str().unwrap().to_owned(), truth.to_str().unwrap().to_owned());
    let options = ["--instances", "1", "--days", "3", "--step", "5m", "--seed", "7"];
    sidelong(&[["synth", "write"].as_slice(), &options, &["--labels", &truth, "--out", &csv]].concat())
        .unwrap();
    (csv, truth)
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().into(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn shards_of_any_number_give_the_model_of_one_machine_bit_for_bit() {
    let scratch = Scratch::new();
    let (csv, truth) = metrics(scratch.path());
    let at = |name: String| scratch.path().join(name).to_str().unwrap().to_owned();
    let common = ["--mask", &truth, "--warm-up", "200"];
    let whole = at("whole".to_owned());
    let told =
        sidelong(&[["train", &csv].as_slice(), &common, &["--created", "5", "--out", &whole]].concat())
            .unwrap();
    assert!(told.contains("series,") && told.contains("wrote a candidate"), "{told}");
    for shards in [1, 2, 7] {
        let parts: Vec<String> = (1..=shards)
            .map(|number| {
                let (shard, part) = (format!("{number}/{shards}"), at(format!("{number}-of-{shards}.part")));
                let own = ["--shard", &shard, "--out", &part];
                sidelong(&[["train", &csv].as_slice(), &common, &own].concat()).unwrap();
                part
            })
            .rev()
            .collect();
        let merged = at(format!("merged-{shards}"));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let merge = [["train", "merge"].as_slice(), &parts, &["--created", "5", "--out", &merged]].concat();
        let said = sidelong(&merge).unwrap();
        assert_eq!(said.lines().next(), told.lines().next());
        assert!(files(Path::new(&merged)) == files(Path::new(&whole)), "{shards} shards");
        if shards == 7 {
            let out = at("x".to_owned());
            let missing = [["train", "merge"].as_slice(), &parts[1..], &["--out", &out]].concat();
            let error = sidelong(&missing).unwrap_err();
            assert!(error.contains("not each of 1/7 to 7/7 once"), "{error}");
        }
    }
}

#[test]
fn what_was_trained_is_promoted_like_any_other() {
    let scratch = Scratch::new();
    let (csv, truth) = metrics(scratch.path());
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (masked, plain) = (at("masked"), at("plain"));
    let told = sidelong(&["train", &csv, "--mask", &truth, "--warm-up", "200", "--out", &masked]).unwrap();
    assert!(!told.contains(" 0 samples masked"), "{told}");
    let told = sidelong(&["train", &csv, "--warm-up", "200", "--out", &plain]).unwrap();
    assert!(told.contains(" 0 samples masked"), "{told}");
    let forest = |bundle: &str| {
        let files = files(Path::new(bundle));
        files.into_keys().collect::<Vec<_>>()
    };
    assert_ne!(forest(&masked), forest(&plain), "incidents make another forest");

    let (store, key) = (at("store"), Key::new(scratch.path(), "promotion.pem"));
    let published = model(&["publish", "--store", &store, &masked]);
    let candidate = published.trim().strip_prefix("candidate ").unwrap();
    let promote =
        ["promote", "--store", &store, "--key", &key.file, "--reason", "trained", "--without-evaluation"];
    model(&[promote.as_slice(), &[candidate]].concat());
    let shown = model(&["show", "--store", &store, "1"]);
    assert!(shown.contains("lineage.windows") && shown.contains("lineage.masked"), "{shown}");
}

#[test]
fn what_series_of_a_kind_have_in_common_is_where_new_ones_begin() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    // Three waves that noise keeps going: what comes next follows from the two values before it.
    let wave = |series: usize, samples: usize| {
        let (mut before, mut last) = (0.0, 0.0);
        let next = move |at: usize| {
            let noise = ((at + 1_000 * series) * (at + 7) * 7_919 % 1_009) as f64 / 1_009.0 - 0.5;
            (before, last) = (last, 1.5 * last - 0.9 * before + noise);
            50.0 + last
        };
        (0..samples).map(next).collect::<Vec<f64>>()
    };
    let waves = [1, 2, 3].map(|series| wave(series, 700));
    let mut csv = "timestamp,series,value\n".to_owned();
    for moment in 0..700 {
        for (n, wave) in waves.iter().enumerate() {
            csv += &format!("{},\"wave{{n=\"\"{n}\"\"}}\",{}\n", moment * 60, wave[moment]);
        }
    }
    let csv = scratch.write("waves.csv", &csv);
    let csv = csv.to_str().unwrap();
    let (plain, grouped) = (at("plain"), at("grouped"));
    sidelong(&["train", csv, "--warm-up", "100", "--out", &plain]).unwrap();
    let train = ["train", csv, "--warm-up", "100", "--group-by", "__name__"];
    let told = sidelong(&[train.as_slice(), &["--created", "5", "--out", &grouped]].concat()).unwrap();
    assert!(told.contains("__name__=wave: ARIMA(2,0,"), "{told}");
    let parts = ["1/2", "2/2"].map(|shard| {
        let part = at(&shard.replace('/', "-of-"));
        sidelong(&[train.as_slice(), &["--shard", shard, "--out", &part]].concat()).unwrap();
        part
    });
    let merged = at("merged");
    sidelong(&["train", "merge", &parts[1], &parts[0], "--created", "5", "--out", &merged]).unwrap();
    assert!(files(Path::new(&merged)) == files(Path::new(&grouped)));
    let (store, key) = (at("store"), Key::new(scratch.path(), "promotion.pem"));
    key.promote(&grouped, &store);
    let shown = model(&["show", "--store", &store, "1"]);
    assert!(shown.contains("files.priors"), "{shown}");

    // A new one of the kind is forecast better from the beginning on; one of another kind as ever.
    let line = |(at, value): (usize, f64)| format!("{},{value}\n", at * 60);
    let new = scratch.write("new.csv", &wave(4, 60).into_iter().enumerate().map(line).collect::<String>());
    let error = |bundle: &str, series: &str| {
        let table =
            sidelong(&["features", new.to_str().unwrap(), "--series", series, "--model", bundle]).unwrap();
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        let place = rows.headers().unwrap().iter().position(|column| column == "residual_short").unwrap();
        let errors = rows.records().filter_map(|row| row.unwrap()[place].parse::<f64>().ok());
        errors.skip(4).take(12).map(|error| error * error).sum::<f64>().sqrt()
    };
    let (with, without) = (error(&grouped, "wave"), error(&plain, "wave"));
    assert!(with < 0.7 * without, "{with} {without}");
    assert_eq!(error(&grouped, "other").to_bits(), error(&plain, "other").to_bits());
}

#[test]
fn what_cannot_be_trained_on_is_told() {
    let scratch = Scratch::new();
    let csv = scratch.write("short.csv", "1,1\n2,2\n");
    let (csv, out) = (csv.to_str().unwrap(), scratch.path().join("out"));
    let out = out.to_str().unwrap();
    let error = sidelong(&["train", csv, "--out", out]).unwrap_err();
    assert!(error.contains("no series has more than 600 samples"), "{error}");
    let mask = scratch.write("mask.csv", "1,2\nthen,now\n");
    let error = sidelong(&["train", csv, "--mask", mask.to_str().unwrap(), "--out", out]).unwrap_err();
    assert!(error.contains("line 2 is not start,end"), "{error}");
    let elsewhere = scratch.write("elsewhere.csv", "start,end\n2020-01-01,2020-01-02\n");
    let long: String = (0..700).map(|at| format!("{at},{}\n", at % 7)).collect();
    let long = scratch.write("long.csv", &long);
    let mask = ["--mask", elsewhere.to_str().unwrap(), "--out", out];
    let output = Command::new(PROGRAM)
        .args([&["train", long.to_str().unwrap()], mask.as_slice()].concat())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("no sample is masked"), "{told}");
    let error = sidelong(&["train"]).unwrap_err();
    assert!(error.contains("--out"), "{error}");
}
