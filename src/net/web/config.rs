//! The web configuration file, and what becomes of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};
use xxhash_rust::xxh3::Xxh3;

use super::Current;
use super::auth::Passwords;
use crate::config::secret::Secret;
use crate::net::tls::{PemFile, TlsError, TlsVersion, provider, read_pair};

/// The file in the form of Prometheus' exporter-toolkit. An option that is not here is an error, for a
/// protection that is misspelt is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfigFile {
    /// TLS for the listeners. Default: plain HTTP.
    pub tls_server_config: Option<TlsServerConfig>,
    /// Options of HTTP itself.
    pub http_server_config: HttpServerConfig,
    /// Who may come in: user names with the bcrypt hashes of their passwords. Default: everybody.
    pub basic_auth_users: BTreeMap<String, Secret>,
}

/// TLS of the listeners. Relative paths start at the web configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsServerConfig {
    /// A PEM file with the certificate chain.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// What is asked of clients. Default: `NoClientCert`.
    pub client_auth_type: ClientAuthType,
    /// A PEM file with the certificate authorities of the clients' certificates. Default: none.
    pub client_ca_file: Option<PathBuf>,
    /// The oldest version of TLS: `TLS12` or `TLS13`. Default: `TLS12`.
    pub min_version: TlsVersion,
}

/// What is asked of clients. The kinds of exporter-toolkit that ask for a certificate and verify none are
/// not supported: they protect nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ClientAuthType {
    /// No certificate.
    #[default]
    NoClientCert,
    /// A certificate that is verified if there is one.
    VerifyClientCertIfGiven,
    /// A certificate, always.
    RequireAndVerifyClientCert,
}

/// Options of HTTP itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServerConfig {
    /// Security headers added to every answer: `Content-Security-Policy`, `X-Frame-Options`,
    /// `X-Content-Type-Options`, `X-XSS-Protection`, `Strict-Transport-Security`. Default: none.
    pub headers: BTreeMap<String, String>,
}

/// Why a web configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// The file itself cannot be read.
    #[error("cannot read the web configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not YAML, or has an option that does not exist. Its text is not shown: it holds hashes.
    #[error("the web configuration {path} is not valid: {reason}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A password hash is not bcrypt.
    #[error("the password of {user:?} in basic_auth_users is not a bcrypt hash of a cost up to 16")]
    Hash {
        /// Whose.
        user: String,
    },
    /// A header is not among those that may be set.
    #[error("the header {name:?} in http_server_config cannot be set to this value")]
    Header {
        /// Which.
        name: String,
    },
    /// TLS is asked for without a certificate.
    #[error("tls_server_config needs cert_file and key_file")]
    NoCertificate,
    /// Certificate authorities for clients, and no client is asked.
    #[error("client_ca_file without a client_auth_type that verifies certificates")]
    UnusedClientCa,
    /// The certificates cannot be used.
    #[error("tls_server_config cannot be used")]
    Tls(#[from] TlsError),
}

/// A file that can be used.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    current: Current,
    /// Of the contents of every file.
    pub(super) hash: u128,
    /// When the certificate expires, in seconds since the epoch.
    pub(super) not_after: Option<i64>,
}

/// Headers that exporter-toolkit lets a configuration set.
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
];

/// No web configuration is larger, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

// === impl Loaded ===

impl Loaded {
    pub(super) fn read(path: &Path) -> Result<Self, WebConfigError> {
        let file = WebConfigFile::read(path)?;
        let mut loaded = Self {
            current: Current {
                tls: None,
                passwords: Arc::new(Passwords::new(&file.basic_auth_users)?),
                headers: headers(&file.http_server_config.headers)?,
            },
            hash: Self::hash_of(path),
            not_after: None,
        };
        if let Some(tls) = &file.tls_server_config {
            let (config, not_after) = tls.at(path).build()?;
            loaded.current.tls = Some(Arc::new(config));
            loaded.not_after = not_after;
        }
        Ok(loaded)
    }

    /// A hash of the contents of every file; one that cannot be read counts as what it is, absent.
    pub(super) fn hash_of(path: &Path) -> u128 {
        let mut hash = Xxh3::new();
        let mut add = |path: &Path| match read_capped(path) {
            Ok(bytes) => {
                hash.update(&(bytes.len() as u64).to_le_bytes());
                hash.update(&bytes);
            }
            Err(_) => hash.update(b"absent"),
        };
        add(path);
        let tls = WebConfigFile::read(path).ok().and_then(|file| file.tls_server_config);
        if let Some(tls) = tls.map(|tls| tls.at(path)) {
            for file in [&tls.cert_file, &tls.key_file, &tls.client_ca_file].into_iter().flatten() {
                add(file);
            }
        }
        hash.digest128()
    }

    pub(super) fn into_current(self) -> Current {
        self.current
    }
}

// === impl WebConfigFile ===

impl WebConfigFile {
    /// Reads the file alone, not what it names.
    ///
    /// # Errors
    ///
    /// [`WebConfigError::Read`] and [`WebConfigError::Yaml`].
    pub fn read(path: &Path) -> Result<Self, WebConfigError> {
        let bytes =
            read_capped(path).map_err(|source| WebConfigError::Read { path: path.to_owned(), source })?;
        let yaml = |reason: String| WebConfigError::Yaml { path: path.to_owned(), reason };
        let text = String::from_utf8(bytes).map_err(|_| yaml("it is not UTF-8".to_owned()))?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        // The first line alone: what follows may quote the file, hashes included.
        serde_saphyr::from_str(&text)
            .map_err(|error| yaml(error.to_string().lines().next().unwrap_or_default().to_owned()))
    }
}

fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn headers(configured: &BTreeMap<String, String>) -> Result<HeaderMap, WebConfigError> {
    let mut headers = HeaderMap::new();
    for (name, value) in configured {
        let wrong = || WebConfigError::Header { name: name.clone() };
        let known = HEADERS.contains(&name.to_ascii_lowercase().as_str());
        let header = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| known).ok_or_else(wrong)?;
        headers.insert(header, HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}

// === impl TlsServerConfig ===

impl TlsServerConfig {
    /// With paths that start at the web configuration `file`.
    fn at(&self, file: &Path) -> Self {
        let directory = file.parent().unwrap_or(Path::new(""));
        let join = |path: &Option<PathBuf>| path.as_ref().map(|path| directory.join(path));
        Self {
            cert_file: join(&self.cert_file),
            key_file: join(&self.key_file),
            client_ca_file: join(&self.client_ca_file),
            ..self.clone()
        }
    }

    /// The configuration, and when its certificate expires.
    fn build(&self) -> Result<(ServerConfig, Option<i64>), WebConfigError> {
        let pair = read_pair(self.cert_file.as_deref(), self.key_file.as_deref())?;
        let (cert, key) = pair.ok_or(WebConfigError::NoCertificate)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(self.min_version.and_newer())
            .map_err(TlsError::Config)?;
        let builder = match self.client_verifier()? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let chain = cert.certificates()?;
        let not_after = chain.first().and_then(|leaf| not_after(leaf));
        let mut config =
            builder.with_single_cert(chain, key.private_key()?).map_err(|source| cert.pair_error(source))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((config, not_after))
    }

    fn client_verifier(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, WebConfigError> {
        let name = match (self.client_auth_type, &self.client_ca_file) {
            (ClientAuthType::NoClientCert, None) => return Ok(None),
            (ClientAuthType::NoClientCert, Some(_)) => return Err(WebConfigError::UnusedClientCa),
            (ClientAuthType::VerifyClientCertIfGiven, _) => "VerifyClientCertIfGiven",
            (ClientAuthType::RequireAndVerifyClientCert, _) => "RequireAndVerifyClientCert",
        };
        let ca = PemFile::read(self.client_ca_file.as_deref().ok_or(TlsError::NoClientCa(name))?)?;
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots()?), provider());
        if self.client_auth_type == ClientAuthType::VerifyClientCertIfGiven {
            builder = builder.allow_unauthenticated();
        }
        let verifier =
            builder.build().map_err(|source| TlsError::ClientCa { path: ca.path().to_owned(), source })?;
        Ok(Some(verifier))
    }
}

fn not_after(leaf: &[u8]) -> Option<i64> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    Some(leaf.validity().not_after.timestamp())
}
