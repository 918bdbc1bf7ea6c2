//! F-36: certificates that expire, are half written, or change under an open connection.

use super::RULES;
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::Sidelong;
use crate::harness::{eventually, http};
use rustls::pki_types::{CertificateDer, ServerName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate and its key, both in folder `at`, as a Kubernetes secret would be mounted.
struct Pair {
    der: CertificateDer<'static>,
    folder: PathBuf,
}

impl Pair {
    fn new(folder: PathBuf) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        Self { der: made.cert.der().clone(), folder }
    }
}

/// Points the link that the configuration names at another folder, at once.
fn link(scratch: &Scratch, folder: &Path) {
    let (new, link) = (scratch.path().join("new"), scratch.path().join("current"));
    std::os::unix::fs::symlink(folder, &new).unwrap();
    std::fs::rename(new, link).unwrap();
}

struct Client(TlsConnector);

impl Client {
    fn trusting(pairs: &[&Pair]) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for pair in pairs {
            roots.add(pair.der.clone()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(TlsConnector::from(Arc::new(config)))
    }

    async fn connect(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        self.0.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// Whose certificate a new connection is shown.
    async fn shown(&self, address: &str) -> Option<CertificateDer<'static>> {
        let stream = self.connect(address).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
    }
}

async fn healthy(stream: &mut TlsStream<TcpStream>) -> bool {
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    answer[..length].starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn f36_a_certificate_is_changed_under_open_connections_and_a_bad_one_is_not_taken() {
    let scratch = Scratch::new();
    let (first, second) = (Pair::new(scratch.folder("first")), Pair::new(scratch.folder("second")));
    link(&scratch, &first.folder);
    let current = scratch.path().join("current");
    let web = scratch.write(
        "web.yml",
        &format!("tls_server_config: {{cert_file: {0}/tls.crt, key_file: {0}/tls.key}}\n", current.display()),
    );
    let sidelong = Sidelong::start_with_web(&scratch, RULES, &web).await;
    let client = Client::trusting(&[&first, &second]);
    let shown = async || client.shown(&sidelong.address).await;
    assert_eq!(shown().await.as_ref(), Some(&first.der));
    let mut open = client.connect(&sidelong.address).await.unwrap();
    assert!(healthy(&mut open).await);

    link(&scratch, &second.folder);
    eventually("the second certificate is shown", async || {
        (shown().await.as_ref() == Some(&second.der)).then_some(())
    })
    .await;
    assert!(healthy(&mut open).await, "the open connection goes on");

    let half = scratch.folder("half");
    let whole = std::fs::read(first.folder.join("tls.crt")).unwrap();
    std::fs::write(half.join("tls.crt"), &whole[..whole.len() / 2]).unwrap();
    std::fs::copy(first.folder.join("tls.key"), half.join("tls.key")).unwrap();
    link(&scratch, &half);
    eventually("the bad one is noticed, and the old one goes on", async || {
        let goes_on = shown().await.as_ref() == Some(&second.der);
        (goes_on && sidelong.process.log().contains("kept the old web configuration")).then_some(())
    })
    .await;
    assert!(healthy(&mut open).await);
    assert!(
        http::get(&format!("http://{}/-/healthy", sidelong.address)).await.is_err(),
        "plain text is not served"
    );
}

/// The status of `request` to `path` of a listener that speaks TLS, with this authorization.
async fn asked(client: &Client, address: &str, method: &str, path: &str, authorization: &str) -> u16 {
    let mut stream = client.connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{authorization}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).map(str::parse);
    status.unwrap().unwrap()
}

#[tokio::test]
async fn both_listeners_ask_for_tls_and_a_password() {
    let scratch = Scratch::new();
    let pair = Pair::new(scratch.folder("pair"));
    let hash = bcrypt::hash("of-the-door", 4).unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: {0}/tls.crt, key_file: {0}/tls.key}}\nbasic_auth_users: {{door: '{hash}'}}\n",
        pair.folder.display()
    );
    let sidelong = Sidelong::start_with_web(&scratch, RULES, &scratch.write("web.yml", &web)).await;
    let client = Client::trusting(&[&pair]);
    let right = "Authorization: Basic ZG9vcjpvZi10aGUtZG9vcg==\r\n"; // door:of-the-door
    let wrong = "Authorization: Basic ZG9vcjp3cm9uZw==\r\n"; // door:wrong
    let rows = [
        (&sidelong.address, "GET", "/-/ready"),
        (&sidelong.address, "GET", "/scores"),
        (&sidelong.admin, "GET", "/-/ready"),
        (&sidelong.admin, "GET", "/-/healthy"),
        (&sidelong.admin, "GET", "/metrics"),
        (&sidelong.admin, "GET", "/api/v1/status/config"),
        (&sidelong.admin, "POST", "/-/reload"),
    ];
    for (address, method, path) in rows {
        for (authorization, want) in [("", 401), (wrong, 401), (right, 200)] {
            let status = asked(&client, address, method, path, authorization).await;
            assert_eq!(status, want, "{method} {path} with {authorization:?}");
        }
        let plain = http::get(&format!("http://{address}{path}")).await;
        assert!(plain.is_err(), "plain text is not served: {plain:?}");
    }
}
