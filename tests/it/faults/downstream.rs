//! F-1 to F-5: a downstream that refuses, fails, or does not answer in good manner.

use super::{gateway, is_samples, is_scores, now, one, push};
use crate::harness::PATIENCE;
use crate::harness::remote_write::{body_v1, named, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Gate, Recorded, Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

fn holds(request: &Recorded, name: &str) -> bool {
    !named(&request.points(), name).is_empty()
}

#[tokio::test]
async fn f1_a_429_is_handed_to_the_sender_as_it_came() {
    let scratch = Scratch::new();
    let downstream =
        Scripted::start(|_| Reply::page("text/plain", "slow down").with("retry-after", "7").coded(429)).await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    let answer = push(&sidelong, one("level")).await;
    assert_eq!((answer.status, answer.header("retry-after"), &*answer.text()), (429, "7", "slow down"));
    assert_eq!(downstream.requests().len(), 1, "it is the sender's to try again");
}

/// A listener whose queue is full, and from which nobody takes: no further connection is answered.
struct Deaf {
    listener: socket2::Socket,
    _in_the_queue: TcpStream,
}

// === impl Deaf ===

impl Deaf {
    async fn new() -> Self {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap(); // the queue holds one
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        Self { listener, _in_the_queue: TcpStream::connect(address).await.unwrap() }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().as_socket().unwrap().port()
    }
}

#[tokio::test]
async fn b9_a_connect_that_is_never_answered_is_a_502_long_before_the_request_is_late() {
    let scratch = Scratch::new();
    let deaf = Deaf::new().await;
    let url = format!("http://127.0.0.1:{}/write", deaf.port());
    let config = format!("downstream: {{url: '{url}', timeout: 1h, connect_timeout: 1s}}\n");
    let sidelong = Sidelong::start(&scratch, &config).await;
    let answer = tokio::time::timeout(PATIENCE, push(&sidelong, one("level"))).await.unwrap();
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("cannot reach"), "{}", answer.text());
}

#[tokio::test]
async fn f1_scores_stop_at_the_first_429_and_samples_go_on() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|r| match is_scores(r) {
        true => Reply::status(429).with("retry-after", "600"),
        false => Reply::status(204),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    assert_eq!(push(&sidelong, one("first")).await.status, 204);
    downstream.received(1, "scores, refused", is_scores).await;
    // Enough that a queue which did not wait would have tried again.
    for n in 0..100 {
        assert_eq!(push(&sidelong, one(&format!("level_{n}"))).await.status, 204);
    }
    let requests = downstream.requests();
    assert_eq!(requests.iter().filter(|r| is_samples(r)).count(), 101);
    assert_eq!(requests.iter().filter(|r| is_scores(r)).count(), 1, "not before Retry-After is over");
}

#[tokio::test]
async fn f2_a_failing_downstream_is_seen_by_the_sender_and_leaves_nothing() {
    let scratch = Scratch::new();
    let failing = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&failing);
    let downstream = Scripted::start(move |_| match state.load(Ordering::Relaxed) {
        true => Reply::status(503),
        false => Reply::status(204),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    let body = one("level");
    for _ in 0..5 {
        assert_eq!(push(&sidelong, body.clone()).await.status, 503);
    }
    assert_eq!(downstream.requests().len(), 5, "no try of our own, and no score of a refused sample");
    failing.store(false, Ordering::Relaxed);
    assert_eq!(push(&sidelong, body.clone()).await.status, 204);
    let scored = |r: &Recorded| is_scores(r) && holds(r, "anomaly_score");
    let scores = downstream.received(1, "its score", scored).await;
    assert_eq!(named(&scores[0].points(), "anomaly_score").len(), 1);
    assert_eq!(downstream.requests()[5].body, body, "and the bytes are the sender's");
}

#[tokio::test]
async fn f2_a_downstream_that_is_not_there_is_a_502() {
    let scratch = Scratch::new();
    let config = format!("downstream: {{url: 'http://{}/'}}\n", crate::harness::sidelong::free_address());
    let sidelong = Sidelong::start(&scratch, &config).await;
    assert_eq!(push(&sidelong, one("level")).await.status, 502);
}

#[tokio::test]
async fn f3_one_poisoned_series_costs_its_own_request_alone() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|r| match holds(r, "poison") {
        true => Reply::page("text/plain", "out of bounds").coded(400),
        false => Reply::status(204),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    for _ in 0..3 {
        let refused = push(&sidelong, one("poison")).await;
        assert_eq!((refused.status, &*refused.text()), (400, "out of bounds"));
        assert_eq!(push(&sidelong, one("level")).await.status, 204);
    }
    let scores = downstream.received(1, "scores of the good series", is_scores).await;
    let of_poison =
        |r: &Recorded| r.points().iter().any(|p| p.labels.get("for").is_some_and(|f| f == "poison"));
    assert!(!scores.iter().any(of_poison));
}

#[tokio::test]
async fn f3_a_refused_score_request_is_given_up_and_the_rest_flows() {
    let scratch = Scratch::new();
    let spoiled =
        |r: &Recorded| r.points().iter().any(|p| p.labels.get("for").is_some_and(|f| f == "spoiled"));
    let downstream = Scripted::start(move |r| match is_scores(r) && spoiled(r) {
        true => Reply::status(400),
        false => Reply::status(204),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    assert_eq!(push(&sidelong, one("spoiled")).await.status, 204);
    downstream.received(1, "the spoiled scores", |r| is_scores(r) && spoiled(r)).await;
    assert_eq!(push(&sidelong, one("level")).await.status, 204);
    let level = |r: &Recorded| r.points().iter().any(|p| p.labels.get("for").is_some_and(|f| f == "level"));
    downstream.received(1, "scores after those", |r| is_scores(r) && level(r)).await;
    let tries = downstream.requests().iter().filter(|r| is_scores(r) && spoiled(r)).count();
    assert_eq!(tries, 1, "a 400 is final");
}

#[tokio::test]
async fn f4_a_downstream_that_never_answers_is_a_504() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|r| match holds(r, "slow") {
        true => Reply::Silence,
        false => Reply::status(204),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, ", timeout: 500ms")).await;
    let (slow, other) = tokio::join!(push(&sidelong, one("slow")), push(&sidelong, one("level")));
    assert_eq!((slow.status, other.status), (504, 204), "and others are not held up");
}

#[tokio::test]
async fn f4_an_answer_may_take_its_time_within_the_deadline() {
    let scratch = Scratch::new();
    let gate = Gate::closed();
    let held = gate.clone();
    let downstream = Scripted::start(move |_| Reply::status(204).behind(&held)).await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    let opening = async {
        downstream.received(1, "the request", |_| true).await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(push(&sidelong, one("level")), opening);
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn f5_an_endless_answer_is_cut_at_the_cap() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|_| Reply::endless(400)).await;
    let sidelong =
        Sidelong::start(&scratch, &gateway(&downstream, ", max_response_size: 4KiB, timeout: 5s")).await;
    let answer = push(&sidelong, one("level")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.len() <= 4 << 10, "{} bytes", answer.body.len());
}

#[tokio::test]
async fn f5_an_answer_of_two_bytes_a_second_meets_the_deadline() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|r| match holds(r, "slow") {
        true => Reply::drip(400, vec![b'x'; 1000], Duration::from_millis(500)),
        false => Reply::status(204),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, ", timeout: 1s")).await;
    // The status was there; whether its slow body is cut or the whole is a 504, the sender is not held.
    let (slow, other) = tokio::join!(push(&sidelong, one("slow")), push(&sidelong, one("level")));
    assert!(matches!(slow.status, 400 | 504), "{}", slow.status);
    assert_eq!(other.status, 204);
}

#[tokio::test]
async fn f7_a_kept_connection_that_closed_is_tried_once_more_and_only_then() {
    let scratch = Scratch::new();
    let cut = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&cut);
    // The second request on a connection meets its end.
    let downstream = Scripted::start(move |_| match state.swap(false, Ordering::Relaxed) {
        true => Reply::Cut,
        false => Reply::status(204),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    assert_eq!(push(&sidelong, one("first")).await.status, 204);
    cut.store(true, Ordering::Relaxed);
    assert_eq!(push(&sidelong, one("second")).await.status, 204);
    let tries: Vec<_> = downstream.requests().into_iter().filter(|r| holds(r, "second")).collect();
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[0].body, tries[1].body);
}

#[tokio::test]
async fn f7_a_new_connection_that_is_reset_is_a_502_at_once() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|_| Reply::Reset).await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    assert_eq!(push(&sidelong, one("level")).await.status, 502);
    assert_eq!(downstream.requests().len(), 1);
}

#[tokio::test]
async fn t13_a_senders_retry_is_one_observation() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    let labels = [("__name__", "level")];
    let at = now() - 100_000;
    let bodies: Vec<_> =
        (0..40).map(|n| body_v1(vec![series(&labels, &[(at + n * 1_000, n as f64)])])).collect();
    for body in &bodies {
        assert_eq!(push(&sidelong, body.clone()).await.status, 204);
        assert_eq!(push(&sidelong, body.clone()).await.status, 204, "the same again");
    }
    let last = at + 39_000;
    let has_last = |r: &Recorded| is_scores(r) && r.points().iter().any(|p| p.timestamp == last);
    downstream.received(1, "the last score", has_last).await;
    let mut by_time = std::collections::BTreeMap::new();
    let requests = downstream.requests();
    for point in requests.iter().filter(|r| is_scores(r)).flat_map(|r| named(&r.points(), "anomaly_score")) {
        let first = *by_time.entry(point.timestamp).or_insert(point.bits);
        assert_eq!(first, point.bits, "two scores of one sample");
    }
    assert_eq!(by_time.len(), 40);
}
