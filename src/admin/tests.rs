//! The admin service as a client sees it.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("line 3: unknown option")]
struct Wrong;

struct Fixture {
    router: Router,
    health: Health,
    registry: Arc<Registry>,
    valid: Arc<AtomicBool>,
    reload: Reload,
    shutdown: CancellationToken,
}

fn fixture(lifecycle: bool) -> Fixture {
    let mut registry = Registry::default();
    metrics::register(&mut registry);
    let (reload, reloads) = reload_channel(&mut registry);
    let valid = Arc::new(AtomicBool::new(true));
    let shutdown = CancellationToken::new();
    let file = Arc::clone(&valid);
    let apply = async move || if file.load(Ordering::Relaxed) { Ok(()) } else { Err(Wrong) };
    tokio::spawn(reloads.serve(apply, shutdown.clone()));
    let status = Status {
        config: Arc::new(|| "downstream: {}\n".to_owned()),
        targets: Arc::new(|| json!([{ "name": "node" }])),
        model: Arc::new(|| json!({ "version": 1 })),
        budget: Arc::new(|| json!({ "shed": 0 })),
        explain: Arc::new(|series, limit| match series {
            "up" => Ok(json!([{ "limit": limit }])),
            _ => Err("series: no selector".to_owned()),
        }),
        highest: Arc::new(|limit| json!([{ "limit": limit }])),
    };
    let (health, registry) = (Health::default(), Arc::new(registry));
    let admin = Admin {
        registry: Arc::clone(&registry),
        health: health.clone(),
        status,
        announcing: Arc::new(Nobody),
        serving: Router::new(),
        reload: reload.clone(),
        lifecycle,
    };
    Fixture { router: admin.router(), health, registry, valid, reload, shutdown }
}

/// Takes nothing: `app::announcer` has tests of what does.
struct Nobody;

impl Announcing for Nobody {
    fn admit(&self, _: Option<&str>) -> Result<(), Denied> {
        Err(Denied::Nobody)
    }

    fn list(&self) -> Value {
        json!([])
    }

    fn announce(
        &self,
        _: crate::context::Announcement,
    ) -> Result<(bool, crate::context::Announcement), Refused> {
        Err(Refused::Full(0))
    }

    fn withdraw(&self, _: &str) -> Result<bool, Refused> {
        Ok(false)
    }
}

impl Fixture {
    async fn ask(&self, method: Method, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(axum::body::Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(Method::GET, path).await
    }

    async fn json(&self, path: &str) -> Value {
        let (status, text) = self.get(path).await;
        assert_eq!(status, 200, "{path}");
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test]
async fn b26_liveness_is_not_readiness() {
    let fixture = fixture(false);
    let check = |readiness, ready| {
        let fixture = &fixture;
        async move {
            fixture.health.set(readiness);
            assert_eq!(fixture.get("/-/ready").await.0, ready, "{readiness:?}");
            assert_eq!(fixture.get("/-/healthy").await.0, 200, "{readiness:?}");
            let status = |path| fixture.health.answer(path).unwrap().status().as_u16();
            assert_eq!((status("/-/ready"), status("/-/healthy")), (ready, 200), "{readiness:?}");
        }
    };
    check(Readiness::Starting, 503).await;
    check(Readiness::Ready, 200).await;
    check(Readiness::Draining, 503).await;
    // A signal may come before the start is over.
    fixture.health.set(Readiness::Ready);
    assert_eq!(fixture.health.readiness(), Readiness::Draining);
    assert!(fixture.health.answer("/-/reload").is_none());
}

#[tokio::test]
async fn reload_needs_the_lifecycle_option_and_a_method_that_changes_things() {
    let off = fixture(false);
    let (status, text) = off.ask(Method::POST, "/-/reload").await;
    assert_eq!(status, 403);
    assert!(text.contains("--web.enable-lifecycle"), "{text}");
    let on = fixture(true);
    assert_eq!(on.get("/-/reload").await.0, 405);
    assert_eq!(on.ask(Method::POST, "/-/reload").await.0, 200);
    assert_eq!(on.ask(Method::PUT, "/-/reload").await.0, 200);
    assert_eq!(on.ask(Method::POST, "/-/quit").await.0, 404);
}

#[tokio::test]
async fn a_reload_that_fails_says_why_and_shows_in_the_metrics() {
    let fixture = fixture(true);
    fixture.valid.store(false, Ordering::Relaxed);
    let (status, text) = fixture.ask(Method::POST, "/-/reload").await;
    assert_eq!(status, 500);
    assert!(text.contains("line 3: unknown option"), "{text}");
    let (_, page) = fixture.get("/metrics").await;
    assert!(page.contains("sidelong_config_last_reload_successful 0\n"), "{page}");
    assert!(page.contains("sidelong_config_reloads_total{status=\"success\"} 1\n"), "{page}");
    assert!(page.contains("sidelong_config_reloads_total{status=\"failure\"} 1\n"), "{page}");
    fixture.valid.store(true, Ordering::Relaxed);
    assert_eq!(fixture.ask(Method::POST, "/-/reload").await.0, 200);
    assert!(fixture.get("/metrics").await.1.contains("sidelong_config_last_reload_successful 1\n"));
}

#[tokio::test]
async fn a_reload_while_the_process_ends_is_refused() {
    let fixture = fixture(true);
    fixture.shutdown.cancel();
    tokio::task::yield_now().await;
    assert!(matches!(fixture.reload.reload().await, Err(ReloadError::Ending)));
    assert_eq!(fixture.ask(Method::POST, "/-/reload").await.0, 500);
}

#[tokio::test]
async fn the_status_comes_in_prometheus_own_envelope() {
    let fixture = fixture(false);
    let check = |path: &'static str, want: Value| {
        let fixture = &fixture;
        async move {
            let got = fixture.json(path).await;
            assert_eq!(got, json!({ "status": "success", "data": want }), "{path}");
        }
    };
    check("/api/v1/status/config", json!({ "yaml": "downstream: {}\n" })).await;
    check("/api/v1/status/targets", json!([{ "name": "node" }])).await;
    check("/api/v1/status/model", json!({ "version": 1 })).await;
    check("/api/v1/status/budget", json!({ "shed": 0 })).await;
    let build = fixture.json("/api/v1/status/buildinfo").await;
    assert_eq!(build["data"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(fixture.get("/api/v1/status/flags").await.0, 404);
}

#[tokio::test]
async fn an_explanation_is_asked_for_by_a_selector() {
    let fixture = fixture(false);
    let told = fixture.json("/api/v1/explain?series=up").await;
    assert_eq!(told, json!({ "status": "success", "data": [{ "limit": 10 }] }));
    assert_eq!(fixture.json("/api/v1/explain?series=up&limit=99999").await["data"][0]["limit"], 1_000);
    assert_eq!(fixture.json("/api/v1/highest").await["data"][0]["limit"], 10);
    assert_eq!(fixture.json("/api/v1/highest?limit=99999").await["data"][0]["limit"], 100);
    for (path, word) in [("?series=%7B", "no selector"), ("", "series is missing")] {
        let (status, text) = fixture.get(&format!("/api/v1/explain{path}")).await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &error["errorType"]), (400, &json!("bad_data")));
        assert!(error["error"].as_str().unwrap().contains(word), "{text}");
    }
}

#[tokio::test]
async fn b21_asking_for_what_does_not_exist_makes_no_series() {
    let fixture = fixture(true);
    let before = count_series(&fixture.get("/metrics").await.1);
    for number in 0..200 {
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        fixture.ask(method, &format!("/{number}?a={number}")).await;
    }
    assert_eq!(count_series(&fixture.get("/metrics").await.1), before);
    assert!(before < 500);
    assert!(Arc::strong_count(&fixture.registry) >= 2);
}

#[tokio::test]
async fn the_router_is_a_door() {
    fn is_door<S: crate::net::server::Door<axum::body::Body>>(_: &S) {}
    is_door(&fixture(false).router);
}
