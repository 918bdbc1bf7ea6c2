//! Champion against challenger, and the gate before promotion.

use super::training::sidelong;
use super::{Key, model, refused};
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::PROGRAM;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

/// Ten days of one synthetic node with what went wrong, and a challenger that was trained on the first four of them.
struct World {
    scratch: Scratch,
    csv: String,
    truth: String,
    challenger: String,
}

/// The beginning of what `sidelong synth` writes, and the end of what the challenger was trained on.
const FROM: i64 = 1_767_571_200;
const UNTIL: i64 = FROM + 4 * 86_400;

// === impl World ===

impl World {
    fn new() -> Self {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        let [csv, truth, early, challenger] =
            ["metrics.csv", "truth.json", "early.csv", "challenger"].map(at);
        let options = ["--instances", "1", "--days", "10", "--step", "5m", "--seed", "7", "--quiet", "12h"];
        sidelong(&[["synth", "write"].as_slice(), &options, &["--labels", &truth, "--out", &csv]].concat())
            .unwrap();
        let all = fs::read_to_string(&csv).unwrap();
        let is_early = |line: &&str| {
            line.split(',').next().unwrap().parse::<i64>().map_or(true, |second| second < UNTIL)
        };
        fs::write(&early, all.lines().filter(is_early).collect::<Vec<_>>().join("\n")).unwrap();
        sidelong(&["train", &early, "--mask", &truth, "--warm-up", "200", "--out", &challenger]).unwrap();
        Self { scratch, csv, truth, challenger }
    }

    fn at(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().unwrap().to_owned()
    }

    fn evaluate(&self, challenger: &str, more: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(["evaluate", &self.csv, "--incidents", &self.truth, "--challenger", challenger]);
        command.args(more).output().unwrap()
    }
}

#[test]
fn c7_only_what_passed_the_gate_is_promoted() {
    let world = World::new();
    let (store, key) = (world.at("store"), Key::new(world.scratch.path(), "promotion.pem"));
    let published = model(&["publish", "--store", &store, &world.challenger]);
    let candidate = published.trim().strip_prefix("candidate ").unwrap().to_owned();
    let promote = |evaluation: &str, candidate: &str| {
        let answer = ["--key", &key.file, "--reason", "weekly", "--evaluation", evaluation];
        [["promote", "--store", &store].as_slice(), &answer, &[candidate]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |arguments: &[String]| model(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let fails = |arguments: &[String]| refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>());

    // What was trained on is no test.
    let (json, html) = (world.at("evaluation.json"), world.at("evaluation.html"));
    let unfair = world.evaluate(&world.challenger, &["--judge-from", "2026-01-07", "--json", &json]);
    let said = String::from_utf8(unfair.stdout).unwrap();
    assert_eq!(unfair.status.code(), Some(3), "{said}");
    assert!(said.contains("the challenger was trained on data until 2026-01-08 23:55"), "{said}");
    let error = fails(&promote(&json, &candidate));
    assert!(error.contains("its verdict is refuse"), "{error}");

    // What came after is; the time a sample takes is asked elsewhere, since other tests share the machine.
    let gate = ["--gate", "{max_time_ratio: 100}"];
    let reports = ["--store", &store, "--json", &json, "--html", &html];
    let fair = world.evaluate(&candidate, &[reports.as_slice(), &gate].concat());
    let said = String::from_utf8(fair.stdout).unwrap();
    assert_eq!(fair.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&fair.stderr));
    assert!(said.contains("verdict: promote"), "{said}");
    let told: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(told["data"]["judgedMs"][0], UNTIL * 1_000);
    assert!(told["measures"]["challenger"]["recall"].as_f64().unwrap() > 0.4, "{told:#}");
    assert!(fs::read_to_string(&html).unwrap().contains("verdict: promote"));

    // Not for another candidate, and not once another champion serves.
    let builtin = world.at("builtin");
    model(&["export", &builtin]);
    let published = model(&["publish", "--store", &store, &builtin]);
    let other = published.trim().strip_prefix("candidate ").unwrap().to_owned();
    let error = fails(&promote(&json, &other));
    assert!(error.contains("about another challenger"), "{error}");
    let printed = run(&promote(&json, &candidate));
    assert!(printed.contains("version 1 is champion"), "{printed}");
    let error = fails(&promote(&json, &other));
    assert!(error.contains("about another challenger"), "{error}");

    // The log names what it was promoted for, and the store has it.
    let listed: Value = serde_json::from_str(&model(&["ls", "--store", &store, "--json"])).unwrap();
    let digest = listed["log"][0]["evaluation"].as_str().unwrap();
    let kept = fs::read(format!("{store}/models/sidelong/evaluations/{digest}")).unwrap();
    assert_eq!(kept, fs::read(&json).unwrap());
}

#[test]
fn what_cannot_be_evaluated_is_told() {
    let scratch = Scratch::new();
    let series: String = (0..900).map(|at| format!("{},{}\n", at * 60, at * 7919 % 13)).collect();
    let series = scratch.write("series.csv", &series);
    let series = series.to_str().unwrap();
    let incidents = scratch.write("incidents.csv", "30000,30600\n");
    let incidents = incidents.to_str().unwrap();
    let nothing = scratch.write("nothing.csv", "start,end\n");
    let fails =
        |arguments: &[&str]| sidelong(&[["evaluate", series].as_slice(), arguments].concat()).unwrap_err();
    let none = fails(&["--incidents", nothing.to_str().unwrap(), "--challenger", "builtin"]);
    assert!(none.contains("names no incident"), "{none}");
    let nobody = fails(&["--incidents", incidents, "--challenger", "nobody"]);
    assert!(nobody.contains("needs --store"), "{nobody}");
    let late = fails(&["--incidents", incidents, "--challenger", "builtin", "--judge-from", "2026-01-01"]);
    assert!(late.contains("no sample is left to judge"), "{late}");
    let gate = fails(&["--incidents", incidents, "--challenger", "builtin", "--gate", "min_ours: 3"]);
    assert!(gate.contains("min_ours") && gate.contains("min_hours"), "{gate}");
}
