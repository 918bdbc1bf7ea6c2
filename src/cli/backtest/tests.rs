//! The subcommand from its arguments to what it writes.

use clap::Parser;

use super::*;
use crate::backtest::source::Row;
use crate::batch::Sample;
use crate::model::Model;
use crate::rules::RawRule;

#[derive(Debug, Parser)]
#[command(name = "sidelong")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Backtest(BacktestArgs),
}

fn parse(words: &[&str]) -> BacktestArgs {
    let words = ["sidelong", "backtest"].iter().chain(words);
    let Command::Backtest(args) = Cli::try_parse_from(words).unwrap().command;
    args
}

/// What `sidelong backtest series.csv OPTIONS` writes of this text.
fn written(text: &str, options: &[&str]) -> anyhow::Result<String> {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("series.csv"), dir.path().join("out"));
    std::fs::write(&file, text).unwrap();
    let mut words = vec![file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    words.extend(options);
    run(&parse(&words))?;
    Ok(std::fs::read_to_string(out).unwrap())
}

fn rows(text: &str, options: &[&str]) -> Vec<String> {
    written(text, options).unwrap().lines().map(str::to_owned).collect()
}

fn series(rows: u64) -> String {
    let row = |i| format!("{},{}\n", 1_500_000_000 + 60 * i, if i == 90 { 900 } else { i * 7919 % 13 });
    (0..rows).map(row).collect()
}

#[test]
fn every_example_of_the_help_is_understood() {
    for example in EXAMPLES.lines().skip(1) {
        let command = example.split(['|', '>']).next().unwrap_or_default();
        Cli::try_parse_from(command.split_whitespace()).unwrap();
    }
}

#[test]
fn each_row_has_a_row_and_the_scorers_is_between_nought_and_one() {
    let rows = rows(&format!("timestamp,value\n{}", series(100)), &["--format=scorer"]);
    assert_eq!(rows.len(), 101);
    assert_eq!(rows[0], "timestamp,anomaly_score");
    let score = |row: &str| row.split(',').nth(1).unwrap().parse::<f64>().unwrap();
    assert!(rows[1..].iter().map(|row| score(row)).all(|score| (0.0..1.0).contains(&score)));
    assert!(score(&rows[91]) > 0.5 && score(&rows[90]) < 0.5, "{:?}", &rows[90..92]);
}

#[test]
fn a_row_that_teaches_nothing_repeats_the_last_score() {
    let text = format!("{}1500005400,1\n1500000000,2\n1500005460,\n", series(91));
    let rows = rows(&text, &["--format=scorer"]);
    let scores: Vec<_> = rows[91..].iter().map(|row| row.split_once(',').unwrap().1).collect();
    assert_eq!(scores.len(), 4);
    assert!(scores.iter().all(|score| score == &scores[0]), "{scores:?}");
}

#[test]
fn a_table_has_the_band_once_there_is_one() {
    let rows = rows(&series(60), &["--format=csv"]);
    assert_eq!(rows[1], "1500000000,0,0,,,");
    assert_eq!(rows[60].split(',').filter(|field| !field.is_empty()).count(), 6, "{}", rows[60]);
    assert_eq!(super::tests::rows("", &["--format=csv"]).len(), 1);
}

#[test]
fn a_column_names_the_series_where_it_is_asked_for() {
    let options = ["--format=csv", "--series", r#"load{instance="a"}"#, "--series-column"];
    let rows = rows(&series(2), &options);
    assert_eq!(rows[0], "series,timestamp,value,anomaly_score,yhat,yhat_lower,yhat_upper");
    assert_eq!(rows[1], r#""load{instance=""a""}",1500000000,0,0,,,"#);
}

#[test]
fn a_second_series_without_a_column_for_it_is_an_error_and_with_one_a_row() {
    let sample = Sample { timestamp_ms: 1_000, value: 2.0 };
    let row = Row { timestamp: "1".into(), value: "2".into(), sample };
    let said = corridor_of("up").last();
    let (one, other): (Series, Series) = ("up".parse().unwrap(), "down".parse().unwrap());
    let mut table = Table::new(Vec::new(), Columns::Squeezed);
    table.begin(&one).unwrap();
    assert!(table.begin(&other).unwrap_err().to_string().contains("--series-column"));
    let mut table = Table::new(Vec::new(), Columns::Squeezed);
    table.name_series();
    for series in [&one, &other, &one] {
        table.begin(series).unwrap();
        table.row(&row, &said).unwrap();
    }
    let text = String::from_utf8(table.finish().unwrap()).unwrap();
    assert_eq!(text, "series,timestamp,anomaly_score\n\"up\",1,0\n\"down\",1,0\n\"up\",1,0\n");
}

#[test]
fn a_rule_that_asks_for_the_confidence_gets_its_column() {
    let rows =
        rows(&series(60), &["--format=csv", "--rule={match: x, provide_series: [anomaly_confidence]}"]);
    assert!(rows[0].ends_with(",yhat_upper,anomaly_confidence"), "{}", rows[0]);
    let confidence: f64 = rows[60].split(',').next_back().unwrap().parse().unwrap();
    assert!((0.0..=1.0).contains(&confidence));
}

fn corridor_of(series: &str) -> Corridor {
    Corridor::new(Model::builtin(), RawRule::default(), &series.parse().unwrap()).unwrap()
}

#[test]
fn a_rule_judges_from_a_file_or_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rule.yml");
    std::fs::write(&file, "match: load\ndata_range: [0, 5]\n").unwrap();
    let text = series(10);
    let by_file = rows(&text, &["--format=csv", "--rule", file.to_str().unwrap()]);
    let inline = rows(&text, &["--format=csv", "--rule", "{match: load, data_range: [0, 5]}"]);
    assert_eq!(by_file, inline);
    let scores: Vec<_> = inline[1..].iter().map(|row| row.split(',').nth(2).unwrap()).collect();
    let values: Vec<f64> =
        inline[1..].iter().map(|row| row.split(',').nth(1).unwrap().parse().unwrap()).collect();
    for (score, value) in scores.iter().zip(&values) {
        assert_eq!(*score, if *value > 5.0 { "1.01" } else { "0" }, "{value}");
    }
}

#[test]
fn a_rule_that_cannot_be_is_named() {
    let check = |rule: &str, want: &str| {
        let error = format!("{:#}", written(&series(3), &["--format=csv", "--rule", rule]).unwrap_err());
        assert!(error.contains(want), "{error}");
    };
    check("no-such-file", "neither a file nor YAML");
    check("{data_rnge: [0, 1]}", "did you mean \"data_range\"");
    check("{z_threshold: -1}", "z_threshold: -1 cannot be used");
    check("{exclude: true}", "take exclude out");
}

#[test]
fn a_counter_is_told_by_its_name() {
    let text: String = (0..50).map(|i| format!("{},{}\n", 1_500_000_000 + 60 * i, 120 * i)).collect();
    let by_name = rows(&text, &["--format=csv", "--series=requests_total"]);
    assert_eq!(by_name, rows(&text, &["--format=csv", "--counter"]));
    assert!(by_name[50].ends_with(",2,2,2"), "120 a minute: {}", by_name[50]);
    assert_ne!(by_name, rows(&text, &["--format=csv", "--rule", "kind: gauge", "--series=requests_total"]));
}

#[test]
fn a_page_tells_what_became_of_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.csv");
    std::fs::write(&labels, "1500005340,1500005460,jump\n1500000600,1500000700\n").unwrap();
    let options = ["--format=html", "--labels", labels.to_str().unwrap(), "--series", "load<1>{x=\"<y>\"}"];
    assert!(written("", &options[..3]).unwrap().contains("no sample"));
    assert!(Cli::try_parse_from(["sidelong", "backtest", "x", options[3], options[4]]).is_err());
    let html = written(&series(120), &[&options[..3], &["--series", "load{x=\"<y>\"}"]].concat()).unwrap();
    assert!(html.contains("<h1>load{x=&quot;&lt;y&gt;&quot;}</h1>"));
    assert!(html.contains("1 of 2<small>0 anomalies outside"), "{html}");
    assert!(html.contains("<td>jump<td>1m<td>"));
}

#[test]
fn options_that_do_nothing_together_are_refused() {
    let check = |options: &[&str], want: &str| {
        let error = written(&series(3), options).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    check(&["--labels=x.csv"], "give --format html");
    check(&["--remote-write=http://127.0.0.1:1/"], "--out needs a --format");
    check(&["--query=up"], "needs the URL of a Prometheus");
    let error = run(&parse(&["http://127.0.0.1:1"])).unwrap_err();
    assert!(format!("{error:#}").contains("needs a query: --query"), "{error:#}");
}

#[test]
fn own_output_has_no_score() {
    let error = written(&series(3), &["--format=csv", "--series=anomaly_score{for=\"up\"}"]).unwrap_err();
    assert!(format!("{error:#}").contains("name the series that was scored"), "{error:#}");
}

#[cfg(not(feature = "archive"))]
#[test]
fn a_binary_without_parquet_says_so() {
    let error = run(&parse(&["x.parquet"])).unwrap_err();
    assert!(format!("{error:#}").contains("build it with the feature archive"), "{error:#}");
}

/// What `sidelong backtest --entity` writes of files called so, each of this text.
fn written_of_entity(files: &[(&str, String)], options: &[&str]) -> anyhow::Result<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut words = vec!["--entity".to_owned(), format!("--out={}", out.display())];
    for (name, text) in files {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        words.push(file.display().to_string());
    }
    words.extend(options.iter().map(|&option| option.to_owned()));
    run(&parse(&words.iter().map(String::as_str).collect::<Vec<_>>()))?;
    Ok(std::fs::read_to_string(out).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn an_entity_has_a_row_for_each_step_and_its_parts_have_the_scores_that_they_have_alone() {
    let odd_late = |rows| series(rows).replace("900\n", "5\n").replace("1500008400,", "1500008400,7");
    let files = [("a.csv", odd_late(200)), ("b.csv", odd_late(150))];
    let rows = written_of_entity(&files, &[]).unwrap();
    assert_eq!(rows[0], "timestamp,anomaly_score,heaviest,share,a,b");
    let alone = super::tests::rows(&odd_late(200), &["--format=csv"]);
    let column = |row: &str, at: usize| row.split(',').nth(at).unwrap().to_owned();
    for row in &rows[1..] {
        let same = alone.iter().find(|alone| column(alone, 0) == column(row, 0)).unwrap();
        assert_eq!(column(row, 4), column(same, 2), "{row}");
    }
    // A part counts when it has been there for an hour after it is warm; one that goes is missed for some.
    let times: Vec<u64> = rows[1..].iter().map(|row| column(row, 0).parse().unwrap()).collect();
    assert!(times.windows(2).all(|two| two[1] == two[0] + 60), "{times:?}");
    let odd = rows[1..].iter().find(|row| column(row, 0) == "1500008400").unwrap();
    assert!(column(odd, 1).parse::<f64>().unwrap() >= 1.0, "{odd}");
}

#[test]
fn the_scorer_has_a_row_for_each_time_of_an_entity() {
    let rows = written_of_entity(&[("a.csv", series(200)), ("b.csv", series(150))], &["--format=scorer"]);
    let times: Vec<_> =
        rows.unwrap()[1..].iter().map(|row| row.split(',').next().unwrap().to_owned()).collect();
    let wanted: Vec<_> = (0..200).map(|row| (1_500_000_000 + 60 * row).to_string()).collect();
    assert_eq!(times, wanted);
}

#[test]
fn parts_of_files_that_are_called_alike_go_by_their_paths_and_a_bad_file_is_named() {
    let rows = written_of_entity(&[("cpu/x.csv", series(90)), ("disk/x.csv", series(90))], &[]).unwrap();
    assert!(rows[0].contains("cpu/x.csv,") && rows[0].ends_with("disk/x.csv"), "{}", rows[0]);
    let bad = written_of_entity(&[("a.csv", series(9)), ("b.csv", "1,1\nx,y\n".into())], &[]).unwrap_err();
    assert!(bad.to_string().contains("b.csv") && bad.to_string().contains("line 2"), "{bad}");
    let page = written_of_entity(&[("a.csv", series(9))], &["--format=html"]).unwrap_err();
    assert!(page.to_string().contains("--format"), "{page}");
}
