//! The client against raw sockets that do exactly what the test says.

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod credentials;

const SECOND: Duration = Duration::from_secs(1);

struct Peer {
    listener: TcpListener,
}

impl Peer {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn request(&self, path: &str) -> Request<Full<Bytes>> {
        let uri = format!("http://{}{path}", self.listener.local_addr().unwrap());
        Request::post(uri).body(Full::new(Bytes::from_static(b"body"))).unwrap()
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Whether nobody has connected since the last accept.
    async fn is_alone(&self) -> bool {
        tokio::select! {
            biased;
            _ = self.listener.accept() => false,
            () = tokio::task::yield_now() => true,
        }
    }
}

/// Reads one request, which ends in `body`.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"body") {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "the client closed early");
    }
    String::from_utf8(text).unwrap()
}

async fn answer(stream: &mut TcpStream, text: &str) -> String {
    let request = read_request(stream).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    request
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn client() -> HttpClient {
    HttpClient::new(&HttpClientConfig::default(), ClientLimits::default(), Arc::default()).unwrap()
}

/// A client with one kept-alive connection to `peer`, and the peer's end of it.
async fn kept_alive(peer: &Peer) -> (HttpClient, TcpStream) {
    let client = client();
    let (answered, stream) = tokio::join!(client.request(peer.request("/first"), SECOND), async {
        let mut stream = peer.accept().await;
        answer(&mut stream, NO_CONTENT).await;
        stream
    });
    assert_eq!(answered.unwrap().status(), 204);
    (client, stream)
}

#[tokio::test]
async fn f7_a_kept_alive_connection_closed_before_any_answer_is_tried_once_more() {
    let peer = Peer::new().await;
    let (client, mut kept) = kept_alive(&peer).await;
    let (answered, (first, second)) = tokio::join!(client.request(peer.request("/second"), SECOND), async {
        let first = read_request(&mut kept).await;
        drop(kept);
        let mut fresh = peer.accept().await;
        (first, answer(&mut fresh, NO_CONTENT).await)
    });
    assert_eq!(answered.unwrap().status(), 204);
    assert_eq!(first, second);
    assert_eq!(client.shared.metrics.repeated.get(), 1);
}

#[tokio::test]
async fn f7_a_kept_alive_connection_reset_before_any_answer_is_tried_once_more() {
    let peer = Peer::new().await;
    let (client, mut kept) = kept_alive(&peer).await;
    let (answered, ()) = tokio::join!(client.request(peer.request("/second"), SECOND), async {
        read_request(&mut kept).await;
        socket2::SockRef::from(&kept).set_linger(Some(Duration::ZERO)).unwrap();
        drop(kept);
        answer(&mut peer.accept().await, NO_CONTENT).await;
    });
    assert_eq!(answered.unwrap().status(), 204);
    assert_eq!(client.shared.metrics.repeated.get(), 1);
}

#[tokio::test]
async fn f7_the_repeated_request_is_not_repeated_again() {
    let peer = Peer::new().await;
    let (client, mut kept) = kept_alive(&peer).await;
    let (answered, ()) = tokio::join!(client.request(peer.request("/second"), SECOND), async {
        read_request(&mut kept).await;
        drop(kept);
        read_request(&mut peer.accept().await).await;
    });
    assert!(matches!(answered.unwrap_err(), ClientError::Cut { .. }));
    assert!(peer.is_alone().await);
}

#[tokio::test]
async fn f7_a_fresh_connection_closed_before_any_answer_is_not_tried_again() {
    let peer = Peer::new().await;
    let client = client();
    let (answered, ()) = tokio::join!(client.request(peer.request("/"), SECOND), async {
        read_request(&mut peer.accept().await).await;
    });
    assert!(matches!(answered.unwrap_err(), ClientError::Cut { .. }));
    assert!(peer.is_alone().await);
    assert_eq!(client.shared.metrics.repeated.get(), 0);
}

#[tokio::test]
async fn f7_a_kept_alive_connection_closed_within_an_answer_is_not_tried_again() {
    for begun in ["H", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let peer = Peer::new().await;
        let (client, mut kept) = kept_alive(&peer).await;
        let (answered, ()) = tokio::join!(client.request(peer.request("/second"), SECOND), async {
            answer(&mut kept, begun).await;
            drop(kept);
        });
        assert!(matches!(answered.unwrap_err(), ClientError::Cut { .. }), "{begun:?}");
        assert!(peer.is_alone().await);
    }
}

#[tokio::test]
async fn f7_an_answer_that_is_no_http_is_cut_and_not_tried_again() {
    let peer = Peer::new().await;
    let (client, mut kept) = kept_alive(&peer).await;
    let (answered, _) =
        tokio::join!(client.request(peer.request("/"), SECOND), answer(&mut kept, "SSH-2.0-OpenSSH\r\n\r\n"));
    assert!(matches!(answered.unwrap_err(), ClientError::Cut { .. }));
    assert!(peer.is_alone().await);
}

#[tokio::test]
async fn h7_a_connection_closed_while_idle_is_replaced() {
    let peer = Peer::new().await;
    let (client, kept) = kept_alive(&peer).await;
    drop(kept);
    let (answered, request) = tokio::join!(client.request(peer.request("/second"), SECOND), async {
        answer(&mut peer.accept().await, NO_CONTENT).await
    });
    assert_eq!(answered.unwrap().status(), 204);
    assert!(request.starts_with("POST /second HTTP/1.1\r\n"));
}

#[tokio::test]
async fn h7_requests_one_after_the_other_share_a_connection() {
    let peer = Peer::new().await;
    let (client, mut kept) = kept_alive(&peer).await;
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    ] {
        let read = async {
            let answered = client.request(peer.request("/more"), SECOND).await.unwrap();
            answered.into_body().collect().await.unwrap().to_bytes()
        };
        let (body, _) = tokio::join!(read, answer(&mut kept, text));
        assert_eq!(body, "abc");
    }
    assert_eq!(client.shared.metrics.connects.get(), 1);
}

#[tokio::test]
async fn an_answer_that_is_dropped_half_read_takes_its_connection_along() {
    let peer = Peer::new().await;
    let (client, mut kept) = kept_alive(&peer).await;
    let (answered, _) = tokio::join!(
        client.request(peer.request("/"), SECOND),
        answer(&mut kept, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
    );
    drop(answered.unwrap());
    assert_eq!(kept.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn f8_a_body_cut_short_is_an_error_of_the_body() {
    let peer = Peer::new().await;
    let (client, mut kept) = kept_alive(&peer).await;
    let (answered, ()) = tokio::join!(client.request(peer.request("/"), SECOND), async {
        answer(&mut kept, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
        drop(kept);
    });
    let error = answered.unwrap().into_body().collect().await.unwrap_err();
    assert!(matches!(error, ClientError::Cut { .. }));
}

#[tokio::test(start_paused = true)]
async fn b9_a_peer_that_never_answers_is_late() {
    let peer = Peer::new().await;
    let client = client();
    let error = client.request(peer.request("/"), 7 * SECOND).await.unwrap_err();
    assert!(matches!(error, ClientError::Late { timeout, .. } if timeout == 7 * SECOND), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let peer = Peer::new().await;
    let request = peer.request("/");
    drop(peer);
    let error = client().request(request, SECOND).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn b15_a_url_with_credentials_or_without_a_host_is_not_sent() {
    for uri in ["http://user:secret@localhost/", "ftp://localhost/", "/path"] {
        let request = Request::get(uri).body(Full::default()).unwrap();
        let error = client().request(request, SECOND).await.unwrap_err();
        assert!(matches!(error, ClientError::Invalid { .. }), "{uri}");
        assert!(!format!("{error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn the_request_line_is_in_origin_form_and_the_host_that_of_the_url() {
    let peer = Peer::new().await;
    let client = client();
    let mut request = peer.request("/api/v1/push?a=b");
    request.headers_mut().insert(HOST, HeaderValue::from_static("sidelong:10990"));
    let (_, sent) = tokio::join!(client.request(request, SECOND), async {
        answer(&mut peer.accept().await, NO_CONTENT).await
    });
    assert!(sent.starts_with("POST /api/v1/push?a=b HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains(&format!("host: {}\r\n", peer.listener.local_addr().unwrap())), "{sent}");
    assert!(!sent.contains("10990"));
}

#[tokio::test]
async fn b6_an_answer_with_a_huge_head_is_cut() {
    let peer = Peer::new().await;
    let client = client();
    let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(40 << 10));
    let (answered, _) = tokio::join!(client.request(peer.request("/"), SECOND), async {
        answer(&mut peer.accept().await, &huge).await
    });
    assert!(matches!(answered.unwrap_err(), ClientError::Cut { .. }));
}
