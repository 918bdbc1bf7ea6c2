//! The server over raw sockets. Time is paused: it moves on when every task waits.

use std::future::Future;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::service_fn;

use super::metrics::Closed;
use super::*;
use crate::config::units::PromDuration;
use crate::net::body::{MinRate, read_body};
use crate::net::budget::BodyBudget;

struct Running {
    address: SocketAddr,
    metrics: Arc<super::metrics::ListenerMetrics>,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

/// Starts a server whose door answers with the length of the body, or 400.
fn start(config: ServerConfig) -> Running {
    start_with(config, |request: Request<Incoming>| async move {
        let budget = BodyBudget::new(1 << 20, Gauge::default());
        match read_body(request.into_body(), 1 << 20, MinRate::default(), &budget).await {
            Ok(body) => answer(200, body.bytes.len().to_string()),
            Err(error) => answer(400, error.to_string()),
        }
    })
}

fn answer(status: u16, text: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(text.into())).unwrap()
}

fn start_with<F, Fut>(config: ServerConfig, door: F) -> Running
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Arc::<ServerMetrics>::default();
    let shutdown = CancellationToken::new();
    let door = service_fn(move |request| {
        let answered = door(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let server = Server::new("test", config, Arc::clone(&metrics));
    let served = tokio::spawn(server.serve(listener, door, shutdown.clone()));
    Running { address, metrics: metrics.of("test"), shutdown, served }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `text` and gives back everything up to the end of the connection.
    async fn exchange(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await
    }
}

/// What comes until the server closes. A reset counts as the end: bytes of ours may have been unread.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while matches!(stream.read_buf(&mut text).await, Ok(1..)) {}
    String::from_utf8(text).unwrap()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Sends a request and reads its answer, which ends in `0`, the length of its body.
async fn get(stream: &mut TcpStream) {
    stream.write_all(GET).await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n0") {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "the server closed early");
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test(start_paused = true)]
async fn b9_a_connection_that_sends_nothing_is_closed() {
    let server = start(ServerConfig::default());
    let mut stream = server.connect().await;
    let started = Instant::now();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(server.metrics.closed_count(Closed::FirstByteTimeout), 1);
}

#[tokio::test(start_paused = true)]
async fn b9_a_header_that_comes_byte_by_byte_is_closed() {
    let server = start(ServerConfig::default());
    let mut stream = server.connect().await;
    let started = Instant::now();
    for byte in GET {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(read_to_end(&mut stream).await, "");
    assert!(started.elapsed() >= Duration::from_secs(10));
    assert_eq!(server.metrics.closed_count(Closed::HeaderTimeout), 1);
}

#[tokio::test(start_paused = true)]
async fn b9_a_body_that_stalls_is_refused() {
    let server = start(ServerConfig::default());
    let answer = server.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc").await;
    assert_eq!(status(&answer), "400");
    assert!(answer.contains("slower than"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn b9_a_connection_that_waits_between_requests_is_closed_late() {
    let server = start(ServerConfig::default());
    let mut stream = server.connect().await;
    get(&mut stream).await;
    tokio::time::sleep(Duration::from_secs(301)).await;
    get(&mut stream).await;
    let started = Instant::now();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert_eq!(started.elapsed().as_secs(), 360);
    assert_eq!(server.metrics.closed_count(Closed::IdleTimeout), 1);
}

#[tokio::test(start_paused = true)]
async fn b9_a_client_that_does_not_read_its_answer_is_closed() {
    let huge = Bytes::from(vec![b'x'; 64 << 20]);
    let server = start_with(ServerConfig::default(), move |_| {
        let huge = huge.clone();
        async move { Response::new(Full::new(huge)) }
    });
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(server.metrics.closed_count(Closed::WriteTimeout), 1);
}

#[tokio::test(start_paused = true)]
async fn b3_at_the_cap_the_longest_idle_connection_gives_way() {
    let server = start(ServerConfig { max_connections: 3, ..ServerConfig::default() });
    let (mut a, mut b, mut c) = (server.connect().await, server.connect().await, server.connect().await);
    for stream in [&mut b, &mut a, &mut c] {
        tokio::time::sleep(Duration::from_millis(5)).await;
        get(stream).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    get(&mut server.connect().await).await;
    assert_eq!(read_to_end(&mut b).await, "", "the longest idle is closed");
    get(&mut a).await;
    get(&mut c).await;
    assert_eq!(server.metrics.closed_count(Closed::Evicted), 1);
}

#[tokio::test(start_paused = true)]
async fn f10_slow_clients_at_the_cap_do_not_keep_a_new_client_out() {
    let server = start(ServerConfig { max_connections: 8, ..ServerConfig::default() });
    let mut slow = Vec::new();
    for number in 0..32 {
        let mut stream = server.connect().await;
        if number % 2 == 0 {
            stream.write_all(b"GET / HT").await.unwrap();
        }
        slow.push(stream);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    get(&mut server.connect().await).await;
    assert!(server.metrics.closed_count(Closed::Evicted) >= 24);
}

#[tokio::test(start_paused = true)]
async fn f10_slow_bodies_at_the_cap_do_not_keep_a_new_client_out() {
    let server = start(ServerConfig { max_connections: 4, ..ServerConfig::default() });
    let mut slow = Vec::new();
    for number in 0..8 {
        let mut stream = server.connect().await;
        let length = if number % 2 == 0 { "content-length: 9" } else { "transfer-encoding: chunked" };
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\n3\r\nabc\r\n");
        stream.write_all(&head.as_bytes()[..head.len() - usize::from(number % 2 == 0) * 4]).await.unwrap();
        slow.push(stream);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut healthy = server.connect().await;
    get(&mut healthy).await;
    assert_eq!(server.metrics.closed_count(Closed::SlowBody), 5);
    assert_eq!(read_to_end(&mut slow[4]).await, "", "the slowest first");
    get(&mut healthy).await;
}

#[tokio::test(start_paused = true)]
async fn b3_at_the_cap_a_new_connection_is_shed_if_none_is_idle() {
    let config = ServerConfig { max_connections: 1, ..ServerConfig::default() };
    let release = Arc::new(tokio::sync::Notify::new());
    let (entered, released) = (Arc::new(tokio::sync::Notify::new()), Arc::clone(&release));
    let inside = Arc::clone(&entered);
    let server = start_with(config, move |_| {
        let (inside, released) = (Arc::clone(&inside), Arc::clone(&released));
        async move {
            inside.notify_one();
            released.notified().await;
            answer(200, "0".into())
        }
    });
    let mut busy = server.connect().await;
    let (_, ()) = tokio::join!(get(&mut busy), async {
        entered.notified().await;
        assert_eq!(server.exchange("").await, "");
        release.notify_one();
    });
    assert_eq!(server.metrics.closed_count(Closed::Shed), 1);
    assert_eq!(server.metrics.closed_count(Closed::Evicted), 0);
}

#[tokio::test(start_paused = true)]
async fn b16_smuggling_is_refused() {
    let server = start(ServerConfig::default());
    let chunked = "transfer-encoding: chunked\r\n";
    let cases = [
        ("plain", "content-length: 3\r\n\r\nabc".to_owned(), "200"),
        ("chunked", format!("{chunked}\r\n3\r\nabc\r\n0\r\n\r\n"), "200"),
        ("length, then chunked", format!("content-length: 3\r\n{chunked}\r\n0\r\n\r\n"), "400"),
        ("chunked, then length", format!("{chunked}content-length: 3\r\n\r\n0\r\n\r\n"), "400"),
        ("two equal lengths", "content-length: 3\r\ncontent-length: 3\r\n\r\nabc".into(), "400"),
        ("two lengths", "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd".into(), "400"),
        ("length list", "content-length: 3, 3\r\n\r\nabc".into(), "400"),
        ("signed length", "content-length: +3\r\n\r\nabc".into(), "400"),
        ("huge length", "content-length: 99999999999999999999\r\n\r\nabc".into(), "400"),
        ("folded header", "x: a\r\n b\r\ncontent-length: 3\r\n\r\nabc".into(), "400"),
        ("space before the colon", "content-length : 3\r\n\r\nabc".into(), "400"),
        ("unknown coding last", "transfer-encoding: chunked, identity\r\n\r\nabc".into(), "400"),
        ("bare carriage return", "x: a\rcontent-length: 3\r\n\r\nabc".into(), "400"),
        ("null in a value", "x: a\0b\r\n\r\n".into(), "400"),
        ("bad chunk size", format!("{chunked}\r\nxyz\r\nabc\r\n0\r\n\r\n"), "400"),
        ("chunk longer than said", format!("{chunked}\r\n2\r\nabc\r\n0\r\n\r\n"), "400"),
        ("huge chunk size", format!("{chunked}\r\nfffffffffffffffff\r\nabc\r\n"), "400"),
    ];
    for (name, rest, want) in cases {
        let text = format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{rest}");
        assert_eq!(status(&server.exchange(&text).await), want, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn b16_a_request_hidden_behind_another_is_not_served_chunked() {
    let server = start(ServerConfig::default());
    let hidden = "POST /hidden HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let text = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc{hidden}");
    let answers = server.exchange(&text).await;
    let statuses: Vec<_> =
        answers.split("HTTP/1.1 ").skip(1).map(|answer| answer.split(' ').next().unwrap()).collect();
    assert_eq!(statuses, ["200", "400"]);
}

#[tokio::test(start_paused = true)]
async fn chunked_requests_one_after_the_other_share_a_connection() {
    let server = start(ServerConfig::default());
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let chunked =
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        stream.write_all(chunked).await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n3") {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "the server closed early");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn b3_heads_over_the_limits_are_refused() {
    let server = start(ServerConfig::default());
    let head = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    let path = |len| format!("/{}", "p".repeat(len));
    let many = |count| (0..count).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    let big = |len| format!("x: {}\r\n", "y".repeat(len));
    let close = "connection: close\r\n";
    for (text, want) in [
        (head(&path(8000), close), "200"),
        (head(&path(8 << 10), close), "414"),
        (head("/", &format!("{close}{}", many(60))), "200"),
        (head("/", &many(64)), "431"),
        (head("/", &format!("{close}{}", big(15 << 10))), "200"),
        (head("/", &big(17 << 10)), "431"),
        (head("/", &big(200 << 10)), "431"),
        (head("//api", close), "400"),
        (head("/a/../b", close), "400"),
    ] {
        let answer = server.exchange(&text).await;
        assert_eq!(status(&answer), want, "{text:.40}");
    }
}

#[tokio::test]
async fn h1_absolute_form_and_connect_reach_the_door_as_they_are() {
    let server = start_with(ServerConfig::default(), |request: Request<Incoming>| async move {
        let seen = format!("{} {}", request.method(), request.uri());
        answer(403, seen)
    });
    let absolute =
        "GET http://node:9100//metrics?x=%2F HTTP/1.1\r\nhost: node:9100\r\nconnection: close\r\n\r\n";
    let answered = server.exchange(absolute).await;
    assert!(answered.ends_with("GET http://node:9100//metrics?x=%2F"), "{answered}");
    let answered =
        server.exchange("CONNECT node:443 HTTP/1.1\r\nhost: node:443\r\nconnection: close\r\n\r\n").await;
    assert!(answered.ends_with("CONNECT node:443"), "{answered}");
}

#[tokio::test]
async fn h2_a_connect_tunnel_outlives_its_request() {
    let server = start_with(ServerConfig::default(), |request: Request<Incoming>| async move {
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(request).await.unwrap();
            let mut stream = hyper_util::rt::TokioIo::new(upgraded);
            let mut heard = [0; 4];
            stream.read_exact(&mut heard).await.unwrap();
            stream.write_all(&heard).await.unwrap();
        });
        answer(200, String::new())
    });
    let mut stream = server.connect().await;
    stream.write_all(b"CONNECT node:443 HTTP/1.1\r\nhost: node:443\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut head).await.unwrap();
    }
    stream.write_all(b"ping").await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "ping");
}

#[tokio::test(start_paused = true)]
async fn draining_lets_the_request_in_flight_end_and_closes_the_idle() {
    let (entered, release) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (inside, released) = (Arc::clone(&entered), Arc::clone(&release));
    let server = start_with(ServerConfig::default(), move |request: Request<Incoming>| {
        let (inside, released) = (Arc::clone(&inside), Arc::clone(&released));
        async move {
            if request.uri().path() == "/slow" {
                inside.notify_one();
                released.notified().await;
            }
            answer(200, "0".into())
        }
    });
    let mut idle = server.connect().await;
    get(&mut idle).await;
    let slow = server.exchange("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    let (answered, ()) = tokio::join!(slow, async {
        entered.notified().await;
        server.shutdown.cancel();
        assert_eq!(read_to_end(&mut idle).await, "");
        assert!(TcpStream::connect(server.address).await.is_err(), "no new connections");
        release.notify_one();
    });
    assert_eq!(status(&answered), "200");
    assert!(answered.contains("connection: close"), "{answered}");
    server.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn draining_cuts_what_outlasts_its_timeout() {
    let entered = Arc::new(tokio::sync::Notify::new());
    let inside = Arc::clone(&entered);
    let config = ServerConfig { drain_timeout: PromDuration::from_secs(5), ..ServerConfig::default() };
    let server = start_with(config, move |_| {
        let inside = Arc::clone(&inside);
        async move {
            inside.notify_one();
            std::future::pending().await
        }
    });
    let (answered, ()) = tokio::join!(server.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), async {
        entered.notified().await;
        server.shutdown.cancel();
    });
    assert_eq!(answered, "");
    server.served.await.unwrap();
    assert_eq!(server.metrics.closed_count(Closed::Cut), 1);
}

#[tokio::test]
async fn every_request_knows_its_connection() {
    let server = start_with(ServerConfig::default(), |request: Request<Incoming>| async move {
        let info = request.extensions().get::<ConnectionInfo>().copied().unwrap();
        assert_eq!(info.listener, "test");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty());
        answer(200, format!("{} {}", info.id.0, info.peer))
    });
    let two = "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = server.exchange(two).await;
    let seen: Vec<_> = answers.lines().filter(|line| line.contains(" 127.0.0.1:")).collect();
    assert_eq!(seen.len(), 2, "{answers}");
    let id = |line: &str| line.split(' ').next().unwrap().to_owned();
    assert!(seen[0].starts_with(&id(seen[1])), "{answers}");
}
