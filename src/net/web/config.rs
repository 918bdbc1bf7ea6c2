//! The web configuration file, and what becomes of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use xxhash_rust::xxh3::Xxh3;

use super::Current;
use super::auth::Passwords;
use super::rate::{RateLimit, RateLimitConfig};
use super::tls::TlsServerConfig;
use crate::config::secret::Secret;
use crate::net::tls::TlsError;

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
    /// How often requests may come. Default: as often as they like.
    pub rate_limit: RateLimitConfig,
}

/// Options of HTTP itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServerConfig {
    /// Taken for the sake of files that have it. The listeners speak HTTP/1.1, which every client of HTTP/2 speaks
    /// too (decision 0009). Default: true.
    pub http2: bool,
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
    /// A client certificate is asked for that nobody would verify.
    #[error("client_auth_type {kind} verifies no certificate and protects nothing; use {instead}")]
    Unverified {
        /// What is configured.
        kind: &'static str,
        /// What asks as much, and verifies.
        instead: &'static str,
    },
    /// Names of clients, and a client may come without any.
    #[error("client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")]
    UnusedSans,
    /// No version is left.
    #[error("min_version of tls_server_config is newer than its max_version")]
    Versions,
    /// A cipher suite that is not here.
    #[error("the cipher suite {name:?} is not known or not safe; leave it out, or use some of {known}")]
    CipherSuite {
        /// What is configured.
        name: String,
        /// What there is.
        known: String,
    },
    /// A group of the key exchange that is not here.
    #[error("the curve {name:?} is not known; leave it out, or use some of X25519, CurveP256, CurveP384")]
    Curve {
        /// What is configured.
        name: String,
    },
    /// A rate limit that lets nothing pass.
    #[error("rate_limit with an interval needs a burst of at least 1")]
    NoBurst,
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

// === impl HttpServerConfig ===

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self { http2: true, headers: BTreeMap::new() }
    }
}

// === impl Loaded ===

impl Loaded {
    pub(super) fn read(path: &Path) -> Result<Self, WebConfigError> {
        let file = WebConfigFile::read(path)?;
        let mut loaded = Self {
            current: Current {
                tls: None,
                passwords: Arc::new(Passwords::new(&file.basic_auth_users)?),
                headers: headers(&file.http_server_config.headers)?,
                rate_limit: RateLimit::new(file.rate_limit)?.map(Arc::new),
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
            tls.files().for_each(add);
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
    for (name, value) in configured.iter().filter(|(_, value)| !value.is_empty()) {
        let wrong = || WebConfigError::Header { name: name.clone() };
        let known = HEADERS.contains(&name.to_ascii_lowercase().as_str());
        let header = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| known).ok_or_else(wrong)?;
        headers.insert(header, HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}
