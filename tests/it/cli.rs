//! The command line as a person meets it: what is printed where, and exit codes.

use std::process::{Command, Output};

fn sidelong(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sidelong")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_wrong_configuration_ends_with_2_and_names_every_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sidelong.yml");
    std::fs::write(&file, "rulez: []\nscores: {max_serie: 1}\n").unwrap();
    let path = file.to_str().unwrap();
    let output = sidelong(&["check-config", path]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.starts_with("error: the configuration is wrong:\n"), "{error}");
    assert!(
        error.contains(&format!("{path}:1:1: unknown key \"rulez\"; did you mean \"rules\"?")),
        "{error}"
    );
    assert!(error.contains(&format!("{path}:2:10: scores: unknown key \"max_serie\"")), "{error}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_right_configuration_is_summed_up() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/sidelong.example.yml");
    let output = sidelong(&["check-config", example]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("samples go to http://prometheus:9090/api/v1/write"));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_a_missing_file_says_which() {
    assert_eq!(sidelong(&["check-confg"]).status.code(), Some(2));
    assert_eq!(sidelong(&[]).status.code(), Some(2));
    let output = sidelong(&["check-config", "no-such-file.yml"]);
    let error = text(&output.stderr);
    assert!(error.starts_with("error: cannot read the configuration file no-such-file.yml: "), "{error}");
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1));
}

#[test]
fn a_converted_file_can_be_checked_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("vmanomaly.yaml"), dir.path().join("sidelong.yml"));
    let queries = "reader: {queries: {cpu: 'rate(node_cpu_seconds_total[5m])', sum: sum(up)}}\n";
    std::fs::write(&from, queries).unwrap();
    let output = sidelong(&["convert", from.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("not translated: reader.queries.sum: sum() joins"));
    std::fs::write(&to, &output.stdout).unwrap();
    assert!(sidelong(&["check-config", to.to_str().unwrap()]).status.success());
}

#[test]
fn help_shows_examples_and_version_names_the_build() {
    for command in
        ["check-config", "convert", "healthcheck", "top", "demo", "synth", "backtest", "features", "profile"]
    {
        let help = text(&sidelong(&[command, "--help"]).stdout);
        assert!(help.contains("Examples:\n  sidelong "), "{command}: {help}");
    }
    assert!(text(&sidelong(&["version"]).stdout).starts_with("sidelong 0."));
}
