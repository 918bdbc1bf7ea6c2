//! Our parser of expositions against others: prometheus_client's two, and prometheus-parse on what it gets right.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use sidelong::batch::{LabelSource, SeriesSpan};
use sidelong::wire::exposition::{Format, Page, PageLimits, Syntax};

/// The time given to samples that have none.
const SCRAPED_AT: i64 = -1;

/// A sample as all parsers tell it: labels, bits of the value in hexadecimal (any NaN is `NaN`), milliseconds.
type Row = (BTreeMap<String, String>, String, Option<i64>);

#[derive(Serialize)]
struct Case {
    syntax: &'static str,
    page: String,
}

/// What the oracle says of a page.
#[derive(Deserialize)]
struct Verdict {
    error: Option<String>,
    #[serde(default)]
    samples: Vec<Row>,
}

/// Makes pages that are valid in both text formats, and a little more.
struct Pages(StdRng);

// === impl Pages ===

impl Pages {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.choose(&mut self.0).unwrap()
    }

    fn value(&mut self) -> String {
        match self.0.random_range(0..5) {
            0 => self.0.random_range(0..1_000_000u64).to_string(),
            1 => f64::from_bits(self.0.random()).to_string(),
            2 => format!("{:e}", self.0.random::<f64>()),
            3 => format!("{:.3}", self.0.random_range(-1e6..1e6)),
            _ => self.pick(&["+Inf", "-Inf", "NaN", "0", "-0.0", "1e+06", "00012", ".5", "5."]).to_owned(),
        }
    }

    fn labels(&mut self) -> String {
        let values = [
            "plain",
            "",
            "a b",
            "{}",
            "x,y=z",
            r"\\",
            r#"\""#,
            r"line\nfeed",
            "ünïcödé",
            "# EOF",
            "}",
            "trailing \\\\",
        ];
        let mut names = vec!["job", "instance", "le", "_x", "a1", "path"];
        let count = self.0.random_range(0..names.len());
        let labels = (0..count).map(|_| {
            let name = names.swap_remove(self.0.random_range(0..names.len()));
            format!("{name}=\"{}\"", self.pick(&values))
        });
        let labels: Vec<_> = labels.collect();
        if labels.is_empty() && self.0.random() { String::new() } else { format!("{{{}}}", labels.join(",")) }
    }

    /// Families of untyped samples, each series once.
    fn page(&mut self, timestamp: impl Fn(&mut StdRng) -> String) -> String {
        let mut page = String::new();
        for family in 0..self.0.random_range(1..8) {
            let name = format!("{}_{family}", self.pick(&["up", "node_load1", "rule_sum_of", "A"]));
            if self.0.random() {
                page += &format!("# HELP {name} some text\n");
            }
            let mut seen = Vec::new();
            let stamped = self.0.random_range(0..4) == 0;
            for _ in 0..self.0.random_range(1..5) {
                let labels = self.labels();
                // In another order, or with empty braces, it is the same series.
                let mut series: Vec<_> =
                    labels.trim_matches(['{', '}']).split(',').map(str::to_owned).collect();
                series.sort();
                if !seen.contains(&series) {
                    let time = if stamped { timestamp(&mut self.0) } else { String::new() };
                    page += &format!("{name}{labels} {}{time}\n", self.value());
                    seen.push(series);
                }
            }
        }
        page
    }

    fn case(&mut self, syntax: &'static str) -> Case {
        let page = match syntax {
            "text" => {
                self.page(|rng| format!(" {}", rng.random_range(-1_000_000_000_000..2_000_000_000_000i64)))
            }
            _ => {
                self.page(|rng| {
                    format!(" {}.{:03}", rng.random_range(0..2_000_000_000), rng.random_range(0..1000))
                }) + "# EOF\n"
            }
        };
        Case { syntax, page }
    }
}

fn ours(case: &Case) -> (Vec<Row>, usize) {
    let syntax = if case.syntax == "text" { Syntax::Text } else { Syntax::OpenMetrics };
    let mut page = Page::new();
    let limits = PageLimits { body_size: 1 << 20, samples: 10_000 };
    page.start(Format { syntax, utf8_names: true }, limits, 0, SCRAPED_AT);
    page.push(case.page.as_bytes()).unwrap();
    page.finish().unwrap();
    let row = |span: &SeriesSpan| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut labels = BTreeMap::new();
        page.for_each_label(&span.labels, &mut |name, value| {
            labels.insert(text(name), text(value));
        });
        let sample = page.batch().samples_of(span)[0];
        (labels, bits(sample.value), Some(sample.timestamp_ms).filter(|&at| at != SCRAPED_AT))
    };
    (page.batch().series.iter().map(row).collect(), page.stats().lines_unparsed)
}

fn bits(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { format!("{:016x}", value.to_bits()) }
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

fn ask(python: &std::path::Path, cases: &[Case]) -> Vec<Verdict> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/parse.py");
    let mut oracle =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = oracle.stdin.take().unwrap();
    let lines: Vec<_> = cases.iter().map(|case| serde_json::to_string(case).unwrap() + "\n").collect();
    let writer = std::thread::spawn(move || input.write_all(lines.concat().as_bytes()));
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn by_hand() -> Vec<Case> {
    let text = [
        "# TYPE a_total counter\n# HELP a_total help\na_total 1\na_total{x=\"y\"} 2 3\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
        "a { b = \"c\" , d=\"e\", } 1\n",
        "  a\t\t1   2\n\n\n# a comment\n",
        "{\"my.metric\",a=\"b\"} 1\n{\"other.metric\"} 2\n",
        "m{\"l.abel\"=\"v\"} 1\n",
    ];
    let openmetrics = [
        "# TYPE a counter\na_total 1 # {trace_id=\"x\"} 0.5 1.5\na_created 1.5\n# EOF\n",
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1 # {} 0.5\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n# EOF\n",
        "# TYPE i info\ni_info{a=\"b\"} 1\n# TYPE t stateset\nt{t=\"x\"} 1\n# EOF",
        "# TYPE g gauge\n# UNIT g_seconds seconds\n# TYPE g_seconds gauge\ng_seconds 1 1520879607.789\n# EOF\n",
        "# TYPE a gauge\na{b=\"# EOF\"} 1 -1\n# EOF\n",
    ];
    let case = |syntax, page: &str| Case { syntax, page: page.to_owned() };
    let text = text.iter().map(|page| case("text", page));
    text.chain(openmetrics.iter().map(|page| case("openmetrics", page))).collect()
}

#[test]
fn p26_both_oracles_read_what_we_read() {
    let python = tool!(Oracle);
    let mut pages = Pages(StdRng::seed_from_u64(7));
    let mut cases = by_hand();
    cases.extend((0..400).map(|at| pages.case(if at % 2 == 0 { "text" } else { "openmetrics" })));
    let verdicts = ask(python.as_ref(), &cases);
    assert_eq!(verdicts.len(), cases.len());
    let mut compared = 0;
    for (case, verdict) in cases.iter().zip(verdicts) {
        // The oracle is stricter than Prometheus and than us (T20): where it refuses, there is nothing to compare.
        if verdict.error.is_none() {
            compared += 1;
            let (rows, unparsed) = ours(case);
            assert_eq!(sorted(rows), sorted(verdict.samples), "{}", case.page);
            assert_eq!(unparsed, 0, "{}", case.page);
        }
    }
    assert!(compared * 10 > cases.len() * 9, "the oracle took {compared} of {} pages", cases.len());
}

/// prometheus-parse drops or mangles escapes, braces, commas and equals signs in values, colons in names, and series
/// without labels but with braces; it rebuilds histograms and reads no OpenMetrics. The rest it reads as we do.
#[test]
fn prometheus_parse_reads_what_we_read_on_its_subset() {
    let mut rng = StdRng::seed_from_u64(11);
    for _ in 0..200 {
        let mut page = String::new();
        for at in 0..rng.random_range(1..20) {
            let value: f64 = rng.random_range(-1e9..1e9);
            let labels = match rng.random_range(0..3) {
                0 => String::new(),
                1 => format!("{{a=\"v{}\"}}", rng.random::<u8>()),
                _ => format!("{{a=\"some text\",b_c=\"{}\"}}", rng.random::<u16>()),
            };
            let time = if rng.random() {
                format!(" {}", rng.random_range(0..2_000_000_000_000i64))
            } else {
                String::new()
            };
            page += &format!("metric_{at}{labels} {value}{time}\n");
        }
        let theirs = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let row = |sample: prometheus_parse::Sample| {
            let mut labels: BTreeMap<_, _> =
                sample.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            labels.insert("__name__".to_owned(), sample.metric);
            let prometheus_parse::Value::Untyped(value) = sample.value else { panic!("all are untyped") };
            (labels, bits(value))
        };
        let mut theirs: Vec<_> = theirs.samples.into_iter().map(row).collect();
        theirs.sort();
        let (rows, unparsed) = ours(&Case { syntax: "text", page });
        assert_eq!(unparsed, 0);
        let mut ours: Vec<_> = rows.into_iter().map(|(labels, bits, _)| (labels, bits)).collect();
        ours.sort();
        assert_eq!(ours, theirs);
    }
}
