//! The paths as a client sees them.

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::config::units::ByteSize;
use crate::detect::Detector;
use crate::model::ModelSlot;

struct Fixture {
    slot: ModelSlot,
    api: Api,
}

fn fixture(limits: Serving) -> Fixture {
    let slot = ModelSlot::new(Model::builtin());
    let api = Api::new(slot.handle(), limits, ServingMetrics::default());
    Fixture { slot, api }
}

/// Status, headers and JSON.
type Answer = (StatusCode, HeaderMap, Value);

async fn send(api: &Api, request: Request<Body>) -> Answer {
    let (head, body) = api.clone().router().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, serde_json::from_slice(&body).unwrap())
}

async fn ask(api: &Api, method: Method, path: &str) -> Answer {
    send(api, Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

async fn post(api: &Api, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json; charset=utf-8");
    send(api, request.body(body.into()).unwrap()).await
}

const FEATURES: &str = r#"{"cpu_zscore": 2.1, "memory_zscore": 1.5}"#;

#[tokio::test]
async fn scores_are_answered_with_the_model_that_serves() {
    let Fixture { slot, api } = fixture(Serving::default());
    let (status, headers, answer) = post(&api, "/predict", FEATURES).await;
    assert_eq!(
        (status, &headers[CONTENT_TYPE]),
        (StatusCode::OK, &HeaderValue::from_static("application/json"))
    );
    assert_eq!((&answer["model_version"], &answer["parts"][0]["name"]), (&json!("builtin-2"), &json!("cpu")));
    slot.swap(Model { version: "next".into(), ..Model::builtin() });
    for path in ["/version", "/ping"] {
        assert_eq!(ask(&api, Method::GET, path).await.2["model_version"], "next", "{path}");
    }
    assert_eq!(post(&api, "/predict", FEATURES).await.2["model_version"], "next");
    let (status, _, document) = ask(&api, Method::GET, "/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (StatusCode::OK, &json!("3.1.0")));
}

#[tokio::test]
async fn what_is_wrong_is_said_by_status_word_and_sentence() {
    let limits = Serving { max_body_size: ByteSize::from_bytes(2_000), ..Serving::default() };
    let Fixture { api, .. } = fixture(limits);
    let check = async |body: &str, status: u16, word: &str, text: &str| {
        let (got, _, answer) = post(&api, "/predict", body.to_owned()).await;
        assert_eq!((got.as_u16(), &answer["error"]), (status, &json!(word)), "{body} {answer}");
        assert!(answer["message"].as_str().unwrap().contains(text), "{answer}");
    };
    check("{", 400, "bad_json", "EOF while parsing").await;
    check(r#"{"cpu_zscore": NaN}"#, 400, "bad_json", "line 1").await;
    check(r#"{"cpu_zscore": 1e999}"#, 400, "bad_json", "number out of range").await;
    check("{}", 422, "bad_data", "there is no feature").await;
    check(r#"{"cpu_zscore": "hot"}"#, 422, "bad_data", "invalid type: string").await;
    check("[1]", 422, "bad_data", "invalid type").await;
    let features = |count: usize| {
        json!((0..count).map(|at| (at.to_string(), json!(1))).collect::<serde_json::Map<_, _>>())
    };
    check(&features(257).to_string(), 413, "too_many", "257 parts; 256 are allowed").await;
    check(&features(400).to_string(), 413, "too_large", "2000 bytes (max_body_size)").await;
    let (status, headers, answer) = ask(&api, Method::DELETE, "/predict").await;
    assert_eq!((status, &answer["error"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("method")));
    assert_eq!(headers[http::header::ALLOW], "POST");
    for request in [
        Request::post("/predict"),
        Request::post("/predict").header(CONTENT_TYPE, "text/plain"),
        Request::post("/predict").header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, "gzip"),
    ] {
        let (status, _, answer) = send(&api, request.body(Body::from(FEATURES)).unwrap()).await;
        assert_eq!((status, &answer["error"]), (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!("media_type")));
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_are_told_to_come_again() {
    let Fixture { api, .. } = fixture(Serving { max_requests_per_second: 2, ..Serving::default() });
    for want in [200, 200, 429] {
        let (status, headers, answer) = post(&api, "/predict", FEATURES).await;
        assert_eq!(status, want, "{answer}");
        assert_eq!(headers.contains_key(http::header::RETRY_AFTER), want == 429);
    }
    assert_eq!(ask(&api, Method::GET, "/ping").await.0, StatusCode::OK, "probes are not limited");
    tokio::time::advance(std::time::Duration::from_millis(500)).await;
    assert_eq!(post(&api, "/predict", FEATURES).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_request_without_a_seat_is_told_to_come_again() {
    let Fixture { api, .. } = fixture(Serving { max_requests_in_flight: 1, ..Serving::default() });
    let seat = Arc::clone(&api.shared.seats).try_acquire_owned().unwrap();
    let (status, headers, answer) = post(&api, "/predict", FEATURES).await;
    assert_eq!((status, &answer["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("busy")));
    assert_eq!(headers[http::header::RETRY_AFTER], "1");
    drop(seat);
    assert_eq!(post(&api, "/predict", FEATURES).await.0, StatusCode::OK, "its own seat is free again");
    assert_eq!(post(&api, "/predict", FEATURES).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_detector_that_breaks_breaks_one_answer() {
    let Fixture { slot, api } = fixture(Serving { max_requests_in_flight: 1, ..Serving::default() });
    let broken = Detector::Broken(crate::detect::Broken::Panics);
    let whole = slot.swap(Model { detector: broken, ..Model::builtin() });
    let (status, _, answer) = post(&api, "/predict", FEATURES).await;
    assert_eq!((status, &answer["error"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("internal")));
    drop(whole);
    slot.swap(Model::builtin());
    assert_eq!(post(&api, "/predict", FEATURES).await.0, StatusCode::OK);
}

#[tokio::test]
async fn where_another_model_is_awaited_the_built_in_one_does_not_serve() {
    let slot = ModelSlot::new(Model::builtin());
    let api = Api::awaiting_another_model(slot.handle(), Serving::default(), ServingMetrics::default());
    let (status, headers, answer) = ask(&api, Method::GET, "/ping").await;
    assert_eq!((status, &answer["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("no_model")));
    assert_eq!(headers[http::header::RETRY_AFTER], "1");
    assert_eq!(post(&api, "/predict", FEATURES).await.0, StatusCode::SERVICE_UNAVAILABLE);
    slot.swap(Model { source: Source::Store, ..Model::builtin() });
    assert_eq!(ask(&api, Method::GET, "/ping").await.0, StatusCode::OK);
    assert_eq!(post(&api, "/predict", FEATURES).await.0, StatusCode::OK);
}
