use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::config::secret::Secret;
use crate::config::units::{ByteSize, PromDuration};

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Sample {
    name: Option<String>,
    port: u16,
    ratio: f64,
    on: bool,
    timeout: PromDuration,
    max_body: ByteSize,
    mode: Mode,
    password: Secret,
    targets: Vec<Target>,
    headers: BTreeMap<String, String>,
    pair: Option<(i32, i32)>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Target {
    url: String,
    #[serde(default)]
    sample_limit: u64,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Always,
    Above(f64),
    Struct {
        depth: u8,
    },
}

fn read(text: &str) -> Sample {
    from_str(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn problems(text: &str) -> Vec<String> {
    from_str::<Sample>(text).unwrap_err().iter().map(Problem::to_string).collect()
}

#[test]
fn every_kind_of_value_is_read_by_its_type() {
    let sample = read("# a comment\nname: 123  # a text, since the field is one\nport: 10990\n");
    assert_eq!((sample.name.as_deref(), sample.port), (Some("123"), 10990));
    let sample = read(
        "ratio: 1e3\non: yes\ntimeout: 1m30s\nmax_body: 8MiB\npassword: 0123\nmode: {above: 0.5}\n\
         targets:\n- url: http://a\n- {url: b, sample_limit: 1_000}\nheaders: {X-A: 1}\npair: [-1, 2]\n",
    );
    assert_eq!((sample.ratio, sample.on), (1000.0, true));
    assert_eq!((sample.timeout, sample.max_body), (PromDuration::from_secs(90), ByteSize::from_mib(8)));
    assert_eq!((sample.password.expose(), sample.mode), ("0123", Mode::Above(0.5)));
    assert_eq!(sample.targets[1], Target { url: "b".into(), sample_limit: 1000 });
    assert_eq!((sample.headers["X-A"].as_str(), sample.pair), ("1", Some((-1, 2))));
    assert_eq!(read("mode: {struct: {depth: 3}}").mode, Mode::Struct { depth: 3 });
}

#[test]
fn nothing_is_the_default() {
    for text in ["", "\n# only a comment\n", "~", "---\n", "targets:\nheaders:\nname:\n"] {
        assert_eq!(read(text), Sample::default(), "{text:?}");
    }
}

#[test]
fn anchors_are_followed() {
    let sample = read("targets:\n- &a {url: x}\n- *a\n");
    assert_eq!(sample.targets[0], sample.targets[1]);
}

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_the_nearest_name() {
    assert_eq!(
        problems("port: 1\nmax_bodi: 8MiB\ntargets:\n- url: x\n  sample_limits: 3\n  zzzzzzzz: 1\n"),
        [
            r#"2:1: unknown key "max_bodi"; did you mean "max_body"?"#,
            r#"5:3: targets[0]: unknown key "sample_limits"; did you mean "sample_limit"?"#,
            r#"6:3: targets[0]: unknown key "zzzzzzzz"; known here: url, sample_limit"#,
        ]
    );
}

#[test]
fn a_wrong_value_is_an_error_with_its_place_and_what_was_expected() {
    let check = |text: &str, want: &str| assert_eq!(problems(text), [want], "{text}");
    check("port: 70000", r#"1:7: port: expected a whole number from 0 to 65535, found "70000""#);
    check("port: [1]", "1:7: port: expected a whole number from 0 to 65535, found a list");
    check("on: maybe", r#"1:5: on: expected true or false, found "maybe""#);
    check("ratio: x", r#"1:8: ratio: expected a number, found "x""#);
    check("\ntimeout: 30", r#"2:10: timeout: the duration "30" has no unit; write for example 30s or 30ms"#);
    check("mode: abov", r#"1:7: mode: "abov" is unknown; did you mean "above"?"#);
    check("mode: above", "1:7: mode: above needs a value; write above: VALUE");
    check("targets: x", r#"1:10: targets: expected a list, found "x""#);
    check("targets: [{}]", r#"1:11: targets[0]: the key "url" is missing; it has no default"#);
    check("targets: [x]", "1:11: targets[0]: expected a mapping of options, found \"x\"");
    check("pair: [1, 2, 3]", "1:7: pair: the list has 3 entries, too many");
}

#[test]
fn what_is_not_yaml_says_where() {
    let check = |text: &str, want: &str| {
        let found = problems(text).join("\n");
        assert!(found.starts_with(want), "{text:?}: {found}");
    };
    check("port: [1", "1:7: this is not YAML: ");
    check("port: 1\nport: 2\n", r#"2:1: the key "port" stands here for the second time"#);
    check("port: 1\n---\nport: 2\n", "3:1: a second document begins here");
    check("? [a]\n: b\n", "1:3: a key must be a text");
    check(
        &format!("{}{}", "[".repeat(100), "]".repeat(100)),
        "1:34: the file is nested deeper than 32 levels",
    );
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        let alias = format!("*a{},", i - 1).repeat(9);
        text.push_str(&format!("a{i}: &a{i} [{alias}]\n"));
    }
    assert!(problems(&text)[0].contains("more than 200000 values"), "{:?}", problems(&text));
}

#[test]
fn environment_variables_are_expanded_in_values_of_any_quoting() {
    let environment = |name: &str| match name {
        "PORT" => Some("9090".to_owned()),
        "PASSWORD" => Some("a: \"b\"\n- c".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let expand = |text: &str| {
        let mut document = Document::parse(text).unwrap();
        let problems = document.expand(&environment);
        (document, problems.iter().map(Problem::to_string).collect::<Vec<_>>())
    };
    let (document, found) =
        expand("port: ${PORT}\npassword: \"${PASSWORD}\"\nname: '$VAR^x$ $$ $${PORT} ${EMPTY:-y}${NO:-}'\n");
    assert_eq!(found, [""; 0]);
    let sample: Sample = document.read().unwrap();
    assert_eq!((sample.port, sample.password.expose()), (9090, "a: \"b\"\n- c"));
    assert_eq!(sample.name.as_deref(), Some("$VAR^x$ $ ${PORT} y"));

    let (_, found) = expand("port: ${NONE}\nname: ${1}\npassword: ${PORT\n");
    let starts = [
        "1:7: the environment variable NONE is not set; set it, or write ${NONE:-default}",
        "2:7: ${1} is not an environment variable",
        "3:11: ${ has no closing }",
    ];
    assert!(found.iter().zip(starts).all(|(found, start)| found.starts_with(start)), "{found:#?}");
}

#[test]
fn error_texts_do_not_repeat_what_came_from_the_environment() {
    let mut document = Document::parse("port: ${P}\non: ${P}\n").unwrap();
    assert_eq!(document.expand(&|_| Some("hunter2".to_owned())), []);
    let problems = document.read::<Sample>().unwrap_err();
    assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    assert_eq!(
        problems[0].message,
        "expected a whole number from 0 to 65535, found the value of an environment variable"
    );
}

#[test]
fn later_checks_find_their_line_by_path() {
    let document = Document::parse("a:\n  b: 1\nrules:\n- match: x\n- match:\n  - y\n  - z\n").unwrap();
    let check = |path: &str, line: usize, column: usize| {
        assert_eq!(document.position(path), Position { line, column }, "{path}");
    };
    check("a.b", 2, 3);
    check("rules[1].match[1]", 7, 5);
    check("rules[1].match[0].none", 6, 5);
    check("rules[0].match[0]", 4, 3);
    check("nowhere", 1, 1);
}

#[test]
fn sections_and_entries_tell_their_problems_each() {
    let document =
        Document::parse("one: {port: x}\ntwo: {port: y}\nmany:\n- port: z\n- {port: 3, q: 1}\n").unwrap();
    let mut problems = document.unknown_keys(&["one", "many"]);
    let one: Sample = document.section("one", &mut problems);
    let many: Vec<Sample> = document.list("many", &mut problems);
    let none: Vec<Sample> = document.list("none", &mut problems);
    assert_eq!((one, many[1].port, none.len()), (Sample::default(), 3, 0));
    let found: Vec<_> = problems.iter().map(|p| (p.position.line, p.path.as_str())).collect();
    assert_eq!(found, [(2, ""), (1, "one.port"), (4, "many[0].port"), (5, "many[1]")]);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z:\\-\\[\\]{}&*!|>'\"#%,. \n$]{0,60}") {
        drop(from_str::<Sample>(&text));
        if let Ok(mut document) = Document::parse(&text) {
            document.expand(&|_| None);
        }
    }
}
