//! What a gateway hands back: the downstream's word, all of it, and nothing of its own.

use super::*;
use crate::harness::eventually;
use crate::harness::remote_write::named;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Gate, Reply};

const STATUSES: [u16; 19] =
    [200, 202, 204, 301, 400, 401, 404, 408, 409, 413, 415, 429, 499, 500, 501, 502, 503, 504, 529];

/// The most that is read of an answer's body here.
const CAP: usize = 4 << 10;

/// Headers that are of the hop, or named as such.
const OF_THE_HOP: [&str; 6] =
    ["keep-alive", "proxy-authenticate", "trailer", "upgrade", "x-of-the-hop", "proxy-connection"];

fn says(status: u16) -> Reply {
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("retry-after", "7"),
        ("location", "http://elsewhere.example/"),
        ("x-of-the-downstream", "kept"),
        ("x-prometheus-remote-write-samples-written", "0"),
        ("connection", "keep-alive, x-of-the-hop"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-connection", "keep-alive"),
        ("trailer", "x-sum"),
        ("upgrade", "h2c"),
        ("x-of-the-hop", "not kept"),
    ];
    let reply = Reply::page("x-first", "why\n".repeat(CAP)).coded(status);
    headers.into_iter().fold(reply, |reply, (name, value)| reply.with(name, value))
}

#[tokio::test]
async fn t4_each_status_of_the_downstream_passes_with_its_headers_and_a_bounded_body() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, ", max_response_size: 4KiB");
    let sidelong = Sidelong::start(&scratch, &config.replace(RULES, "")).await;
    for status in STATUSES {
        downstream.set(move |_| says(status));
        for version in Version::BOTH {
            downstream.forget();
            let body = version.body(vec![one("level")]);
            let answer = push(&sidelong, version, body.clone()).await;
            assert_eq!(answer.status, status, "{version:?}");
            let wanted = if status == 204 { 0 } else { CAP };
            assert_eq!(answer.body.len(), wanted, "{status}: what is read of a body is bounded");
            assert!(answer.body.iter().eq("why\n".repeat(CAP).as_bytes()[..wanted].iter()), "{status}");
            for (name, value) in [("retry-after", "7"), ("location", "http://elsewhere.example/")] {
                assert_eq!(answer.header(name), value, "{status}");
            }
            assert_eq!(answer.header("x-of-the-downstream"), "kept", "{status}");
            assert_eq!(answer.header(WRITTEN[0]), "0", "{status}");
            for name in OF_THE_HOP {
                assert_eq!(answer.header(name), "", "{status}: {name}");
            }
            let requests = downstream.requests();
            assert_eq!(requests.len(), 1, "{status}: the request is the sender's to repeat, or not");
            assert_eq!(requests[0].body, body, "{status}: byte for byte");
        }
    }
}

#[tokio::test]
async fn b8_what_the_downstream_says_it_has_written_is_handed_on_and_ours_is_not_counted() {
    let scratch = Scratch::new();
    let says = |counts: [&str; 3]| {
        let reply = Reply::status(204);
        WRITTEN.into_iter().zip(counts).fold(reply, |reply, (name, count)| reply.with(name, count))
    };
    let downstream = Scripted::start(move |request| match is_samples(request) {
        true => says(["7", "2", "1"]),
        false => says(["1000", "0", "0"]),
    })
    .await;
    let config = gateway(&downstream, "") + "scores: {batch_interval: 10ms}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    for n in 0..20 {
        let answer = push(&sidelong, Version::V2, body_v2(vec![one(&format!("level_{n}"))])).await;
        assert_eq!(WRITTEN.map(|name| answer.header(name).to_owned()), ["7", "2", "1"]);
    }
    downstream.received(1, "scores in between", is_scores).await;
    // A 1.0 receiver says nothing, and so nothing is said for it (T2).
    downstream.set(|_| Reply::status(204));
    for version in Version::BOTH {
        let answer = push(&sidelong, version, version.body(vec![one("level")])).await;
        assert_eq!(WRITTEN.map(|name| answer.header(name).to_owned()), ["", "", ""]);
    }
}

/// What a gateway refuses by itself has no answer of the downstream that could count.
#[tokio::test]
async fn r9_a_refusal_of_our_own_says_that_nothing_of_a_2_0_request_is_written() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    let url = sidelong.url("/api/v1/write");
    for (version, wanted) in [(Version::V1, ""), (Version::V2, "0")] {
        let zipped = but(version, "content-encoding", "gzip");
        let body = version.body(vec![one("level")]);
        let refused = http::post(&url, &zipped, body).await.unwrap();
        let corrupt = push(&sidelong, version, &b"\xff"[..]).await;
        assert_eq!((refused.status, corrupt.status), (415, 400));
        for answer in [refused, corrupt] {
            assert_eq!(WRITTEN.map(|name| answer.header(name).to_owned()), [wanted; 3], "{version:?}");
        }
    }
    assert!(!downstream.requests().iter().any(is_samples));
    downstream.set(|_| Reply::Cut);
    let answer = push(&sidelong, Version::V2, body_v2(vec![one("level")])).await;
    assert_eq!((answer.status, answer.header(WRITTEN[0])), (502, "0"));
}

#[tokio::test]
async fn requests_that_are_worked_on_are_counted_until_they_are_answered() {
    let scratch = Scratch::new();
    let held = Gate::closed();
    let reply = Reply::status(204).behind(&held);
    let downstream = Scripted::start(move |request| match is_samples(request) {
        true => reply.clone(),
        false => Reply::status(204),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    let in_flight = async |wanted: f64| {
        eventually(&format!("{wanted} in flight"), async || {
            (sidelong.metric("sidelong_requests_in_flight", "").await == wanted).then_some(())
        })
        .await;
    };
    in_flight(0.0).await;
    let pushes = async {
        tokio::join!(
            push(&sidelong, Version::V1, body_v1(vec![one("a")])),
            push(&sidelong, Version::V1, body_v1(vec![one("b")]))
        )
    };
    let watching = async {
        in_flight(2.0).await;
        held.open();
    };
    let ((a, b), ()) = tokio::join!(pushes, watching);
    assert_eq!((a.status, b.status), (204, 204));
    in_flight(0.0).await;
}

/// A 2.0 receiver may keep some of a request that it refuses (R12): what it kept has a score.
#[tokio::test]
async fn r12_what_was_written_of_a_refused_request_is_observed() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|request| match request.points() {
        points if !named(&points, "partial").is_empty() => {
            Reply::page("text/plain", "1 out of order").coded(400).with(WRITTEN[0], "1")
        }
        points if !named(&points, "refused").is_empty() => {
            Reply::page("text/plain", "out of order").coded(400).with(WRITTEN[0], "0")
        }
        _ => Reply::status(204).with(WRITTEN[0], "1"),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    for name in ["refused", "partial"] {
        let answer = push(&sidelong, Version::V2, body_v2(vec![one(name)])).await;
        assert_eq!(answer.status, 400, "{name}");
    }
    assert_eq!(push(&sidelong, Version::V2, body_v2(vec![one("level")])).await.status, 204);
    let judges = |request: &Recorded, name: &str| {
        request.points().iter().any(|point| point.labels.get("for").is_some_and(|of| of == name))
    };
    for name in ["partial", "level"] {
        downstream.received(1, name, |request| is_scores(request) && judges(request, name)).await;
    }
    assert!(!downstream.requests().iter().any(|request| is_scores(request) && judges(request, "refused")));
}

/// An HA tracker answers 202 to the replica that it does not hear: what it did not write has no score.
#[tokio::test]
async fn what_an_ha_tracker_passes_over_is_not_observed() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|request| match request.points() {
        points if !named(&points, "other").is_empty() => {
            let text = "replicas did not mach, rejecting sample: replica=b, elected=a\n";
            Reply::page("text/plain; charset=utf-8", text).coded(202)
        }
        points if !named(&points, "queued").is_empty() => Reply::status(202),
        _ => Reply::status(200),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    for (name, status) in [("other", 202), ("queued", 202), ("level", 200)] {
        assert_eq!(push(&sidelong, Version::V1, body_v1(vec![one(name)])).await.status, status, "{name}");
    }
    let judges = |request: &Recorded, name: &str| {
        request.points().iter().any(|point| point.labels.get("for").is_some_and(|of| of == name))
    };
    for name in ["queued", "level"] {
        downstream.received(1, name, |request| is_scores(request) && judges(request, name)).await;
    }
    assert!(!downstream.requests().iter().any(|request| is_scores(request) && judges(request, "other")));
}

/// B-20: whatever a downstream says to each score request, the log stays short, in lines and by the line.
#[tokio::test]
async fn b20_a_downstream_that_refuses_every_score_does_not_flood_the_log() {
    let scratch = Scratch::new();
    let text = format!("\x1b[31mno\nERROR forged {}", "x".repeat(20_000));
    let downstream = Scripted::start(move |request| match is_samples(request) {
        true => Reply::status(204),
        false => Reply::page("text/plain", text.clone()).coded(400),
    })
    .await;
    let config = gateway(&downstream, "") + "scores: {batch_interval: 10ms}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    for n in 1..=40_u32 {
        let body = body_v1(vec![one(&format!("level_{n}"))]);
        assert_eq!(push(&sidelong, Version::V1, body).await.status, 204);
        let refused = "reason=\"refused\"";
        sidelong.metric_reaches("sidelong_scores_dropped_total", refused, f64::from(n)).await;
    }
    let log = sidelong.process.log();
    let lines = log.lines().filter(|line| line.contains("refused scores for good")).count();
    assert!((1..=20).contains(&lines), "{lines} lines");
    assert!(log.lines().all(|line| line.len() < 1_000), "{log}");
    assert!(!log.contains('\x1b') && !log.lines().any(|line| line.starts_with("ERROR forged")), "{log}");
}

#[tokio::test]
async fn configured_headers_are_on_samples_and_scores_in_place_of_the_senders() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let more = ", headers: {X-Scope-OrgID: ours, X-Api-Key: key}";
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, more)).await;
    let headers = but(Version::V1, "x-scope-orgid", "theirs");
    let url = sidelong.url("/api/v1/write");
    assert_eq!(http::post(&url, &headers, body_v1(vec![one("level")])).await.unwrap().status, 204);
    downstream.received(1, "scores", is_scores).await;
    for request in downstream.requests() {
        let names = |name: &str| {
            let values = request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
            values.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!((names("x-scope-orgid"), names("x-api-key")), (vec!["ours".into()], vec!["key".into()]));
    }
}
