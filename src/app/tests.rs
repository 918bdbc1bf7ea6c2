use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::detect::{Broken, Detector};
use crate::model::Model;
use crate::wire::compression::{Buffer, SnappyEncoder};
use crate::wire::generated::prometheus::{Label, Sample, TimeSeries, WriteRequest};

const PAGE: &str = "# TYPE level gauge\nlevel{a=\"b\"} 1\nother 2\n";

/// A downstream and a target in one: it keeps the bodies that it is sent, and has a page.
async fn other_side() -> (SocketAddr, Arc<Mutex<Vec<Bytes>>>) {
    let bodies = Arc::<Mutex<Vec<Bytes>>>::default();
    let kept = Arc::clone(&bodies);
    let keep = async move |body: Bytes| {
        kept.lock().push(body);
        http::StatusCode::NO_CONTENT
    };
    let page = async || ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], PAGE);
    let router = axum::Router::new()
        .route("/write", axum::routing::post(keep))
        .route("/metrics", axum::routing::get(page));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, bodies)
}

/// A write request of two series, one sample each.
fn body(timestamp: i64) -> Vec<u8> {
    let series = |name: &str| TimeSeries {
        labels: vec![Label { name: "__name__".to_owned(), value: name.to_owned() }],
        samples: vec![Sample { value: 1.0, timestamp }],
        ..Default::default()
    };
    let request = WriteRequest { timeseries: vec![series("level"), series("other")], ..Default::default() };
    let mut body = Buffer::new();
    SnappyEncoder::new().compress(&request.encode_to_vec(), &mut body).unwrap();
    body.to_vec()
}

/// The status and the body of an answer.
async fn ask(address: SocketAddr, head: &str, body: &[u8]) -> (String, String) {
    let head = format!("{head} HTTP/1.1\r\nHost: sidelong\r\nConnection: close\r\n");
    let kind = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
    let length =
        format!("X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[head.as_bytes(), kind.as_bytes(), length.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
}

/// The whole house with a detector that breaks: both doors pass what they always pass, and say what was not scored.
#[tokio::test]
async fn a_detector_that_panics_costs_scores_and_nothing_else_at_both_doors() {
    let (other, bodies) = other_side().await;
    let yaml = format!(
        "downstream: {{url: 'http://{other}/write'}}\nrules: [{{match: '{{__name__!=\"\"}}'}}]\n\
         scrape: {{targets: [{{name: t, url: 'http://{other}/metrics'}}]}}\n"
    );
    let config = Config::from_yaml(&yaml, &|_| None).unwrap();
    let (stop, mut registry) = (CancellationToken::new(), Registry::default());
    let house = House::build(&config, &stop, &mut registry).unwrap();
    house.model.swap(Model { detector: Detector::Broken(Broken::Panics), ..Model::builtin() });
    let doors = house.put_in_force(&config, house.prepare(&config).unwrap());
    let door = DataDoor::new(doors, Arc::clone(&house.pipeline), Health::default());
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new("data", config.server.connections.clone(), Arc::default());
    let serving = tokio::spawn(server.serve(listener, door, stop.clone()));

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let sent: Vec<_> = (0..3).map(|n| body(now + n)).collect();
    for body in &sent {
        assert_eq!(ask(address, "POST /api/v1/write", body).await.0, "204");
    }
    let (status, page) = ask(address, "GET /scrape/t", b"").await;
    assert!(status == "200" && page.contains(PAGE), "{status}: {page}");
    assert!(!page.contains("anomaly_score{"), "{page}");

    stop.cancel();
    serving.await.unwrap();
    house.drained().await;
    assert_eq!(*bodies.lock(), sent, "what came in went out, and no score");
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
    // Two series of each of three requests and one page.
    assert!(metrics.contains("sidelong_unscored_total{reason=\"panic\"} 8\n"), "{metrics}");
}
