//! Our parser of expositions against others: prometheus_client's two, and prometheus-parse on what it gets right.

use crate::harness::eventually;
use crate::harness::prometheus::Prometheus;
use crate::harness::remote_write::Point;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Reply, Scripted};
use std::collections::{BTreeMap, BTreeSet};
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

/// The rows of a page and how many lines are none; nothing of a page that has no end.
fn ours(case: &Case) -> Option<(Vec<Row>, usize)> {
    let syntax = if case.syntax == "text" { Syntax::Text } else { Syntax::OpenMetrics };
    let mut page = Page::new();
    let limits = PageLimits { body_size: 1 << 20, samples: 10_000 };
    page.start(Format { syntax, utf8_names: true }, limits, 0, SCRAPED_AT);
    page.push(case.page.as_bytes()).unwrap();
    page.finish().ok()?;
    let row = |span: &SeriesSpan| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut labels = BTreeMap::new();
        page.for_each_label(&span.labels, &mut |name, value| {
            labels.insert(text(name), text(value));
        });
        let sample = page.batch().samples_of(span)[0];
        (labels, bits(sample.value), Some(sample.timestamp_ms).filter(|&at| at != SCRAPED_AT))
    };
    Some((page.batch().series.iter().map(row).collect(), page.stats().lines_unparsed))
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
            let (rows, unparsed) = ours(case).expect("it has an end");
            assert_eq!(sorted(rows), sorted(verdict.samples), "{}", case.page);
            assert_eq!(unparsed, 0, "{}", case.page);
        }
    }
    assert!(compared * 10 > cases.len() * 9, "the oracle took {compared} of {} pages", cases.len());
}

/// Pages that are not what the formats' texts ask for, many of which Prometheus takes all the same (T20).
fn invalid() -> Vec<Case> {
    let text = [
        "# TYPE a counter\n# TYPE a gauge\na 1\n",
        "# HELP a one\n# HELP a other\na 1\n",
        "a 1\nb 2\na{x=\"y\"} 3\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_sum 3\nh_count 2\n",
        "# TYPE s summary\ns{quantile=\"2\"} 1\n",
        "# TYPE a nonsense\na 1\n",
        "a 0x10\n",
        "a 1_000\n",
        "a Inf\nb -INF\nc nan\nd infinity\n",
        "a{b=\"c\"}1\n",
        "a{b=\"\\q\"} 1\n",
        "a{b=\"c\",b=\"d\"} 1\n",
        "a{b='c'} 1\n",
        "a 1 2 3\n",
        "a\n",
        "a{} 1\r\n",
        "1a 1\n",
        "a.b 1\n",
        "a 1",
        "\n\n",
    ];
    let openmetrics = [
        "# TYPE a counter\na 1\n# EOF\n",
        "# TYPE a counter\na_total -1\n# EOF\n",
        "# TYPE a counter\na_total NaN\n# EOF\n",
        "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{x=\"y\"} 1\n# EOF\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_count 2\nh_sum 1\n# EOF\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_bucket{le=\"1\"} 4\n# EOF\n",
        "# TYPE i info\ni_info 2\n# EOF\n",
        "# TYPE t stateset\nt 3\n# EOF\n",
        "# UNIT a seconds\na 1\n# EOF\n",
        "a 1\na 2\n# EOF\n",
        "a  1\n# EOF\n",
        "a{b=\"c\",} 1\n# EOF\n",
        "a 1 # {x=\"y\"} 1\n# EOF\n",
        "a 1\n\n# EOF\n",
        "a 1\n# EOF\nb 1\n",
        "a 1\n",
        "# EOF\n",
    ];
    let case = |syntax, page: &str| Case { syntax, page: page.to_owned() };
    let text = text.iter().map(|page| case("text", page));
    text.chain(openmetrics.iter().map(|page| case("openmetrics", page))).collect()
}

/// What the fuzz targets of both texts have kept.
fn corpus() -> Vec<Case> {
    let of = |syntax: &'static str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(syntax);
        let files =
            std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        let pages: Vec<_> = files.filter_map(|page| String::from_utf8(page).ok()).collect();
        assert!(!pages.is_empty(), "{syntax}");
        pages.into_iter().map(move |page| Case { syntax, page })
    };
    of("text").chain(of("openmetrics")).collect()
}

/// A page with a few of its characters replaced, doubled or taken out.
fn damaged(pages: &mut Pages, syntax: &'static str) -> Case {
    let mut page: Vec<char> = pages.page(|_| String::new()).chars().collect();
    if syntax == "openmetrics" {
        page.extend("# EOF\n".chars());
    }
    for _ in 0..pages.0.random_range(1..4) {
        let at = pages.0.random_range(0..page.len());
        match pages.0.random_range(0..3) {
            0 => drop(page.remove(at)),
            1 => page.insert(at, page[at]),
            _ => {
                page[at] = *['"', '\\', '{', '}', ' ', ',', '=', '#', '\t', '\n', '0', 'e', '.', ':', 'ü']
                    .choose(&mut pages.0)
                    .unwrap()
            }
        }
    }
    Case { syntax, page: page.into_iter().collect() }
}

/// What Prometheus has of a page: no job and no instance, which it adds where they are missing, and no empty label.
/// It spells the numbers of bounds anew.
fn as_stored(labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let added = ["job", "instance", "case"];
    let kept = labels.into_iter().filter(|(name, value)| !value.is_empty() && !added.contains(&&**name));
    let spelled = |(name, value): (String, String)| match value.parse::<f64>() {
        Ok(bound) if name == "le" || name == "quantile" => (name, format!("{bound:?}")),
        _ => (name, value),
    };
    kept.map(spelled).collect()
}

/// B-23: where prometheus_client takes a page we read the same, and where it does not, Prometheus itself is asked. A
/// page that Prometheus takes is one of which we read every series as it stores it.
#[tokio::test]
async fn b23_pages_of_the_corpus_and_damaged_ones_are_read_as_others_read_them() {
    let (python, prometheus) = (tool!(Oracle), tool!(Prometheus));
    let mut pages = Pages(StdRng::seed_from_u64(23));
    let mut cases = corpus();
    cases.extend(by_hand());
    cases.extend(invalid());
    cases.extend((0..160).map(|at| damaged(&mut pages, if at % 2 == 0 { "text" } else { "openmetrics" })));
    let verdicts = ask(python.as_ref(), &cases);
    assert_eq!(verdicts.len(), cases.len());

    let answers: Vec<_> = cases.iter().map(|case| (case.syntax, case.page.clone())).collect();
    let target = Scripted::start(move |request| {
        let (syntax, page) = &answers[request.target.trim_start_matches('/').parse::<usize>().unwrap()];
        let kind = match *syntax {
            "text" => "text/plain; version=0.0.4; charset=utf-8",
            _ => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        };
        Reply::page(kind, page.clone())
    })
    .await;
    let mut config = "scrape_configs:\n- job_name: it\n  honor_labels: true\n  honor_timestamps: false\n  \
                      scrape_interval: 10s\n  static_configs:\n"
        .to_owned();
    for at in 0..cases.len() {
        let labels = format!("{{case: '{at}', instance: '{at}', __metrics_path__: '/{at}'}}");
        config += &format!("  - {{targets: ['{}'], labels: {labels}}}\n", target.address);
    }
    let scratch = Scratch::new();
    let prometheus = Prometheus::start(&scratch, &prometheus, "prometheus", &config).await;
    let own = |point: &Point| {
        let name = &*point.labels["__name__"];
        name == "up" || name.starts_with("scrape_")
    };
    let of = |point: &Point| point.labels.get("case").and_then(|case| case.parse::<usize>().ok());
    let first = eventually("every page was scraped", async || {
        let mut first = BTreeMap::new();
        for point in prometheus.stored("up").await {
            let is_up = f64::from_bits(point.bits) == 1.0;
            first.entry(of(&point)?).or_insert((point.timestamp, is_up));
        }
        (first.len() == cases.len()).then_some(first)
    })
    .await;
    let stored = prometheus.stored(".+").await;
    let (mut by_oracle, mut by_prometheus, mut stricter) = (0, 0, 0);
    for (at, (case, verdict)) in cases.iter().zip(verdicts).enumerate() {
        let (timestamp, is_up) = first[&at];
        by_oracle += usize::from(verdict.error.is_none());
        // It makes blanks before a name a part of the name, which neither the format nor anybody else does.
        let is_indented = case.page.lines().any(|line| line.starts_with([' ', '\t']));
        if !is_up || is_indented {
            continue;
        }
        by_prometheus += usize::from(verdict.error.is_some());
        let theirs = stored.iter().filter(|p| of(p) == Some(at) && p.timestamp == timestamp && !own(p));
        let theirs = theirs.map(|p| (as_stored(p.labels.clone()), of_zero(bits(f64::from_bits(p.bits)))));
        let theirs = counted(theirs);
        let (rows, unparsed) = ours(case).expect("what Prometheus takes has an end");
        // Of a series that stands twice, the first is stored; an empty label is none.
        let mut met = BTreeSet::new();
        let known = |labels: &BTreeMap<String, String>| -> BTreeMap<_, _> {
            labels
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect()
        };
        let ours =
            rows.into_iter().filter(|(labels, ..)| labels["__name__"] != "up" && met.insert(known(labels)));
        let ours = counted(ours.map(|(labels, bits, _)| (as_stored(labels), of_zero(bits))));
        if unparsed == 0 {
            assert_eq!(ours, theirs, "Prometheus on {} {:?}", case.syntax, case.page);
        } else {
            // Where it needs no comma between two labels we read no sample, and so no wrong one.
            stricter += 1;
            assert!(ours.iter().all(|(row, count)| theirs.get(row) >= Some(count)), "{:?}", case.page);
        }
    }
    assert!(stricter < 3, "{stricter} pages of which Prometheus reads more");
    assert!(by_oracle > 50 && by_prometheus > 10, "{by_oracle} and {by_prometheus} of {}", cases.len());
}

/// Each row with how often it is there.
fn counted<T: Ord>(rows: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    rows.for_each(|row| *counts.entry(row).or_default() += 1);
    counts
}

/// Remote read has no negative zero.
fn of_zero(bits: String) -> String {
    if bits == "8000000000000000" { "0000000000000000".to_owned() } else { bits }
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
        let (rows, unparsed) = ours(&Case { syntax: "text", page }).unwrap();
        assert_eq!(unparsed, 0);
        let mut ours: Vec<_> = rows.into_iter().map(|(labels, bits, _)| (labels, bits)).collect();
        ours.sort();
        assert_eq!(ours, theirs);
    }
}
