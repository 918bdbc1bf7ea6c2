use super::sections::Protocol;
use super::units::PromDuration;
use super::*;
use crate::rules::Emit;

fn config(text: &str) -> Config {
    Config::from_yaml(text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> Vec<String> {
    let problems = Config::from_yaml(text, &|_| None).unwrap_err();
    problems.0.iter().map(Problem::to_string).collect()
}

#[test]
fn an_empty_file_is_loop_back_mode_and_scores_nothing() {
    let config = config("");
    assert_eq!(config.downstream, None);
    assert!(config.rules.is_empty());
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:10990");
    assert_eq!(config.server.admin_listen.to_string(), "127.0.0.1:10991");
    assert_eq!(config.tenants.header.name(), "x-scope-orgid");
}

#[test]
fn b3_the_defaults_are_those_of_the_plan() {
    let config = config("");
    let limits = config.limits;
    assert_eq!(limits.max_body_size.to_string(), "8MiB");
    assert_eq!(limits.max_decoded_size.to_string(), "32MiB");
    assert_eq!(limits.max_decoded_ratio, 64);
    assert_eq!(limits.elements.max_series_per_request, 50_000);
    assert_eq!(config.server.connections.max_connections, 512);
    assert_eq!((config.scores.max_series, config.scores.batch_size), (200_000, 2_000));
}

/// Options whose default is 0 or nothing, and why that bounds enough.
const MAY_BE_ZERO: [(&str, &str); 18] = [
    ("scrape.targets[].sample_limit", OF_THE_JOB),
    ("scrape.targets[].label_limit", OF_THE_JOB),
    ("scrape.targets[].label_name_length_limit", OF_THE_JOB),
    ("scrape.targets[].label_value_length_limit", OF_THE_JOB),
    ("scrape.allow[].sample_limit", OF_THE_JOB),
    ("scrape.allow[].label_limit", OF_THE_JOB),
    ("rules[].priority", "an order, no limit"),
    ("rules[].data_range", "what a metric may be is known to its rule alone"),
    ("rules[].min_dev_from_expected", OF_THE_DETECTOR),
    ("rules[].min_rel_dev_from_expected", OF_THE_DETECTOR),
    ("rules[].coverage", OF_THE_DETECTOR),
    ("rules[].scale", OF_THE_DETECTOR),
    ("rules[].min_n_samples_seen", OF_THE_DETECTOR),
    ("rules[].z_threshold", OF_THE_DETECTOR),
    ("signals.native_histograms[].quantile", "which quantile, no limit; without it there is none"),
    ("signals.ratios[].step", OF_EQUAL_TIMES),
    ("signals.sums[].step", OF_EQUAL_TIMES),
    ("context.calendars[].for", "a window by cron must have one, of 31d at the most"),
];
const OF_THE_JOB: &str =
    "mirrors the scrape job; limits.max_series, page_sample_limit and body_size_limit bound it";
const OF_EQUAL_TIMES: &str = "without it, samples of equal timestamps belong together";
const OF_THE_DETECTOR: &str =
    "what is an anomaly, not how much there is; the detector has a default of its own";

/// A number, alone or with a unit, at its first digits: 0 is none.
fn amount(default: &str) -> Option<f64> {
    let digits = default.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    digits.parse().ok()
}

/// Every row of the reference that holds an amount, by path: the default it shows, and what it says.
fn amounts() -> Vec<(String, String, String)> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in reference::markdown().lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.trim_matches('`').to_owned();
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        if let [name, kind, default, text] = &*cells
            && let Some(name) = name.strip_prefix("| ")
            && ["whole number", "number", "size", "duration", "`[lower"].iter().any(|k| kind.starts_with(k))
        {
            let name = name.trim_matches('`');
            let path = if section == "The file" { name.to_owned() } else { format!("{section}.{name}") };
            found.push((path, default.trim().trim_matches('`').to_owned(), (*text).to_owned()));
        }
    }
    found
}

#[test]
fn b3_no_default_is_unlimited() {
    let amounts = amounts();
    assert!(amounts.len() > 60, "{}", amounts.len());
    for (path, default, text) in &amounts {
        // A section that is shown by its type alone tells its defaults in words.
        let told = text.split("efault").nth(1).map(|rest| rest.trim_start_matches([':', ' ']));
        let told = told.map(|rest| rest.trim_start_matches("is "));
        let amount = amount(default).or_else(|| amount(told?));
        let allowed = MAY_BE_ZERO.iter().any(|(zero, _)| zero == path);
        let bounded = amount.is_some_and(|amount| amount > 0.0 && amount < 1e9);
        assert!(bounded || allowed, "{path} has the default {default:?}, which bounds nothing: {text}");
    }
    for (path, why) in MAY_BE_ZERO {
        let is_there = amounts.iter().any(|(of, ..)| of == path);
        assert!(is_there, "{path} may be zero ({why}), and is not in the reference");
    }
}

#[test]
fn every_section_is_read() {
    let config = config(
        r#"
server: {listen: ":1", admin_listen: "127.0.0.1:2", connections: {max_connections: 7}}
limits: {max_series: 5, elements: {max_labels_per_series: 30}}
downstream:
  url: https://mimir.example/api/v1/push?a=b
  timeout: 10s
  protocol: 2.0
  headers: {X-Scope-OrgID: a}
  authorization: {credentials_file: /run/token}
  tls_config: {ca_file: ca.pem, min_version: TLS13}
tenants: {header: X-Tenant}
scores: {name_template: sidelong_$VAR, emit: {above: 0.5}, max_series: 9, batch_interval: 2s}
scrape:
  targets: [{name: node, url: "http://localhost:9100/metrics", scrape_interval: 5s, sample_limit: 3}]
  allow: [{networks: [10.0.0.0/8], ports: [9100]}]
  upstream: {url: "http://localhost:8080/metrics"}
presets: [node_exporter]
rules:
- match: up
- {match: down, emit: always}
"#,
    );
    let downstream = config.downstream.unwrap();
    assert_eq!(downstream.url.as_url().query(), Some("a=b"));
    assert_eq!((downstream.protocol, downstream.timeout), (Protocol::V2, PromDuration::from_secs(10)));
    assert!(downstream.authorization.is_some());
    assert_eq!(config.scrape.targets[0].sample_limit, 3);
    let emits: Vec<Emit> = config.rules.iter().take(2).map(|(_, rule)| rule.emit).collect();
    assert_eq!(emits, [Emit::Above(0.5), Emit::Always]);
    assert!(config.rules.may_select("node_load1"));
    assert!(!config.rules.may_select("sidelong_yhat"));
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let found = problems(
        r#"
servr: {}
limits: {max_series: -1}
downstream:
  url: http://user:pass@x/
scores:
  name_template: score
scrape:
  targets:
  - {name: a/b, url: "http://x/"}
  allow: [{}]
presets: [node_exporters]
rules:
- match: up{
- {match: up, direction: both}
- match: x
- match: x
"#,
    );
    let starts = [
        r#"2:1: unknown key "servr"; did you mean "server"?"#,
        "3:22: limits.max_series: expected a whole number from 0 to 4294967295, found \"-1\"",
        "5:8: downstream.url: a URL must not hold a user or password; use basic_auth",
        "7:18: scores.name_template: \"score\" makes no metric names",
        "10:6: scrape.targets[0].name: \"a/b\" cannot be a target's name",
        "11:11: scrape.allow[0]: an entry of the allow-list needs hosts or networks",
        "12:11: presets[0]: \"node_exporters\" is unknown; did you mean \"node_exporter\"?",
        "14:3: rules[0].match[0]: the selector \"up{\" cannot be read: at position 4: expected a label name",
        "15:15: rules[1]: unknown key \"direction\"; did you mean \"detection_direction\"?",
        "17:3: rules[3]: two rules are named \"x\"",
    ];
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found:?} does not start with {start:?}");
    }
    assert_eq!(found.len(), starts.len(), "{found:#?}");
}

#[test]
fn options_that_exclude_or_need_each_other_are_told() {
    let check = |text: &str, want: &str| {
        let found = problems(text).join("\n");
        assert!(found.contains(want), "{text}: {found}");
    };
    let downstream = |rest: &str| format!("downstream:\n  url: http://x/\n  {rest}\n");
    check("downstream: {}", "the key \"url\" is missing");
    check(&downstream("timeout: 0"), "downstream.timeout: 0 would stop everything");
    check(&downstream("basic_auth: {username: a, password: b, password_file: c}"), "exclude each other");
    check(&downstream("basic_auth: {username: a}\n  sigv4: {}"), "basic_auth and sigv4 exclude each other");
    check(&downstream("authorization: {type: Basic, credentials: x}"), "basic_auth exclude");
    check(&downstream("authorization: {}"), "credentials is missing");
    check(&downstream("tls_config: {cert_file: x}"), "cert_file or key_file is missing");
    check(&downstream("sigv4: {access_key: x}"), "access_key or secret_key is missing");
    check(&downstream("headers: {Authorization: x}"), "use authorization or basic_auth");
    check(&downstream("headers: {\"a b\": x}"), "not an HTTP header");
    check("server: {listen: \":5\", admin_listen: \"127.0.0.1:5\"}", "already used by server.listen");
    check("limits: {max_decoded_size: 1MiB}", "1MiB must be at least max_body_size");
    check("limits: {max_decoded_size: 4GiB}", "4GiB must be less than 4GiB");
    check("scores: {max_backoff: 1ms}", "1ms must be at least min_backoff, which is 30ms");
    check("scrape: {allow: [{networks: [10.0.0.0/33]}]}", "not a network");
    check("rules: [{match: up, clip_predictions: true}]", "1:21: rules[0].clip_predictions: ");
}

/// Twelve secrets, each in a place where one can stand.
const WITH_SECRETS: &str = r#"
context: {announce: {token: canary13}}
downstream:
  url: http://x/write?key=canary01
  headers: {X-Api-Key: canary02}
  oauth2:
    client_id: c
    client_secret: canary03
    token_url: http://t/?k=canary04
    endpoint_params: {password: canary05}
scrape:
  targets:
  - name: a
    url: http://a/metrics?t=canary06
    headers: {X-Key: canary07}
    basic_auth: {username: u, password: canary08}
  - {name: b, url: "http://b/", authorization: {credentials: canary09}}
  upstream:
    url: http://c/
    oauth2: {client_id: c, client_secret: "${CANARY}", token_url: "http://t/"}
    headers: {X-Other: canary11}
tenants: {header: X-T}
rules: [{match: up}]
"#;

#[test]
fn b19_a_configuration_shows_none_of_its_secrets() {
    let environment = |_: &str| Some("canary10".to_owned());
    let config = Config::from_yaml(WITH_SECRETS, &environment).unwrap();
    let sigv4 = WITH_SECRETS.replace(
        "  oauth2:\n    client_id: c\n",
        "  sigv4: {access_key: a, secret_key: canary12}\n  tenant:\n",
    );
    let shown = [config.to_yaml().unwrap(), format!("{config:?}"), format!("{config:#?}")];
    for text in shown {
        assert!(!text.contains("canary"), "{text}");
        assert!(text.matches("<secret>").count() >= 12, "{text}");
    }
    let error = Config::from_yaml(&sigv4, &environment).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
}

#[test]
fn b19_errors_show_no_secret_that_stands_in_the_wrong_place() {
    let check = |text: &str| {
        let error = Config::from_yaml(text, &|_| Some("canary".to_owned())).unwrap_err();
        assert!(!format!("{error}\n{error:?}").contains("canary"), "{error}");
    };
    check("downstream: {url: \"http://u:canary@x/\"}");
    check("downstream: {url: \"http://x/\", basic_auth: {username: a, password: [canary]}}");
    check("downstream: {url: \"http://x/\", headers: {X: \"canary\\u0001\"}}");
    check("downstream: {url: \"http://x/\", timeout: \"${SECRET}\"}");
}

#[test]
fn a_configuration_reads_back_from_what_is_shown() {
    let text =
        "scores: {emit: {above: 0.5}}\npresets: [http_red]\nrules: [{match: up, data_range: [0, inf]}]";
    let shown = config(text).to_yaml().unwrap();
    assert_eq!(config(&shown).to_yaml().unwrap(), shown);
}

#[test]
fn a_file_that_cannot_be_used_is_named_in_the_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sidelong.yml");
    assert!(matches!(Config::load(&path), Err(ConfigError::Read { .. })));
    std::fs::write(&path, "rules:\n- mach: up\n").unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    let line = format!("{}:2:3: rules[0]: unknown key \"mach\"; did you mean \"match\"?", path.display());
    assert!(error.contains(&line), "{error}");
}

#[test]
fn relative_paths_start_at_the_configuration_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sidelong.yml");
    let downstream = "downstream:\n  url: http://x/\n  authorization: {credentials_file: token}\n";
    std::fs::write(&path, format!("{downstream}  tls_config: {{ca_file: /abs/ca.pem}}\n")).unwrap();
    let downstream = Config::load(&path).unwrap().downstream.unwrap();
    let token = downstream.authorization.unwrap().credentials_file.unwrap();
    assert_eq!(token.path(), dir.path().join("token"));
    assert_eq!(downstream.tls_config.ca_file.unwrap(), Path::new("/abs/ca.pem"));
}

#[test]
fn a_context_says_for_which_series_and_when() {
    let error = |entry: &str| {
        let found = problems(&format!("context: {{calendars: [{{name: a, {entry}}}]}}"));
        found.into_iter().next().unwrap_or_default()
    };
    let cron = "match: up, cron: '0 2 * * *', for: 1h";
    config(&format!(
        "context: {{calendars: [{{name: a, {cron}, timezone: Europe/Berlin, effect: annotate}}]}}"
    ));
    for (entry, words) in [
        ("cron: '0 2 * * *', for: 1h", "a series selector"),
        ("match: '{__name__=~\".+\"}', cron: '0 2 * * *', for: 1h", "would take nearly every series"),
        (
            "match: '{job!=\"a\",__name__!=\"\"}', cron: '0 2 * * *', for: 1h",
            "would take nearly every series",
        ),
        ("match: up", "say when"),
        ("match: up, cron: '0 2 * * *', for: 1h, ics: a.ics", "say when"),
        ("match: up, cron: '0 2 * *', for: 1h", "has 4 fields"),
        ("match: up, cron: '0 2 * * *'", "how long the window stays open"),
        ("match: up, cron: '0 2 * * *', for: 32d", "31d at the most"),
        ("match: up, ics: a.ics, for: 1h", "how long the window stays open"),
        ("match: up, start: '2026-11-30T22:00:00Z'", "say when"),
        ("match: up, start: '2026-11-30T22:00:00Z', end: '2026-11-30T21:00:00Z'", "later than the start"),
        ("match: up, start: 'now', end: '2026-11-30T21:00:00Z'", "\"now\" is no time"),
        ("match: up, cron: '0 2 * * *', for: 1h, timezone: Europe/Berln", "no time zone \"Europe/Berln\""),
        ("match: up, cron: '0 2 * * *', for: 1h, effect: hide", "hide"),
    ] {
        assert!(error(entry).contains(words), "{entry}: {}", error(entry));
    }
    let twice = problems(&format!("context: {{calendars: [{{name: a, {cron}}}, {{name: a, {cron}}}]}}"));
    assert!(twice[0].contains("asked for twice"), "{twice:?}");
    let reserved = problems(&format!("context: {{calendars: [{{name: announced, {cron}}}]}}"));
    assert!(reserved[0].contains("cannot be the name of a context"), "{reserved:?}");
    let tokens = problems("context: {announce: {token: a, token_file: b}}");
    assert!(tokens[0].contains("write one of the two"), "{tokens:?}");
}

#[test]
fn a_calendar_file_is_read_where_the_configuration_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sidelong.yml");
    // Other sections may say what they like: who asks for contexts alone does not read them.
    std::fs::write(
        &file,
        "downstream: {url: '${NOWHERE}'}\ncontext: {calendars: [{name: a, match: up, ics: a.ics}], announce: {token: '${NO}'}}\n",
    )
    .unwrap();
    let section = Config::load_context(&file).unwrap().unwrap();
    let error = section.contexts().unwrap_err();
    assert!(error.to_string().contains("a.ics"), "{error}");
    std::fs::write(
        folder.path().join("a.ics"),
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:x\nEND:VEVENT\nEND:VCALENDAR\n",
    )
    .unwrap();
    let error = section.contexts().unwrap_err().to_string();
    assert!(error.contains("a.ics: line 3: \"x\" is no value of DTSTART"), "{error}");
    std::fs::write(folder.path().join("a.ics"), "BEGIN:VCALENDAR\nEND:VCALENDAR\n").unwrap();
    assert_eq!(section.contexts().unwrap().len(), 1);
    std::fs::write(&file, "rules: []\n").unwrap();
    assert!(Config::load_context(&file).unwrap().is_none());
}
