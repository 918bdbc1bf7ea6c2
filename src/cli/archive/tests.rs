//! The commands on an archive that a corridor's worth of samples was written into.

use std::sync::Arc;

use clap::Parser;

use super::*;
use crate::archive::{Day, Depot, FileWriter, Partition, Place, Row, SeriesKey, TENANT};
use crate::batch::{Sample, stale_marker};
use crate::detect::Judgement;
use crate::series::labels::METRIC_NAME;

const NOON: i64 = 1_796_040_000_000;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    archive: ArchiveArgs,
}

/// Two files of a day long ago, with two series.
fn archive() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let load = Arc::new(SeriesKey::of([(METRIC_NAME, "load"), ("instance", "a \"1\""), (TENANT, "t")]));
    let up = Arc::new(SeriesKey::of([(METRIC_NAME, "up")]));
    let judged = |score| Judgement { score, expected: 1.5, lower: f64::NEG_INFINITY, upper: f64::NAN };
    let row = |series: &Arc<SeriesKey>, step: i64, value, score| {
        let sample = Sample { timestamp_ms: NOON + step * 60_000, value };
        Row { series: Arc::clone(series), sample, judged: judged(score) }
    };
    let files = [
        vec![row(&load, 0, 0.1, 0.25), row(&load, 1, 7.0, 2.0), row(&up, 0, 1.0, 0.0)],
        vec![row(&load, 2, stale_marker(), f64::NAN)],
    ];
    for (number, rows) in files.iter().enumerate() {
        let mut file = FileWriter::new(&[]).unwrap();
        rows.iter().for_each(|row| file.push(row).unwrap());
        let partition = Partition { day: Day::of(NOON), shard: 0 };
        let place = Place::new(partition, rows[0].sample.timestamp_ms, &number.to_string());
        Depot::folder(folder.path()).put(&place, file.finish().unwrap().into()).unwrap();
    }
    folder
}

/// What `archive COMMAND FOLDER REST` prints.
fn printed(folder: &tempfile::TempDir, command: &str, rest: &[&str]) -> String {
    let path = folder.path().to_str().unwrap();
    let line = ["archive", command, path].into_iter().chain(rest.iter().copied());
    let args = CommandLine::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).archive;
    let mut out = Vec::new();
    match &args.command {
        Command::Ls(args) => ls::run(args, &mut out),
        Command::Cat(args) => cat::run(args, &mut out),
        Command::Compact(args) => compact::run(args, &mut out),
    }
    .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn cat_prints_samples_by_selector_and_time() {
    let folder = archive();
    let load = r#""load{__tenant__=""t"",instance=""a \""1\""""}""#;
    assert_eq!(
        printed(&folder, "cat", &["load"]),
        format!(
            "timestamp,series,value,score,expected,lower,upper\n\
             1796040000000,{load},0.1,0.25,1.5,-Inf,\n\
             1796040060000,{load},7,2,1.5,-Inf,\n\
             1796040120000,{load},stale,,1.5,-Inf,\n"
        )
    );
    let some = printed(&folder, "cat", &["{__tenant__=\"t\"}", "--from", "1796040060", "--to", "1796040120"]);
    assert_eq!(some.lines().count(), 2);
    assert_eq!(printed(&folder, "cat", &["nothing"]).lines().count(), 1);
    assert_eq!(
        printed(&folder, "cat", &["up", "--format", "json"]),
        "{\"timestamp_ms\":1796040000000,\"labels\":{\"__name__\":\"up\"},\"value\":\"1\",\"score\":\"0\",\
         \"expected\":\"1.5\",\"lower\":\"-Inf\"}\n"
    );
}

#[test]
fn ls_counts_what_is_there_and_compact_makes_it_one_file() {
    let folder = archive();
    let line = |list: &str| -> serde_json::Value { serde_json::from_str(list).unwrap() };
    let before = line(&printed(&folder, "ls", &["--format", "json"]));
    assert_eq!(
        (&before["day"], &before["series"], &before["samples"]),
        (&"2026-11-30".into(), &2.into(), &4.into())
    );
    assert_eq!(
        (&before["files"], &before["from_ms"], &before["to_ms"]),
        (&2.into(), &NOON.into(), &(NOON + 120_000).into())
    );
    let all = printed(&folder, "cat", &[]);
    assert!(printed(&folder, "compact", &[]).starts_with("2 files of "));
    let after = line(&printed(&folder, "ls", &["--format", "json"]));
    assert_eq!((&after["files"], &after["samples"]), (&1.into(), &4.into()));
    assert_eq!(printed(&folder, "cat", &[]), all);
    let table = printed(&folder, "ls", &[]);
    assert!(table.lines().last().unwrap().starts_with("2 series, 4 samples in 1 files, "), "{table}");
}
