//! The endpoint as a client sees it, with the corridor behind it.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::super::house::House;
use super::super::status;
use super::*;
use crate::admin::{Admin, Health, reload_channel};
use crate::config::Config;

/// 2026-11-30T12:00:00Z
const NOW_MS: i64 = 1_796_040_000_000;

struct Fixture {
    router: axum::Router,
    house: Arc<House>,
}

fn now() -> i64 {
    NOW_MS
}

fn later() -> i64 {
    NOW_MS + 2 * KEPT_MS
}

fn fixture(yaml: &str, clock: fn() -> i64) -> Fixture {
    let config = Config::from_yaml(yaml, &|_| None).unwrap();
    let mut registry = Registry::default();
    let house = Arc::new(House::build(&config, &CancellationToken::new(), &mut registry).unwrap());
    let current = Arc::new(Current::new(config.clone()));
    let folder = config.state.folder.as_deref();
    let announcer = Announcer::new(Arc::clone(&house.pipeline), Arc::clone(&current), folder, clock);
    announcer.restore();
    let admin = Admin {
        serving: axum::Router::new(),
        status: status::of(&house, &current),
        announcing: Arc::new(announcer),
        reload: reload_channel(&mut registry).0,
        registry: Arc::new(registry),
        health: Health::default(),
        lifecycle: false,
    };
    Fixture { router: admin.router(), house }
}

impl Fixture {
    async fn ask(&self, method: Method, path: &str, token: &str, body: &str) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer =
            self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn announce(&self, announcement: &Value) -> (StatusCode, Value) {
        self.ask(Method::POST, "/api/v1/context", "t0ken", &announcement.to_string()).await
    }

    async fn listed(&self) -> Vec<Value> {
        let (status, listed) = self.ask(Method::GET, "/api/v1/context", "", "").await;
        assert_eq!(status, StatusCode::OK);
        listed["data"].as_array().unwrap().clone()
    }
}

const TOKEN: &str = "context: {announce: {token: t0ken, max_announced: 2, max_duration: 1d}}\n";

fn deploy() -> Value {
    json!({
        "name": "deploy", "match": "{job=\"shop\"}", "start": "2026-11-30T12:00:00Z", "end": "2026-11-30T13:00:00+00:00",
        "effect": "suppress",
    })
}

fn with(changed: &Value) -> Value {
    let mut all = deploy();
    for (name, value) in changed.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

#[tokio::test]
async fn a_context_is_announced_listed_and_withdrawn() {
    let fixture = fixture(TOKEN, now);
    let (status, announced) = fixture.announce(&deploy()).await;
    assert_eq!(status, StatusCode::CREATED, "{announced}");
    let announced = &announced["data"];
    let id = announced["id"].as_str().unwrap();
    assert_eq!(
        (&announced["match"], &announced["end"]),
        (&json!(["{job=\"shop\"}"]), &json!("2026-11-30T13:00:00Z"))
    );
    assert_eq!(fixture.listed().await, std::slice::from_ref(announced));
    let held =
        |at_ms| fixture.house.pipeline.board().held(&[("__name__", "x"), ("job", "shop")], at_ms).len();
    assert_eq!([NOW_MS - 1, NOW_MS, NOW_MS + 3_600_000].map(held), [0, 1, 0]);
    // Whoever has not heard the answer says it again.
    let (status, again) = fixture.announce(&deploy()).await;
    assert_eq!((status, &again["data"]["id"]), (StatusCode::OK, &announced["id"]));
    let path = format!("/api/v1/context/{id}");
    assert_eq!(fixture.ask(Method::DELETE, &path, "", "").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.ask(Method::DELETE, &path, "t0ken", "").await.0, StatusCode::OK);
    assert_eq!(fixture.ask(Method::DELETE, &path, "t0ken", "").await.0, StatusCode::NOT_FOUND);
    assert!(fixture.listed().await.is_empty() && held(NOW_MS) == 0);
}

#[tokio::test]
async fn only_who_shows_the_token_may_announce() {
    let without = fixture("", now);
    let (status, said) = without.announce(&deploy()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(said["error"].as_str().unwrap().contains("context.announce.token"), "{said}");
    let fixture = fixture(TOKEN, now);
    for token in ["", "t0ke", "t0ken2", "T0KEN"] {
        let (status, said) = fixture.ask(Method::POST, "/api/v1/context", token, &deploy().to_string()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{token}");
        assert!(!said.to_string().contains("t0ken"), "{said}");
    }
    // Before a byte of the body is read.
    let large = "x".repeat(1 << 20);
    assert_eq!(fixture.ask(Method::POST, "/api/v1/context", "", &large).await.0, StatusCode::UNAUTHORIZED);
    assert!(fixture.listed().await.is_empty());
    // Where Authorization is for the listener itself.
    let request = Request::post("/api/v1/context").header("X-Sidelong-Token", "t0ken");
    let answer =
        fixture.router.clone().oneshot(request.body(Body::from(deploy().to_string())).unwrap()).await;
    assert_eq!(answer.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn the_token_may_stand_in_a_file_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let fixture = fixture(&format!("context: {{announce: {{token_file: {}}}}}", file.display()), now);
    assert_eq!(fixture.announce(&deploy()).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    std::fs::write(&file, "other\n").unwrap();
    assert_eq!(fixture.announce(&deploy()).await.0, StatusCode::UNAUTHORIZED);
    std::fs::write(&file, "t0ken\n").unwrap();
    assert_eq!(fixture.announce(&deploy()).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn what_is_wrong_with_an_announcement_is_said() {
    let fixture = fixture(TOKEN, now);
    for (changed, words) in [
        (json!({ "match": "{__name__=~\".+\"}" }), "would take nearly every series"),
        (json!({ "match": [] }), "write 1 to 16 selectors"),
        (json!({ "match": "{" }), "cannot be read"),
        (json!({ "name": "" }), "name: write 1 to 100 bytes"),
        (json!({ "end": "2026-11-30T11:00:00Z" }), "the end must be later than the start"),
        (json!({ "end": "tomorrow" }), "\"tomorrow\" is no time"),
        (json!({ "end": "2026-12-02T13:00:00Z" }), "context.announce.max_duration, 1d"),
        (json!({ "start": "2026-11-30T10:00:00Z", "end": "2026-11-30T12:00:00Z" }), "over already"),
        (json!({ "effect": "hide" }), "unknown variant"),
        (json!({ "effects": "hide" }), "unknown field"),
        (json!({ "id": "mine" }), "Sidelong gives it"),
    ] {
        let (status, said) = fixture.announce(&with(&changed)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{changed}: {said}");
        assert!(said["error"].as_str().unwrap().contains(words), "{changed}: {said}");
    }
    let large = "x".repeat(100_000);
    assert_eq!(
        fixture.ask(Method::POST, "/api/v1/context", "t0ken", &large).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert!(fixture.listed().await.is_empty());
}

#[tokio::test]
async fn announcements_are_bounded() {
    let fixture = fixture(TOKEN, now);
    for name in ["a", "b"] {
        assert_eq!(fixture.announce(&with(&json!({ "name": name }))).await.0, StatusCode::CREATED);
    }
    let (status, said) = fixture.announce(&with(&json!({ "name": "c" }))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(said["error"].as_str().unwrap().contains("context.announce.max_announced"), "{said}");
}

#[tokio::test]
async fn what_was_announced_outlives_a_restart_until_it_is_over_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("{TOKEN}state: {{folder: {}}}", folder.path().display());
    let before = fixture(&yaml, now);
    before.announce(&deploy()).await;
    let said = before.listed().await;
    assert_eq!(said.len(), 1);
    let after = fixture(&yaml, now);
    assert_eq!(after.listed().await, said);
    let id = said[0]["id"].as_str().unwrap();
    assert_eq!(
        after.ask(Method::DELETE, &format!("/api/v1/context/{id}"), "t0ken", "").await.0,
        StatusCode::OK
    );
    assert!(fixture(&yaml, now).listed().await.is_empty(), "withdrawn for good");
    fixture(&yaml, now).announce(&deploy()).await;
    assert!(fixture(&yaml, later).listed().await.is_empty());
    std::fs::write(folder.path().join(FILE), "[").unwrap();
    assert!(fixture(&yaml, now).listed().await.is_empty(), "a file that is broken costs what it held");
}

#[tokio::test]
async fn what_cannot_be_written_is_not_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let fixture = fixture(&format!("{TOKEN}state: {{folder: {}}}", gone.display()), now);
    std::fs::remove_dir(&gone).unwrap();
    let (status, said) = fixture.announce(&deploy()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(said["error"].as_str().unwrap().contains("state.folder"), "{said}");
    assert!(fixture.listed().await.is_empty());
}
