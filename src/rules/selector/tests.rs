use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Selector {
    text.parse().unwrap()
}

#[test]
fn what_prometheus_accepts_is_read() {
    let check = |text: &str, want: &str| assert_eq!(parse(text).to_string(), want, "{text}");
    check("node_load1", "node_load1");
    check(" node_load1 { } ", "node_load1");
    check("job:requests:rate5m", "job:requests:rate5m");
    check("up{job=\"x\",}", r#"up{job="x"}"#);
    check("up{job='x', mode!=`id\\le`}", r#"up{job="x",mode!="id\\le"}"#);
    check(r#"{__name__=~"node_.*",job="x"}"#, r#"{__name__=~"node_.*",job="x"}"#);
    check(
        r#"{"http.requests","service.name"=~"a|b"}"#,
        r#"{__name__="http.requests","service.name"=~"a|b"}"#,
    );
    check(r#"{job="x",__name__="up"}"#, r#"{job="x",__name__="up"}"#);
    check(r#"up{p="\x41\u00e9\101\n\"'"}"#, "up{p=\"Aé\u{41}\\n\\\"'\"}");
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let check = |text: &str, want: &str| {
        assert_eq!(text.parse::<Selector>().unwrap_err().to_string(), want, "{text}");
    };
    check("", "at position 1: expected a metric name or {, found the end");
    check("up{job}", r#"at position 7: expected =, !=, =~ or !~, found "}""#);
    check("up{job=x}", r#"at position 8: expected a quoted value, found "x}""#);
    check("up{job=\"x\" mode", r#"at position 12: expected , or }, found "mode""#);
    check("up{job=\"x", "at position 8: the quoted text that begins here has no end");
    check("up{", "at position 4: expected a label name or }, found the end");
    check(r#"up{a="\q"}"#, r"at position 7: unknown escape; write a backslash as \\");
    check("up{__name__=\"down\"}", "at position 4: the metric name is set twice");
    check(
        "up[5m]",
        "at position 3: \"[5m]\" is more than a series selector; write only a metric name and matchers, \
         such as http_requests_total{code=\"500\"}",
    );
    check("up down", r#"at position 4: expected the end of the selector, found "down""#);
}

#[test]
fn a_regular_expression_that_cannot_be_used_is_explained_in_one_line() {
    for pattern in ["(", "a)|(b", "x{1000}{1000}{1000}", "(?P<>x)", "[z-a]", &"(".repeat(100)] {
        let text = format!("up{{job=~\"{pattern}\"}}");
        let error = text.parse::<Selector>().unwrap_err();
        assert!(matches!(error, SelectorError::BadRegex { at: 4, .. }), "{pattern}: {error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn a_selector_that_matches_everything_is_refused() {
    for text in ["{}", r#"{job=""}"#, r#"{job!="x"}"#, r#"{job=~".*"}"#, r#"{job!~".+",x=""}"#] {
        let error = text.parse::<Selector>().unwrap_err();
        assert!(matches!(error, SelectorError::MatchesEverything { .. }), "{text}: {error}");
    }
    assert!(r#"{job=~".+"}"#.parse::<Selector>().is_ok());
    assert!(matches!(
        "a".repeat(MAX_SELECTOR_BYTES + 1).parse::<Selector>(),
        Err(SelectorError::TooLong { .. })
    ));
}

#[test]
fn a_missing_label_is_the_empty_text() {
    let series = [("__name__", "up"), ("job", "api"), ("note", "a\nb")];
    let check = |text: &str, want: bool| assert_eq!(parse(text).matches(&series), want, "{text}");
    check("up", true);
    check("down", false);
    check(r#"up{job="api"}"#, true);
    check(r#"up{job!="api"}"#, false);
    check(r#"up{instance=""}"#, true);
    check(r#"up{instance!=""}"#, false);
    check(r#"up{instance!="x"}"#, true);
    check(r#"up{instance=~"x|"}"#, true);
    check(r#"up{instance!~".+"}"#, true);
    check(r#"up{job!~"a.*"}"#, false);
    check(r#"up{job=~"ap"}"#, false);
    check(r#"up{job=~"a|api"}"#, true);
    check(r#"up{job=~"x|ap"}"#, false);
    check(r#"up{note=~"a.b"}"#, true);
    check(r#"up{job=~"(?i)API"}"#, true);
    check(r#"{__name__=~"u.",job="api"}"#, true);
}

#[test]
fn the_name_alone_tells_whether_a_selector_can_match() {
    let check = |text: &str, name: &str, want: bool| {
        assert_eq!(parse(text).may_match_name(name), want, "{text} {name}");
    };
    check("up", "up", true);
    check("up", "upper", false);
    check(r#"{__name__=~"node_.*",__name__!="node_load1"}"#, "node_load5", true);
    check(r#"{__name__=~"node_.*",__name__!="node_load1"}"#, "node_load1", false);
    check(r#"{job="x"}"#, "anything", true);
    assert!(parse(r#"{__name__=~"a.*",__name__!="ab"}"#).is_name_only());
    assert!(!parse(r#"a{b="c"}"#).is_name_only());
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_][a-z0-9_]{0,5}", "\\PC{1,6}", Just(NAME.to_owned())]
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    (label(), op, any::<String>()).prop_map(|(label, op, value)| {
        let is_regex = matches!(op, MatchOp::Regex | MatchOp::NotRegex);
        let value = if is_regex { regex::escape(&value) } else { value };
        Matcher::try_new(label, op, value, 1).unwrap()
    })
}

proptest! {
    #[test]
    fn a_written_selector_reads_back(matchers in proptest::collection::vec(matcher(), 1..5)) {
        let names = matchers.iter().filter(|m| m.label == NAME && m.op == MatchOp::Equal).count();
        prop_assume!(names <= 1);
        if let Ok(selector) = Selector::try_new(matchers) {
            prop_assert_eq!(&selector.to_string().parse::<Selector>().unwrap(), &selector);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z_{}=~!\",'`\\\\x0-9\\[(é ]{0,40}") {
        drop(text.parse::<Selector>());
    }

    #[test]
    fn the_name_filter_never_hides_a_match(
        matchers in proptest::collection::vec(matcher(), 1..4),
        name in "[a-z]{1,3}",
    ) {
        if let Ok(selector) = Selector::try_new(matchers) {
            let matched = selector.matches(&[(NAME, &name)]);
            prop_assert!(!matched || selector.may_match_name(&name));
        }
    }
}
