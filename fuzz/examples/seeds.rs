//! Writes the first corpus of each target from real encodings: `cargo run --example seeds` in `fuzz/`.

use std::path::Path;

use prost::Message;
use sidelong::wire::compression::{Buffer, SnappyEncoder, compress_gzip};
use sidelong::wire::generated::io::prometheus::write::v2;
use sidelong::wire::generated::prometheus as v1;

const TIME: i64 = 1_760_000_000_000;
const STALE_MARKER: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

fn main() -> std::io::Result<()> {
    for (name, raw) in [("series", series_v1()), ("metadata", metadata_v1())] {
        write("rw1", name, &raw)?;
    }
    write("rw2", "series", &series_v2())?;
    let mut block = Buffer::new();
    let raw = series_v1().repeat(20);
    SnappyEncoder::new().compress(&raw, &mut block).map_err(std::io::Error::other)?;
    write("snappy", "block", &block)?;
    write("snappy", "framed", b"\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00abcd\x00")?;
    write("snappy", "lie", b"\x97\x9f\xb5\x89\x0a\x00x")?;
    let (mut one, page) = (Vec::new(), b"# TYPE node_load1 gauge\nnode_load1 0.25\n");
    compress_gzip(page, &mut one)?;
    write("gzip", "member", &one)?;
    compress_gzip(page, &mut one)?;
    write("gzip", "two_members", &one)?;
    configurations()?;
    calendars()?;
    requests()?;
    heads()
}

/// Bodies of each path that answers with scores.
fn requests() -> std::io::Result<()> {
    let samples: Vec<String> = (0..40).map(|at| format!("[{},{}]", at * 60, at * 7919 % 13)).collect();
    let samples = samples.join(",");
    for (name, body) in [
        ("features", r#"{"cpu_zscore":2.1,"memory":-1e300,"disk_zscore":0}"#.to_owned()),
        ("series", format!(r#"{{"series":[{{"labels":{{"__name__":"a_total"}},"samples":[{samples}]}}]}}"#)),
        ("rule", format!(r#"{{"series":[{{"samples":[{samples}]}}],"rule":{{"detector":"mad","data_range":[0,null],"scale":[1,2]}}}}"#)),
        ("split", r#"{"dataframe_split":{"index":[0,1],"columns":["a","b"],"data":[[2.1,null],[6,1]]}}"#.to_owned()),
        ("columns", r#"{"inputs":{"ds":["2026-01-05T07:30:00Z",1767598260],"series":["a","b"],"y":[1,null]}}"#.to_owned()),
        ("records", r#"{"instances":[{"timestamp":0,"value":1},{"timestamp":60,"value":1e308}]}"#.to_owned()),
    ] {
        write("serve", name, body.as_bytes())?;
    }
    Ok(())
}

/// Events of every kind, and patterns.
fn calendars() -> std::io::Result<()> {
    let event = |lines: &str| format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    for (name, lines) in [
        ("once", "DTSTART:20261130T220000Z\r\nDTEND:20261130T230000Z"),
        ("day", "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227"),
        ("weekly", "DTSTART;TZID=Europe/Berlin:20260315T023000\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;BYDAY=SU,MO;COUNT=40;WKST=SU"),
        ("monthly", "DTSTART:20260105T120000\r\nDURATION:P1DT1H\r\nRRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=-1FR,2MO;BYSETPOS=1,-1\r\nEXDATE:20260130T120000"),
        ("yearly", "DTSTART:20200101T000000Z\r\nDURATION:PT90M\r\nRRULE:FREQ=YEARLY;BYWEEKNO=1,-1;BYHOUR=1,2;UNTIL=20301231T000000Z\r\nRDATE:20260101T000000Z"),
        ("moved", "UID:a\r\nRECURRENCE-ID:20260602T120000Z\r\nDTSTART:20260602T180000Z\r\nDURATION:PT2H"),
    ] {
        write("ics", name, event(lines).as_bytes())?;
    }
    for (name, pattern) in [("nightly", "30 2 * * *"), ("days", "*/15 9-17/2 1,15 JAN-MAR MON-FRI"), ("word", "@weekly")] {
        write("cron", name, pattern.as_bytes())?;
    }
    Ok(())
}

/// The configuration files that people are shown, and those of their Prometheus, which are YAML of another kind.
fn configurations() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    write("config", "sidelong.example.yml", &std::fs::read(root.join("sidelong.example.yml"))?)?;
    for example in std::fs::read_dir(root.join("examples"))? {
        let path = example?.path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            write("config", &name, &std::fs::read(&path)?)?;
        }
    }
    Ok(())
}

/// What senders, scrapers and those who mean harm begin with.
fn heads() -> std::io::Result<()> {
    let post = "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n";
    for (name, head) in [
        ("write", format!("{post}Content-Length: 3\r\n\r\nabc")),
        ("chunked", format!("{post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
        ("two_lengths", format!("{post}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc")),
        ("two_ways", format!("{post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("pipelined", "GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)),
        ("proxy", "GET http://a:9100/metrics HTTP/1.1\r\nHost: a:9100\r\n\r\n".to_owned()),
        ("connect", "CONNECT a:9100 HTTP/1.1\r\nHost: a:9100\r\n\r\n".to_owned()),
        ("path", "GET /scrape/..%2fproxy/%2e%2e//x HTTP/1.1\nHost: a\n\n".to_owned()),
        ("expect", format!("{post}Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")),
    ] {
        write("head", name, head.as_bytes())?;
    }
    Ok(())
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}

fn series_v1() -> Vec<u8> {
    let label = |name: &str, value: &str| v1::Label { name: name.to_owned(), value: value.to_owned() };
    let series = |name: &str| v1::TimeSeries {
        labels: vec![label("__name__", name), label("instance", "a:9100"), label("job", "node")],
        ..Default::default()
    };
    let histogram = v1::Histogram {
        count: Some(v1::histogram::Count::CountInt(3)),
        positive_spans: vec![v1::BucketSpan { offset: 0, length: 2 }],
        positive_deltas: vec![1, 1],
        timestamp: TIME,
        ..Default::default()
    };
    let exemplar = v1::Exemplar { labels: vec![label("trace_id", "4bf92f")], value: 0.5, timestamp: TIME };
    let samples = [0.25, STALE_MARKER].map(|value| v1::Sample { value, timestamp: TIME }).to_vec();
    let timeseries = vec![
        v1::TimeSeries { samples, exemplars: vec![exemplar], ..series("node_load1") },
        v1::TimeSeries { histograms: vec![histogram], ..series("latency_seconds") },
    ];
    v1::WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec()
}

fn metadata_v1() -> Vec<u8> {
    let family = v1::MetricMetadata {
        r#type: v1::metric_metadata::MetricType::Gauge as i32,
        metric_family_name: "node_load1".to_owned(),
        help: "1m load average.".to_owned(),
        unit: String::new(),
    };
    v1::WriteRequest { timeseries: Vec::new(), metadata: vec![family] }.encode_to_vec()
}

fn series_v2() -> Vec<u8> {
    let symbols = ["", "__name__", "node_load1", "job", "node", "1m load average."].map(str::to_owned);
    let series = v2::TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        samples: vec![v2::Sample { value: 0.25, timestamp: TIME, start_timestamp: TIME - 1 }],
        metadata: Some(v2::Metadata { r#type: 2, help_ref: 5, unit_ref: 0 }),
        ..Default::default()
    };
    let histogram = v2::Histogram { timestamp: TIME, start_timestamp: 1, ..Default::default() };
    let timeseries =
        vec![series.clone(), v2::TimeSeries { samples: Vec::new(), histograms: vec![histogram], ..series }];
    v2::Request { symbols: symbols.to_vec(), timeseries }.encode_to_vec()
}
