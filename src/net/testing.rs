//! Certificates, files and servers for the tests of this room.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::client::{ClientError, ClientLimits, HttpClient, HttpClientConfig, TlsConfig};
use super::server::{Server, ServerConfig, bind};
use super::web::{AuthConsumed, WebGate};

/// Longer than files are trusted not to change.
pub(crate) const A_WHILE: Duration = Duration::from_secs(11);

/// A certificate authority of the test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name` and its key.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A directory of files.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(crate) fn write_pair(&self, (cert, key): &(String, String)) {
        self.write("cert.pem", cert);
        self.write("key.pem", key);
    }

    /// Puts files below a directory that a symlink points to, and swaps the symlink as the kubelet does.
    pub(crate) fn swap(&self, version: &str, files: &[(&str, &str)]) {
        std::fs::create_dir(self.path(version)).unwrap();
        for (name, text) in files {
            std::fs::write(self.path(version).join(name), text).unwrap();
            if std::fs::symlink_metadata(self.path(name)).is_err() {
                std::os::unix::fs::symlink(Path::new("..data").join(name), self.path(name)).unwrap();
            }
        }
        std::os::unix::fs::symlink(version, self.path("..new")).unwrap();
        std::fs::rename(self.path("..new"), self.path("..data")).unwrap();
    }
}

/// Serves behind `web` until the end of the test. The door tells what it sees of the credentials.
pub(crate) fn serve(web: Arc<WebGate>) -> SocketAddr {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let door = service_fn(|request: Request<Incoming>| async move {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
        let text = format!(
            "authorization={} proxy={} consumed={}",
            header("authorization"),
            header("proxy-authorization"),
            request.extensions().get::<AuthConsumed>().is_some(),
        );
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let server = Server::new("test", ServerConfig::default(), Arc::default()).with_web(Arc::clone(&web));
    tokio::spawn(server.serve(listener, door, CancellationToken::new()));
    tokio::spawn(async move { web.watch(CancellationToken::new()).await });
    address
}

pub(crate) fn client(config: &HttpClientConfig) -> HttpClient {
    HttpClient::new(config, ClientLimits::default(), Arc::default()).unwrap()
}

/// A client that trusts `ca_file`.
pub(crate) fn trusting(ca_file: PathBuf) -> HttpClient {
    let tls_config = TlsConfig { ca_file: Some(ca_file), ..TlsConfig::default() };
    client(&HttpClientConfig { tls_config, ..HttpClientConfig::default() })
}

/// Asks for `https://localhost/` at `address`; gives the status and the text.
pub(crate) async fn get_tls(client: &HttpClient, address: SocketAddr) -> Result<(u16, String), ClientError> {
    let uri = format!("https://localhost:{}/", address.port());
    send(client, address, Request::get(uri)).await
}

/// Sends a request without a body.
pub(crate) async fn send(
    client: &HttpClient,
    address: SocketAddr,
    request: http::request::Builder,
) -> Result<(u16, String), ClientError> {
    let request = request.body(Full::default()).unwrap();
    let answer = client.request_to(address, request, Duration::from_secs(60)).await?;
    let status = answer.status().as_u16();
    let body = super::body::read_bounded(answer.into_body(), 1 << 16).await?;
    Ok((status, String::from_utf8(body.bytes.to_vec()).unwrap()))
}
