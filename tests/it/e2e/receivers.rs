//! What receivers make of a request as a whole: its tenant, its credentials, its first series.

use super::scores_of;
use crate::harness::http;
use crate::harness::remote_write::{HEADERS_V1, Point, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use std::time::{SystemTime, UNIX_EPOCH};

/// Samples until the detector speaks, and a jump it cannot miss.
const CALM: i64 = 60;

fn start_time() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    now - 1_000 * (CALM + 60)
}

fn config(downstream: &Scripted) -> String {
    config_with(downstream, "")
}

/// With `more` options of the downstream.
fn config_with(downstream: &Scripted, more: &str) -> String {
    format!(
        "downstream: {{url: '{}'{more}}}\nrules: [{{match: '{{__name__!=\"\"}}'}}]\n",
        downstream.url("/api/v1/write")
    )
}

fn scores(requests: &[Recorded]) -> Vec<&Recorded> {
    requests.iter().filter(|r| holds_scores(r)).collect()
}

/// Scores travel in requests of their own: no request holds both.
fn holds_scores(request: &Recorded) -> bool {
    let points = request.points();
    let injected = points.iter().filter(|p| p.is_injected()).count();
    assert!(injected == 0 || injected == points.len(), "a request of samples and scores");
    injected > 0
}

/// Sends `value(n)` as sample n of `level` for n below `count`, one a request, in `headers`' tenant.
async fn send(sidelong: &Sidelong, tenant: &str, labels: &[(&str, &str)], at: i64, value: f64) {
    let headers: Vec<_> = HEADERS_V1.iter().copied().chain([("x-scope-orgid", tenant)]).collect();
    let body = body_v1(vec![series(labels, &[(at, value)])]);
    let answer = http::post(&sidelong.url("/api/v1/write"), &headers, body).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// A value of no interest, yet not without noise.
fn calm(n: i64) -> f64 {
    10.0 + ((n * 7919) % 13) as f64 / 13.0
}

#[tokio::test]
async fn two_tenants_of_equal_labels_are_two_series() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = Sidelong::start(&scratch, &config(&downstream)).await;
    let labels = [("__name__", "level"), ("job", "it")];
    let start = start_time();
    for n in 0..CALM {
        for tenant in ["ant", "bee"] {
            send(&sidelong, tenant, &labels, start + n * 1_000, calm(n)).await;
        }
    }
    let jump = start + CALM * 1_000;
    send(&sidelong, "ant", &labels, jump, 1e6).await;
    send(&sidelong, "bee", &labels, jump, calm(CALM)).await;
    let of = |tenant: &str, requests: &[Recorded]| -> Vec<Point> {
        let own = |r: &&&Recorded| r.header("x-scope-orgid") == tenant;
        scores(requests).iter().filter(own).flat_map(|r| r.points()).collect()
    };
    let both = async || {
        let requests = downstream.requests();
        let (ant, bee) =
            (scores_of(&of("ant", &requests), "level"), scores_of(&of("bee", &requests), "level"));
        (ant.contains_key(&jump) && bee.contains_key(&jump)).then_some((ant, bee))
    };
    let (ant, bee) = crate::harness::eventually("both tenants' last score", both).await;
    assert!(ant[&jump] > 1.0 && bee[&jump] < 1.0, "ant {}, bee {}", ant[&jump], bee[&jump]);
    assert_eq!(ant.len(), bee.len());
    for request in scores(&downstream.requests()) {
        assert!(matches!(request.header("x-scope-orgid"), "ant" | "bee"));
    }
}

/// Mimir's and Thanos' HA tracker elects one replica and judges a request by its first series.
#[tokio::test]
async fn a_score_request_holds_one_replica_of_a_pair() {
    let scratch = Scratch::new();
    let downstream = Scripted::start(|r| match replica_of_first(r) {
        "r1" => Reply::status(204),
        // Not the elected one: taken and thrown away.
        _ => Reply::status(202),
    })
    .await;
    let sidelong = Sidelong::start(&scratch, &config(&downstream)).await;
    let start = start_time();
    for n in 0..CALM {
        for replica in ["r1", "r2"] {
            let labels = [
                ("__name__", "level"),
                ("__replica__", replica),
                ("cluster", "c"),
                ("job", "it"),
                ("namespace", "n"),
            ];
            let headers = HEADERS_V1;
            let body = body_v1(vec![series(&labels, &[(start + n * 1_000, calm(n))])]);
            let answer = http::post(&sidelong.url("/api/v1/write"), headers, body).await.unwrap();
            assert_eq!(answer.status, if replica == "r1" { 204 } else { 202 });
        }
    }
    let last = start + (CALM - 1) * 1_000;
    downstream
        .received(1, "the elected replica's last score", |r| {
            holds_scores(r) && scores_of(&r.points(), "level").contains_key(&last)
        })
        .await;
    for request in scores(&downstream.requests()) {
        // Whichever series is the first, it says whose all are: counts by workload too.
        let mut replicas: Vec<_> = request
            .points()
            .iter()
            .map(|p| (p.labels.get("__replica__").cloned(), p.labels.get("cluster").cloned()))
            .collect();
        replicas.dedup();
        assert!(replicas.len() == 1 && replicas[0].0.is_some(), "{replicas:?} in one request");
        assert_eq!(replicas[0].1.as_deref(), Some("c"));
    }
    let counts = |requests: &[Recorded]| -> Vec<(String, i64)> {
        let points = scores(requests).into_iter().flat_map(Recorded::points).collect::<Vec<_>>();
        let counts = points.into_iter().filter(|p| p.labels["__name__"] == "scored_series");
        counts.map(|p| (p.labels["__replica__"].clone(), f64::from_bits(p.bits) as i64)).collect()
    };
    let counts = counts(&downstream.requests());
    assert!(counts.contains(&("r1".to_owned(), 1)), "{counts:?}");
    assert!(counts.iter().all(|(_, series)| *series == 1), "each counts its own: {counts:?}");
}

/// Pushes a sample of `name` under `authorization`.
async fn push_as(sidelong: &Sidelong, authorization: &str, name: &str, at: i64) -> u16 {
    let shown = [("authorization", authorization)].into_iter().filter(|(_, value)| !value.is_empty());
    let headers: Vec<_> = HEADERS_V1.iter().copied().chain(shown).collect();
    let body = body_v1(vec![series(&[("__name__", name), ("job", "it")], &[(at, 1.0)])]);
    http::post(&sidelong.url("/api/v1/write"), &headers, body).await.unwrap().status
}

/// What a request shows of its sender, and of which metrics it holds the scores.
fn shown_and_scored(request: &Recorded) -> (Vec<&str>, Vec<String>) {
    let is_shown = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("authorization");
    let shown = request.headers.iter().filter(is_shown).map(|(_, value)| &**value).collect();
    let mut scored: Vec<_> = request.points().iter().filter_map(|p| p.labels.get("for").cloned()).collect();
    scored.sort();
    scored.dedup();
    (shown, scored)
}

/// Waits for the score of `name` at `at`.
async fn scored(downstream: &Scripted, name: &str, at: i64) {
    let what = format!("the score of {name}");
    let holds = |r: &Recorded| holds_scores(r) && scores_of(&r.points(), name).contains_key(&at);
    downstream.received(1, &what, holds).await;
}

/// As where a receiver tells users apart by what they show and not by a tenant header.
#[tokio::test]
async fn a_score_request_shows_the_credentials_of_its_samples_and_of_no_others() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = Sidelong::start(&scratch, &config(&downstream)).await;
    let senders = [("Bearer of-ant", "ant_level"), ("Basic b2YtYmVl", "bee_level"), ("", "nobodys_level")];
    let start = start_time();
    for n in 0..CALM {
        for (authorization, name) in senders {
            assert_eq!(push_as(&sidelong, authorization, name, start + n * 1_000).await, 204);
        }
    }
    for (authorization, name) in senders {
        scored(&downstream, name, start + (CALM - 1) * 1_000).await;
        let requests = downstream.requests();
        let own = requests.iter().filter(|r| r.header("authorization") == authorization);
        assert!(own.clone().any(holds_scores), "{name} has requests of its own");
        for request in own.filter(|r| holds_scores(r)) {
            let (shown, scored) = shown_and_scored(request);
            assert_eq!(shown.len(), usize::from(!authorization.is_empty()));
            assert_eq!(scored, [name], "under {authorization:?}");
        }
    }
}

#[tokio::test]
async fn an_authorization_that_our_own_listener_asked_for_is_not_passed_on() {
    let scratch = Scratch::new();
    let hash = bcrypt::hash("of-the-door", 4).unwrap();
    let web = scratch.write("web.yml", &format!("basic_auth_users: {{door: '{hash}'}}\n"));
    let at_the_door = "Basic ZG9vcjpvZi10aGUtZG9vcg=="; // door:of-the-door
    for (more, want) in [("", vec![]), (", authorization: {credentials: ours}", vec!["Bearer ours"])] {
        let downstream = Scripted::downstream().await;
        let sidelong = Sidelong::start_with_web(&scratch, &config_with(&downstream, more), &web).await;
        let at = start_time();
        for refused in ["", "Bearer ours", "Basic ZG9vcjp3cm9uZw=="] {
            assert_eq!(push_as(&sidelong, refused, "level", at).await, 401, "{refused:?}");
        }
        assert!(downstream.requests().is_empty());
        assert_eq!(push_as(&sidelong, at_the_door, "level", at).await, 204);
        scored(&downstream, "level", at).await;
        for request in downstream.requests() {
            assert_eq!(shown_and_scored(&request).0, want, "{:?}", request.headers);
        }
    }
}

#[tokio::test]
async fn configured_credentials_win_over_the_senders_in_samples_and_in_scores() {
    let scratch = Scratch::new();
    for (more, want) in [
        (", authorization: {credentials: ours}", "Bearer ours"),
        (", basic_auth: {username: our, password: own}", "Basic b3VyOm93bg=="),
    ] {
        let downstream = Scripted::downstream().await;
        let sidelong = Sidelong::start(&scratch, &config_with(&downstream, more)).await;
        let at = start_time();
        for (authorization, name) in [("Bearer of-ant", "ant_level"), ("Bearer of-bee", "bee_level")] {
            assert_eq!(push_as(&sidelong, authorization, name, at).await, 204);
            scored(&downstream, name, at).await;
        }
        for request in downstream.requests() {
            assert_eq!(shown_and_scored(&request).0, [want], "{:?}", request.headers);
        }
    }
}

fn replica_of_first(request: &Recorded) -> &'static str {
    match request.points().first().and_then(|p| p.labels.get("__replica__")).map(String::as_str) {
        Some("r1") => "r1",
        _ => "r2",
    }
}
