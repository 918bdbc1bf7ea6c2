//! The pull door, by raw requests, before a scripted upstream and a scripted scorer.

mod hop;
mod pages;
mod scoring;
mod targets;
mod tunnels;

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
const SCORED: &str = "# HELP anomaly_score Anomaly score of the series named by the other labels; 1 and above is an anomaly.\n\
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
