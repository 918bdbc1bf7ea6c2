//! What a client shows of itself, against a peer that writes it down.

use std::path::Path;

use crate::config::secret::{Secret, SecretFile};
use crate::net::testing::{A_WHILE, Files};

use super::*;

/// A client by `config` whose metrics can be read.
fn client_by(config: HttpClientConfig) -> HttpClient {
    HttpClient::new(&config, ClientLimits::default(), Arc::default()).unwrap()
}

/// Sends one request on a fresh connection and gives back what the peer read.
async fn sent_by(client: &HttpClient, peer: &Peer) -> String {
    let mut request = peer.request("/");
    request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer of-the-sender"));
    let (answered, sent) = tokio::join!(client.request(request, 9 * SECOND), async {
        answer(&mut peer.accept().await, "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await
    });
    answered.unwrap();
    sent
}

fn token_file(path: &Path) -> HttpClientConfig {
    HttpClientConfig { bearer_token_file: Some(SecretFile::new(path)), ..Default::default() }
}

#[tokio::test]
async fn configured_credentials_win_over_the_senders() {
    let peer = Peer::new().await;
    let check = |yaml: &'static str, want: &'static str| {
        let peer = &peer;
        async move {
            let sent = sent_by(&client_by(serde_saphyr::from_str(yaml).unwrap()), peer).await;
            assert!(sent.contains(&format!("\r\nauthorization: {want}\r\n")), "{yaml}\n{sent}");
            assert_eq!(sent.matches("authorization: ").count(), 1);
        }
    };
    check("{}", "Bearer of-the-sender").await;
    check("basic_auth: {username: user, password: pass}", "Basic dXNlcjpwYXNz").await;
    check("authorization: {credentials: token}", "Bearer token").await;
    check("authorization: {type: Custom, credentials: token}", "Custom token").await;
    check("bearer_token: token", "Bearer token").await;
}

#[tokio::test(start_paused = true)]
async fn b18_a_rotated_token_is_sent_and_a_broken_file_keeps_the_old_one() {
    let (peer, files) = (Peer::new().await, Files::new());
    let client = client_by(token_file(&files.write("token", "first\n")));
    assert!(sent_by(&client, &peer).await.contains("Bearer first\r\n"));
    files.write("token", "second");
    tokio::time::sleep(A_WHILE).await;
    assert!(sent_by(&client, &peer).await.contains("Bearer second\r\n"));
    for broken in ["", "two\nlines"] {
        files.write("token", broken);
        tokio::time::sleep(A_WHILE).await;
        assert!(sent_by(&client, &peer).await.contains("Bearer second\r\n"));
    }
    assert_eq!(client.shared.metrics.file_errors.get(), 2);
}

#[tokio::test]
async fn a_token_that_was_never_there_is_an_authentication_error() {
    let (peer, files) = (Peer::new().await, Files::new());
    let client = client_by(token_file(&files.path("absent")));
    let error = client.request(peer.request("/"), SECOND).await.unwrap_err();
    assert!(matches!(error, ClientError::Auth { .. }), "{error}");
    assert!(crate::net::chain(&error).contains("absent"), "{error}");
    assert!(peer.is_alone().await);
}

/// A client that fetches its tokens from `endpoint`.
fn oauth2(endpoint: &Peer) -> HttpClient {
    let token_url = format!("http://{}/token", endpoint.listener.local_addr().unwrap());
    let oauth2 = OAuth2Config {
        client_secret: Secret::new("can/ary"),
        scopes: vec!["write".into(), "read".into()],
        endpoint_params: [("audience".to_owned(), Secret::new("prom"))].into(),
        ..OAuth2Config::at("side:long", token_url.parse().unwrap())
    };
    client_by(HttpClientConfig { oauth2: Some(oauth2), ..HttpClientConfig::default() })
}

/// Serves one token request: `status`, and the JSON `text`.
async fn token(endpoint: &Peer, status: &str, text: &str) -> String {
    let mut stream = endpoint.accept().await;
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n")
        || !String::from_utf8_lossy(&request).contains("prom")
    {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the client closed early");
    }
    let length = text.len();
    let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}");
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_oauth2_token_is_fetched_once_used_and_renewed_before_it_expires() {
    let (peer, endpoint) = (Peer::new().await, Peer::new().await);
    let client = oauth2(&endpoint);
    let first = r#"{"access_token":"first","token_type":"bearer","expires_in":60}"#;
    let (sent, asked) = tokio::join!(sent_by(&client, &peer), token(&endpoint, "200 OK", first));
    assert!(sent.contains("\r\nauthorization: Bearer first\r\n"), "{sent}");
    assert!(asked.contains("authorization: Basic c2lkZSUzQWxvbmc6Y2FuJTJGYXJ5\r\n"), "{asked}");
    assert!(asked.ends_with("grant_type=client_credentials&scope=write+read&audience=prom"), "{asked}");
    assert!(sent_by(&client, &peer).await.contains("Bearer first\r\n"));
    tokio::time::sleep(Duration::from_secs(51)).await;
    let second = r#"{"access_token":"second","expires_in":"3600"}"#;
    let (sent, _) = tokio::join!(sent_by(&client, &peer), token(&endpoint, "200 OK", second));
    assert!(sent.contains("Bearer second\r\n"), "{sent}");
    assert!(endpoint.is_alone().await);
}

#[tokio::test(start_paused = true)]
async fn an_oauth2_token_is_used_to_its_end_if_the_endpoint_fails() {
    let (peer, endpoint) = (Peer::new().await, Peer::new().await);
    let client = oauth2(&endpoint);
    let first = r#"{"access_token":"first","expires_in":60}"#;
    tokio::join!(sent_by(&client, &peer), token(&endpoint, "200 OK", first));
    tokio::time::sleep(Duration::from_secs(55)).await;
    let (sent, _) = tokio::join!(sent_by(&client, &peer), token(&endpoint, "503 Unavailable", "{}"));
    assert!(sent.contains("Bearer first\r\n"), "{sent}");
    tokio::time::sleep(Duration::from_secs(55)).await;
    let (failed, _) = tokio::join!(
        client.request(peer.request("/"), SECOND),
        token(&endpoint, "503 Unavailable", r#"{"error":"canary"}"#)
    );
    let error = failed.unwrap_err();
    assert!(matches!(error, ClientError::Auth { .. }));
    let shown = format!("{error:?} {} {client:?}", crate::net::chain(&error));
    assert!(shown.contains("503") && !shown.contains("can/ary") && !shown.contains("canary"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_oauth2_endpoint_that_wants_the_secret_in_the_body_gets_it_there() {
    let (peer, endpoint) = (Peer::new().await, Peer::new().await);
    let client = oauth2(&endpoint);
    let (sent, asked) = tokio::join!(sent_by(&client, &peer), async {
        token(&endpoint, "401 Unauthorized", "{}").await;
        token(&endpoint, "200 OK", r#"{"access_token":"first"}"#).await
    });
    assert!(sent.contains("Bearer first\r\n"), "{sent}");
    assert!(!asked.contains("authorization:"), "{asked}");
    assert!(asked.ends_with("&client_id=side%3Along&client_secret=can%2Fary"), "{asked}");
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn a_sigv4_client_signs_what_it_sends() {
    let peer = Peer::new().await;
    let sigv4 = SigV4Config {
        region: "eu-west-1".into(),
        access_key: "AKIDEXAMPLE".into(),
        secret_key: Secret::new("canary"),
        ..SigV4Config::default()
    };
    let client = client_by(HttpClientConfig { sigv4: Some(sigv4), ..HttpClientConfig::default() });
    let sent = sent_by(&client, &peer).await;
    assert!(sent.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{sent}");
    assert!(
        sent.contains("/eu-west-1/aps/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, ")
    );
    assert!(!sent.contains("of-the-sender") && !format!("{client:?}").contains("canary"));
}
