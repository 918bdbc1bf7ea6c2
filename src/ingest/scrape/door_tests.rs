use std::sync::atomic::{AtomicUsize, Ordering};

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::batch::{LabelSource, Sample};
use crate::ingest::scrape::scorer::{ScoreFuture, ScrapedPage};
use crate::inject::ScoreSample;
use crate::net::testing::{Authority, Files, serve};
use crate::net::web::WebGate;
use crate::series::labels::{Interner, SeriesLabels};
use crate::wire::compression::{Buffer, Cap, compress_gzip, decompress_gzip};

const PAGE: &str = "# TYPE up gauge\nup 1\nm{a=\"b\"} 2\n";
const SCORED: &str = "# HELP anomaly_score Anomaly score of the series named by the other labels; above 1 is an anomaly.\n\
                      # TYPE anomaly_score gauge\nanomaly_score{for=\"up\"} 0.5\nanomaly_score{a=\"b\",for=\"m\"} 0.5\n";

/// The status of an answer that never came.
const CUT: u16 = 0;

/// What an upstream does with a connection once it has read a request.
#[derive(Clone)]
enum Answer {
    /// Sends this and closes.
    Close(Vec<u8>),
    /// Sends this and waits for the other side.
    Stall(Vec<u8>),
}

/// A scripted upstream.
struct Upstream {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    /// One message for each connection that its client closed.
    gone: mpsc::UnboundedReceiver<()>,
}

/// Scores every series 0.5, or misbehaves.
#[derive(Default)]
struct Scorer {
    seen: Mutex<Vec<(String, usize, bool)>>,
    never: bool,
    panics: bool,
}

/// A raw answer, taken apart.
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// Whether its end was marked, by its length or a last chunk.
    whole: bool,
}

/// A door on a port of its own.
struct House {
    address: SocketAddr,
    scorer: Arc<Scorer>,
    door: ScrapeDoor,
}

// === impl Upstream ===

impl Upstream {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (note, gone) = mpsc::unbounded_channel();
        let upstream = Self {
            address: listener.local_addr().expect("an address"),
            requests: Arc::default(),
            connections: Arc::default(),
            gone,
        };
        let (requests, connections) = (Arc::clone(&upstream.requests), Arc::clone(&upstream.connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(play(stream, answer.clone(), Arc::clone(&requests), note.clone()));
            }
        });
        upstream
    }

    /// One that answers 200 with `body` of `content_type`.
    async fn page(content_type: &str, extra: &str, body: &[u8]) -> Self {
        Self::start(Answer::Close(ok(content_type, extra, body))).await
    }
}

fn ok(content_type: &str, extra: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\n{extra}\r\n");
    [head.as_bytes(), body].concat()
}

async fn play(
    mut stream: TcpStream,
    answer: Answer,
    requests: Arc<Mutex<Vec<String>>>,
    gone: mpsc::UnboundedSender<()>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    requests.lock().push(String::from_utf8(head).expect("a head"));
    let (Answer::Close(bytes) | Answer::Stall(bytes)) = &answer;
    stream.write_all(bytes).await.expect("written");
    if matches!(answer, Answer::Stall(_)) {
        let mut rest = Vec::new();
        let _read = stream.read_to_end(&mut rest).await;
        gone.send(()).expect("the test listens");
    }
}

// === impl Scorer ===

impl PageScorer for Scorer {
    fn key_seed(&self, target: &str) -> u64 {
        target.len() as u64
    }

    fn score(&self, job: ScrapedPage) -> ScoreFuture {
        let batch = job.page.batch();
        self.seen.lock().push((job.target.to_string(), batch.series.len(), job.teach));
        assert!(!self.panics, "broken on purpose");
        if self.never {
            return Box::pin(std::future::pending());
        }
        let interner = Interner::default();
        let score = |span: &crate::batch::SeriesSpan| {
            let mut labels = Vec::new();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
            job.page.for_each_label(&span.labels, &mut |name, value| labels.push((text(name), text(value))));
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            ScoreSample {
                labels: Arc::new(SeriesLabels::of_scored(&labels, &interner)),
                name: interner.lasting_pair("__name__", "anomaly_score"),
                sample: Sample { value: 0.5, ..batch.samples_of(span)[0] },
            }
        };
        let scores: Vec<_> = batch.series.iter().map(score).collect();
        Box::pin(async move { scores })
    }
}

// === impl House ===

impl House {
    async fn open(yaml: &str) -> Self {
        Self::with(yaml, Scorer::default()).await
    }

    async fn with(yaml: &str, scorer: Scorer) -> Self {
        let scorer = Arc::new(scorer);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let parts = ScrapeParts {
            clock: Arc::new(|| 1_700_000_000_000),
            instance: HeaderValue::from_static("me"),
            listeners: vec![address],
            ..ScrapeParts::new(Arc::clone(&scorer) as Arc<dyn PageScorer>)
        };
        let config: config::Scrape = serde_saphyr::from_str(yaml).expect("a configuration");
        let door = ScrapeDoor::new(&config, parts).expect("a door");
        let service = door.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = hyper_util::service::TowerToHyperService::new(service.clone());
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service).with_upgrades());
            }
        });
        Self { address, scorer, door }
    }

    /// A door whose one target, called `t`, is `upstream`.
    async fn before(upstream: &Upstream, options: &str) -> Self {
        Self::open(&named(upstream, options)).await
    }

    async fn send(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.expect("the door is open");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut bytes = Vec::new();
        let _cut = stream.read_to_end(&mut bytes).await;
        Reply::read(&bytes)
    }

    async fn get(&self, target: &str, headers: &str) -> Reply {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: door\r\nConnection: close\r\n{headers}\r\n")).await
    }

    fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::with_prefix("sidelong");
        self.door.shared.parts.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encoded");
        text
    }
}

fn named(upstream: &Upstream, options: &str) -> String {
    format!("targets: [{{name: t, url: 'http://{}/m'{options}}}]", upstream.address)
}

fn allowing(upstream: &Upstream) -> String {
    format!("allow: [{{hosts: [127.0.0.1], ports: [{}]}}]", upstream.address.port())
}

// === impl Reply ===

impl Reply {
    fn read(bytes: &[u8]) -> Self {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
            // The connection was cut before its head was flushed.
            return Self { status: CUT, head: String::new(), body: Vec::new(), whole: false };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let (mut rest, mut body, mut whole) = (&bytes[end..], Vec::new(), false);
        if head.contains("transfer-encoding: chunked") {
            while let Some(line) = memchr::memmem::find(rest, b"\r\n") {
                let len = std::str::from_utf8(&rest[..line]).expect("a chunk size");
                let len = usize::from_str_radix(len, 16).expect("a chunk size");
                whole = len == 0;
                let Some(chunk) = rest.get(line + 2..line + 2 + len) else { break };
                body.extend_from_slice(chunk);
                rest = rest.get(line + 2 + len + 2..).unwrap_or_default();
            }
        } else {
            body = rest.to_vec();
            let len = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            whole = len.and_then(|len| len.parse().ok()) == Some(body.len());
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Self { status, head, body, whole }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// What `up` becomes in Prometheus.
    fn is_up(&self) -> bool {
        self.status == 200 && self.whole
    }
}

#[tokio::test]
async fn the_page_passes_unchanged_and_scores_follow_it() {
    let upstream =
        Upstream::page("text/plain; version=0.0.4", "ETag: x\r\nX-Own: kept\r\n", PAGE.as_bytes()).await;
    let house = House::before(&upstream, "").await;
    let reply = house.get("/scrape/t?collect[]=cpu", "Accept: text/plain\r\n").await;
    assert!(reply.is_up());
    assert_eq!(reply.text(), format!("{PAGE}{SCORED}"));
    assert!(
        reply.head.contains("content-type: text/plain; version=0.0.4\r\n")
            && reply.head.contains("x-own: kept")
    );
    assert!(!reply.head.contains("content-length") && !reply.head.contains("etag"));
    assert!(upstream.requests.lock()[0].starts_with("GET /m?collect[]=cpu HTTP/1.1\r\n"));
    let metrics = house.metrics();
    for line in [
        "sidelong_scrape_requests_total{result=\"scored\"} 1",
        "sidelong_scrape_appended_series_total 2",
        "sidelong_scrape_samples_total 2",
        "sidelong_scrape_running 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn p12_scores_stand_before_the_eof_of_openmetrics() {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let check = async |page: &str, want: &str| {
        let upstream = Upstream::page(kind, "", page.as_bytes()).await;
        let reply = House::before(&upstream, "").await.get("/scrape/t", "").await;
        assert_eq!((reply.is_up(), reply.text()), (true, want), "{page}");
    };
    check(&format!("{PAGE}# EOF\n"), &format!("{PAGE}{SCORED}# EOF\n")).await;
    check(&format!("{PAGE}# EOF"), &format!("{PAGE}{SCORED}# EOF")).await;
    // Without its end the page is none: the scraper refuses it, and nobody scores it.
    check(PAGE, PAGE).await;
    check(&format!("{PAGE}# EOF\nmore 1\n"), &format!("{PAGE}# EOF\nmore 1\n")).await;
}

#[tokio::test]
async fn gzip_of_text_gets_a_second_member_and_openmetrics_is_sent_on_decoded() {
    let zipped = |text: &str| {
        let mut bytes = Vec::new();
        compress_gzip(text.as_bytes(), &mut bytes).expect("compressed");
        bytes
    };
    let page = zipped(PAGE);
    let upstream = Upstream::page("text/plain", "Content-Encoding: gzip\r\n", &page).await;
    let reply = House::before(&upstream, "").await.get("/scrape/t", "Accept-Encoding: gzip\r\n").await;
    assert!(reply.is_up() && reply.head.contains("content-encoding: gzip"));
    assert!(reply.body.starts_with(&page));
    let mut plain = Buffer::new();
    decompress_gzip(&reply.body, Cap::default(), &mut plain).expect("gzip");
    assert_eq!(std::str::from_utf8(&plain).expect("UTF-8"), format!("{PAGE}{SCORED}"));
    assert!(upstream.requests.lock()[0].to_lowercase().contains("accept-encoding: gzip\r\n"));

    let kind = "application/openmetrics-text; version=1.0.0";
    let page = zipped(&format!("{PAGE}# EOF\n"));
    let upstream = Upstream::page(kind, "Content-Encoding: gzip\r\n", &page).await;
    let accept = format!("Accept: {kind}\r\nAccept-Encoding: gzip\r\n");
    let reply = House::before(&upstream, "").await.get("/scrape/t", &accept).await;
    assert!(reply.is_up() && !reply.head.contains("content-encoding"));
    assert_eq!(reply.text(), format!("{PAGE}{SCORED}# EOF\n"));
    assert!(upstream.requests.lock()[0].to_lowercase().contains("accept-encoding: identity\r\n"));

    for (kind, cut) in [("text/plain", true), (kind, false)] {
        // The framing is whole, the member is not: as without us for text, a failure where we decode.
        let upstream = Upstream::page(kind, "Content-Encoding: gzip\r\n", &page[..page.len() - 9]).await;
        let reply = House::before(&upstream, "").await.get("/scrape/t", "").await;
        assert_eq!(reply.whole, cut, "{kind}");
    }
}

#[tokio::test]
async fn a_gzipped_openmetrics_page_over_the_limits_passes_whole_and_unscored() {
    let kind = "application/openmetrics-text; version=1.0.0";
    let filler = "# HELP a a\n".repeat(1 << 18);
    let mut zipped = Vec::new();
    let check = async |page: &str, options: &str, want: String, zipped: &[u8]| {
        let upstream = Upstream::page(kind, "Content-Encoding: gzip\r\n", zipped).await;
        let house = House::before(&upstream, options).await;
        let reply = house.get("/scrape/t", &format!("Accept: {kind}\r\n")).await;
        assert!(reply.is_up(), "{options}");
        assert!(reply.text() == want, "{} of {} bytes, {options}", reply.body.len(), page.len());
        house.scorer.seen.lock().len()
    };
    let small = format!("{PAGE}# EOF\n");
    compress_gzip(small.as_bytes(), &mut zipped).expect("compressed");
    let seen = check(&small, ", body_size_limit: 10B", small.clone(), &zipped).await;
    assert_eq!(seen, 0, "over body_size_limit nothing is scored");
    // Hundreds of bytes to one: no bound of what is passed on, only of what is read.
    let (large, scored) = (format!("{filler}{PAGE}# EOF\n"), format!("{filler}{PAGE}{SCORED}# EOF\n"));
    zipped.clear();
    compress_gzip(large.as_bytes(), &mut zipped).expect("compressed");
    assert!(zipped.len() * 64 < large.len(), "{} of {}", zipped.len(), large.len());
    assert_eq!(check(&large, ", body_size_limit: 1MiB", large.clone(), &zipped).await, 0);
    assert_eq!(check(&large, "", scored, &zipped).await, 1);
}

#[tokio::test]
async fn p6_a_redirect_leads_where_it_leads_without_us() {
    let check = async |location: &str, want: &str| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let upstream = Upstream::start(Answer::Close(head.into_bytes())).await;
        let want = want.replace("HERE", &format!("http://{}", upstream.address));
        let fixed = format!("upstream: {{url: 'http://{}/m'}}", upstream.address);
        let house = House::open(&[named(&upstream, ""), allowing(&upstream), fixed].join("\n")).await;
        let url = format!("http://{}/m", upstream.address);
        for target in ["/scrape/t", "/metrics", &format!("/proxy?target={url}"), &url] {
            let reply = house.get(target, "").await;
            assert_eq!(reply.status, 302, "{location} by {target}");
            let got = reply.head.lines().find_map(|line| line.strip_prefix("location: "));
            assert_eq!(got, Some(&*want), "{location} by {target}");
        }
    };
    check("/elsewhere?a=b", "HERE/elsewhere?a=b").await;
    check("elsewhere", "HERE/elsewhere").await;
    check("//other:9100/metrics", "http://other:9100/metrics").await;
    check("https://other/metrics", "https://other/metrics").await;
    check("https://other:443", "https://other:443").await;
    check("http://[", "http://[").await;
}

#[tokio::test]
async fn protobuf_scores_are_further_messages() {
    use prost::Message;

    use crate::wire::generated::io::prometheus::client as pb;
    let metric = pb::Metric { gauge: Some(pb::Gauge { value: Some(1.0) }), ..Default::default() };
    let family = pb::MetricFamily {
        name: Some("up".to_owned()),
        r#type: Some(pb::MetricType::Gauge as i32),
        metric: vec![metric],
        ..Default::default()
    };
    let page = family.encode_length_delimited_to_vec();
    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let upstream = Upstream::page(kind, "", &page).await;
    let reply = House::before(&upstream, "").await.get("/scrape/t", "").await;
    assert!(reply.is_up());
    let tail = reply.body.strip_prefix(&page[..]).expect("the page first");
    let scores = pb::MetricFamily::decode_length_delimited(tail).expect("a family");
    assert_eq!((scores.name(), scores.metric.len()), ("anomaly_score", 1));
}

#[tokio::test]
async fn h_up_is_what_it_would_be_without_us() {
    let chunked = |end: &str| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}5\r\nup 1\n\r\n{end}").into_bytes()
    };
    let text = |body: &str, len: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n\r\n{body}")
            .into_bytes()
    };
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nno").into_bytes();
    let rows = [
        ("200", Answer::Close(text("up 1\n", 5)), 200, true),
        ("200 chunked", Answer::Close(chunked("0\r\n\r\n")), 200, true),
        ("empty", Answer::Close(text("", 0)), 200, true),
        ("503", Answer::Close(status("503 Service Unavailable")), 503, true),
        ("204", Answer::Close(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), 204, false),
        ("302", Answer::Close(status("302 Found\r\nLocation: /elsewhere")), 302, true),
        ("cut by length", Answer::Close(text("up 1\n", 50)), 200, false),
        ("cut by chunks", Answer::Close(chunked("5\r\nup")), 200, false),
        ("cut between chunks", Answer::Close(chunked("")), 200, false),
        ("closed", Answer::Close(Vec::new()), 502, true),
        ("no HTTP", Answer::Close(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), 502, true),
        ("silent", Answer::Stall(Vec::new()), 504, true),
        ("late", Answer::Stall(text("up 1\n", 50)), 200, false),
        ("late chunks", Answer::Stall(chunked("")), 200, false),
    ];
    for (name, answer, status, whole) in rows {
        let upstream = Upstream::start(answer).await;
        let fixed = format!("upstream: {{url: 'http://{}/m'}}", upstream.address);
        let house = House::open(&[named(&upstream, ""), allowing(&upstream), fixed].join("\n")).await;
        let url = format!("http://{}/m", upstream.address);
        for target in ["/scrape/t", "/metrics", &format!("/proxy?target={url}"), &url] {
            let reply = house.get(target, "X-Prometheus-Scrape-Timeout-Seconds: 0.15\r\n").await;
            assert_eq!(reply.whole, whole, "{name} by {target}");
            assert!(reply.status == status || (!whole && reply.status == CUT), "{name} by {target}");
            let taught = house.scorer.seen.lock().drain(..).count();
            assert_eq!(taught, usize::from(reply.is_up() && status == 200), "{name} by {target}");
            if status >= 502 && status != 503 {
                assert!(reply.text().starts_with("sidelong: "), "{}", reply.text());
            }
        }
    }
    // Nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let house = House::open(&format!("targets: [{{name: t, url: 'http://{port}/'}}]")).await;
    assert_eq!(house.get("/scrape/t", "").await.status, 502);
}

#[tokio::test]
async fn p30_a_page_at_its_jobs_limit_stays_up() {
    let check = async |options: &str, scores: usize| {
        let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
        let house = House::before(&upstream, options).await;
        let reply = house.get("/scrape/t", "").await;
        assert!(reply.is_up());
        let added = reply.text().strip_prefix(PAGE).expect("the page first");
        assert_eq!(
            added.lines().filter(|line| line.starts_with("anomaly_score")).count(),
            scores,
            "{options}"
        );
        let dropped = format!("sidelong_scrape_dropped_scores_total{{reason=\"limit\"}} {}\n", 2 - scores);
        assert!(house.metrics().contains(&dropped), "{options}: {}", house.metrics());
    };
    check(", sample_limit: 2", 0).await;
    check(", sample_limit: 3", 1).await;
    check(", sample_limit: 4", 2).await;
    // The scores have two and three labels, and the job adds two.
    check(", label_limit: 3", 0).await;
    check(", label_limit: 4", 1).await;
    check(", label_limit: 5", 2).await;
    check(", label_limit: 5, target_labels: 3", 1).await;
}

#[tokio::test]
async fn p28_only_the_first_scrape_of_an_interval_teaches() {
    let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
    let house = House::before(&upstream, "").await;
    let first = house.get("/scrape/t", "").await;
    let second = house.get("/scrape/t", "").await;
    assert_eq!(first.body, second.body);
    house.get("/scrape/t?", "").await;
    let seen = house.scorer.seen.lock().clone();
    let taught = |teach| ("t".to_owned(), 2, teach);
    assert_eq!(seen, [taught(true), taught(false), taught(false)]);
    let door = house.door.reconfigured(&serde_saphyr::from_str(&named(&upstream, "")).expect("valid"));
    let request = Request::get("/scrape/t").body(()).expect("a request");
    let answer = door.expect("a door").handle(request).await;
    answer.into_body().collect().await.expect("a page");
    assert!(!house.scorer.seen.lock()[3].2, "a reload forgot the lesson");
}

#[tokio::test]
async fn p28_a_page_that_a_query_chose_teaches_series_of_its_own() {
    let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
    let house = House::before(&upstream, "").await;
    for query in ["", "?collect[]=cpu", "?x=1", "?collect[]=cpu"] {
        house.get(&format!("/scrape/t{query}"), "").await;
    }
    let seen = house.scorer.seen.lock().clone();
    let lessons: Vec<_> = seen.iter().map(|(scope, _, teach)| (scope.as_str(), *teach)).collect();
    assert_eq!(
        lessons,
        [("t", true), ("t?collect[]=cpu", true), ("t?x=1", true), ("t?collect[]=cpu", false)]
    );
    let mut taught: Vec<_> = lessons.iter().filter(|(_, teach)| *teach).map(|(scope, _)| scope).collect();
    taught.dedup();
    assert_eq!(taught.len(), 3, "no scope was taught twice");
}

#[tokio::test]
async fn a_failed_page_takes_no_lesson() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\nup 1\n";
    let upstream = Upstream::start(Answer::Close(cut.to_vec())).await;
    let house = House::before(&upstream, "").await;
    assert!(!house.get("/scrape/t", "").await.is_up());
    assert!(house.door.shared.kept.lessons.take("t", Duration::from_secs(60), Instant::now()));
}

#[tokio::test]
async fn t27_a_broken_or_slow_scorer_costs_scores_only() {
    let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
    let yaml = format!("{}\nscore_budget: 1ms", named(&upstream, ""));
    for (scorer, reason) in [
        (Scorer { never: true, ..Scorer::default() }, "budget"),
        (Scorer { panics: true, ..Scorer::default() }, "panic"),
    ] {
        let house = House::with(&yaml, scorer).await;
        let reply = house.get("/scrape/t", "").await;
        assert_eq!((reply.is_up(), reply.text()), (true, PAGE));
        let line = format!("sidelong_scrape_unscored_pages_total{{reason=\"{reason}\"}} 1");
        assert!(house.metrics().contains(&line), "{}", house.metrics());
    }
}

#[tokio::test]
async fn what_is_not_understood_passes_unscored_with_its_length() {
    let check = async |kind: &str, extra: &str, reason: &str| {
        let upstream = Upstream::page(kind, extra, PAGE.as_bytes()).await;
        let house = House::before(&upstream, ", body_size_limit: 1KiB").await;
        let reply = house.get("/scrape/t", "").await;
        assert_eq!((reply.is_up(), reply.text()), (true, PAGE), "{kind}");
        assert!(reply.head.contains(&format!("content-length: {}\r\n", PAGE.len())));
        let line = format!("unscored_pages_total{{reason=\"{reason}\"}} 1");
        assert!(house.metrics().contains(&line), "{}", house.metrics());
    };
    check("text/html", "", "content_type").await;
    check("application/openmetrics-text; version=2.0.0", "", "content_type").await;
    check("text/plain", "Content-Encoding: GZIP\r\n", "content_encoding").await;
    let long = PAGE.repeat(100);
    let upstream = Upstream::page("text/plain", "", long.as_bytes()).await;
    let house = House::before(&upstream, ", body_size_limit: 1KiB").await;
    assert_eq!(house.get("/scrape/t", "").await.text(), long);
    assert!(house.metrics().contains("unscored_pages_total{reason=\"body_size\"} 1"));
}

#[tokio::test]
async fn p11_a_page_without_its_last_line_feed_gets_one_before_the_scores() {
    let upstream = Upstream::page("text/plain", "", b"up 1\nnot a line\nm{a=\"b\"} 2").await;
    let house = House::before(&upstream, "").await;
    let reply = house.get("/scrape/t", "").await;
    assert_eq!(reply.text(), format!("up 1\nnot a line\nm{{a=\"b\"}} 2\n{SCORED}"));
    assert!(house.metrics().contains("sidelong_scrape_unparsed_lines_total 1"));
}

#[tokio::test]
async fn p30_a_family_of_the_page_wins() {
    let page = "anomaly_score{for=\"up\"} 9\n";
    let upstream = Upstream::page("text/plain", "", page.as_bytes()).await;
    let house = House::before(&upstream, "").await;
    assert_eq!(house.get("/scrape/t", "").await.text(), page);
    assert!(house.metrics().contains("dropped_scores_total{reason=\"clash\"} 1"));
}

#[tokio::test]
async fn b15_an_https_target_gets_its_own_credentials_and_no_other_does() {
    let (authority, files) = (Authority::new(), Files::new());
    files.write_pair(&authority.issue("localhost"));
    let ca = files.write("ca.pem", &authority.pem());
    files.write("token", "own-token");
    let web = format!(
        "tls_server_config: {{cert_file: {0}/cert.pem, key_file: {0}/key.pem}}",
        files.path("").display()
    );
    let web = files.write("web.yml", &web);
    let gate = Arc::new(WebGate::open(Some(&web), Arc::default()).expect("a web configuration"));
    let port = serve(gate).port();
    let options = format!(
        "tls_config: {{ca_file: {}}}, authorization: {{credentials_file: {}}}",
        ca.display(),
        files.path("token").display()
    );
    let allow = format!("allow: [{{hosts: [localhost], ports: [{port}], schemes: [https]}}]");
    let house =
        House::open(&format!("targets: [{{name: t, url: 'https://localhost:{port}/', {options}}}]\n{allow}"))
            .await;
    let reply = house.get("/scrape/t", "Authorization: Bearer theirs\r\n").await;
    assert_eq!(
        (reply.status, reply.text().contains("authorization=Bearer own-token")),
        (200, true),
        "{}",
        reply.text()
    );
    // Without the authority of the configured target the same server is a stranger.
    let reply = house.get(&format!("/proxy?target=https://localhost:{port}/"), "").await;
    assert_eq!(reply.status, 502, "{}", reply.text());
}

#[tokio::test]
async fn h5_hop_by_hop_headers_stop_here_both_ways() {
    let extra = "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n";
    let upstream = Upstream::page("text/plain", extra, b"").await;
    let house = House::before(&upstream, ", headers: {X-Tenant: ours}").await;
    let request = "GET /scrape/t HTTP/1.1\r\nHost: door\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n\
                   Proxy-Authorization: Basic c2VjcmV0\r\nAuthorization: Bearer passed\r\nX-Tenant: theirs\r\n\r\n";
    let reply = house.send(request).await;
    assert!(
        reply.head.contains("x-kept: 1")
            && !reply.head.contains("x-hop")
            && !reply.head.contains("keep-alive")
    );
    let seen = upstream.requests.lock()[0].to_lowercase();
    assert!(seen.contains("authorization: bearer passed") && seen.contains("x-tenant: ours"), "{seen}");
    assert!(!seen.contains("secret") && !seen.contains("proxy-") && !seen.contains("theirs"), "{seen}");
    assert!(
        seen.contains(&format!("host: {}\r\n", upstream.address)) && seen.contains("sidelong-hop: me"),
        "{seen}"
    );
}

#[tokio::test]
async fn f37_a_target_that_is_ourselves_is_508_after_one_hop() {
    let house = House::open("targets: []").await;
    let own = house.address;
    let config = format!("targets: [{{name: t, url: 'http://{own}/scrape/t'}}]");
    // The same door again, now that its port is known.
    let door = house.door.reconfigured(&serde_saphyr::from_str(&config).expect("valid")).expect("a door");
    let request = Request::get("/scrape/t").body(()).expect("a request");
    let answer = door.handle(request).await;
    assert_eq!(answer.status(), StatusCode::LOOP_DETECTED);
    assert!(house.metrics().contains("requests_total{result=\"loop\"} 1"), "{}", house.metrics());
}

#[tokio::test]
async fn b14_targets_that_no_rule_names_are_refused_and_counted() {
    let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
    let house = House::open(&allowing(&upstream)).await;
    let check = async |target: &str, status: u16| {
        assert_eq!(house.get(target, "").await.status, status, "{target}");
    };
    let url = format!("http://{}/m", upstream.address);
    check(&format!("/proxy?target={}", url.replace("://", "%3A%2F%2F")), 200).await;
    check(&format!("/proxy?a=b&target={url}"), 200).await;
    assert!(upstream.requests.lock()[1].starts_with("GET /m?a=b HTTP/1.1"));
    check("http://127.0.0.2/", 403).await;
    check("/proxy?target=http://169.254.169.254/latest", 403).await;
    check("/proxy?target=http://2130706433/", 403).await;
    check("/proxy?target=", 403).await;
    check("/proxy", 400).await;
    check("/scrape/other", 404).await;
    check("/metrics", 404).await;
    assert_eq!(
        house.send("POST /proxy?target=x HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").await.status,
        405
    );
    let metrics = house.metrics();
    for reason in ["not_allowed", "metadata", "spelling"] {
        let line = format!("refused_targets_total{{reason=\"{reason}\"}} ");
        assert!(metrics.contains(&line) && !metrics.contains(&(line + "0")), "{metrics}");
    }
}

#[tokio::test]
async fn h10_a_push_through_the_proxy_is_not_this_doors() {
    let house = House::open("targets: []").await;
    let takes = |method: &str, uri: &str| {
        house.door.takes(&Request::builder().method(method).uri(uri).body(()).expect("a request"))
    };
    assert!(takes("GET", "http://h/metrics") && takes("CONNECT", "h:443"));
    assert!(takes("GET", "/scrape/t") && takes("GET", "/proxy?target=x"));
    assert!(
        !takes("POST", "http://h/api/v1/write")
            && !takes("POST", "/api/v1/write")
            && !takes("GET", "/metrics")
    );
}

#[tokio::test]
async fn h3_a_tunnel_opens_only_where_a_rule_allows_it() {
    let echo = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let end = echo.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = echo.accept().await.expect("a connection");
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.expect("four bytes");
        stream.write_all(&bytes).await.expect("written");
    });
    let house = House::open("targets: []").await;
    let own = house.address;
    let ports = format!("[{}, {}]", end.port(), own.port());
    let house = House::open(&format!("allow_connect: [{{networks: [127.0.0.1], ports: {ports}}}]")).await;
    let mut stream = TcpStream::connect(house.address).await.expect("the door is open");
    let request = format!("CONNECT {end} HTTP/1.1\r\nHost: {end}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    assert!(head.starts_with(b"HTTP/1.1 200"));
    stream.write_all(b"ping").await.expect("written");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an end");
    assert_eq!(bytes, b"ping");

    for refused in ["127.0.0.1:1", "10.0.0.1:443", "169.254.169.254:443", "127.1:443"] {
        let reply =
            house.send(&format!("CONNECT {refused} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(reply.status, 403, "{refused}");
    }
}

#[tokio::test]
async fn h3_no_tunnel_leads_to_ourselves() {
    let house = House::open("targets: []").await;
    let own = house.address;
    let config = format!("allow_connect: [{{networks: [127.0.0.1], ports: [{}]}}]", own.port());
    let door = house.door.reconfigured(&serde_saphyr::from_str(&config).expect("valid")).expect("a door");
    let request = Request::builder().method("CONNECT").uri(own.to_string()).body(()).expect("a request");
    assert_eq!(door.handle(request).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn p10_the_upstream_is_left_when_the_scraper_leaves() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\nup 1\n";
    let mut upstream = Upstream::start(Answer::Stall(head.to_vec())).await;
    let house = House::before(&upstream, "").await;
    let mut stream = TcpStream::connect(house.address).await.expect("the door is open");
    stream.write_all(b"GET /scrape/t HTTP/1.1\r\nHost: door\r\n\r\n").await.expect("written");
    stream.read_u8().await.expect("an answer begins");
    drop(stream);
    upstream.gone.recv().await.expect("the upstream sees it");
    assert_eq!(upstream.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn b3_one_scrape_too_many_is_503() {
    let upstream = Upstream::start(Answer::Stall(Vec::new())).await;
    let house = House::open(&format!("{}\nmax_concurrent_scrapes: 0", named(&upstream, ""))).await;
    let reply = house.get("/scrape/t", "").await;
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("max_concurrent_scrapes"));
}
