//! `tls_server_config` of the web configuration file, and the TLS that is made of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{NamedGroup, ServerConfig, SupportedCipherSuite};
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::config::WebConfigError;
use super::sans::AllowedSans;
use crate::net::tls::{PemFile, TlsError, TlsVersion, provider, read_pair};

/// TLS of the listeners. Relative paths start at the web configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
    /// Names of which a client's certificate must carry one, as a DNS name, an address, an e-mail address or a URI.
    /// Default: any name.
    pub client_allowed_sans: Vec<String>,
    /// The oldest version of TLS: `TLS12` or `TLS13`. Default: `TLS12`.
    pub min_version: TlsVersion,
    /// The newest version of TLS: `TLS12` or `TLS13`. Default: `TLS13`.
    pub max_version: Option<TlsVersion>,
    /// Suites of TLS 1.2, by their IANA names, in the order of preference; those of 1.3 are always there.
    /// Default: all that are known.
    pub cipher_suites: Vec<String>,
    /// Whether the order of `cipher_suites` decides rather than the client's. Default: true.
    pub prefer_server_cipher_suites: bool,
    /// Groups of the key exchange: `X25519`, `CurveP256`, `CurveP384`. The client's order decides among them.
    /// Default: all three.
    pub curve_preferences: Vec<String>,
}

/// What is asked of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ClientAuthType {
    /// No certificate.
    #[default]
    NoClientCert,
    /// A certificate that nobody verifies: refused, for it protects nothing.
    RequestClientCert,
    /// A certificate, always, that nobody verifies: refused, for it protects nothing.
    RequireAnyClientCert,
    /// A certificate that is verified if there is one.
    VerifyClientCertIfGiven,
    /// A certificate, always.
    RequireAndVerifyClientCert,
}

/// Whether clients are asked for a certificate, and whether they must have one.
enum Asked {
    Nothing,
    IfGiven,
    Always,
}

/// The names of groups in the file.
const CURVES: [(&str, NamedGroup); 3] = [
    ("X25519", NamedGroup::X25519),
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
];

// === impl TlsServerConfig ===

impl Default for TlsServerConfig {
    fn default() -> Self {
        Self {
            cert_file: None,
            key_file: None,
            client_auth_type: ClientAuthType::default(),
            client_ca_file: None,
            client_allowed_sans: Vec::new(),
            min_version: TlsVersion::Tls12,
            max_version: None,
            cipher_suites: Vec::new(),
            prefer_server_cipher_suites: true,
            curve_preferences: Vec::new(),
        }
    }
}

impl TlsServerConfig {
    /// With paths that start at the web configuration `file`.
    pub(super) fn at(&self, file: &Path) -> Self {
        let directory = file.parent().unwrap_or(Path::new(""));
        let join = |path: &Option<PathBuf>| path.as_ref().map(|path| directory.join(path));
        Self {
            cert_file: join(&self.cert_file),
            key_file: join(&self.key_file),
            client_ca_file: join(&self.client_ca_file),
            ..self.clone()
        }
    }

    /// The files whose content decides.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.cert_file, &self.key_file, &self.client_ca_file].into_iter().flatten().map(PathBuf::as_path)
    }

    /// The configuration, and when its certificate expires.
    pub(super) fn build(&self) -> Result<(ServerConfig, Option<i64>), WebConfigError> {
        let pair = read_pair(self.cert_file.as_deref(), self.key_file.as_deref())?;
        let (cert, key) = pair.ok_or(WebConfigError::NoCertificate)?;
        let newest = self.max_version.unwrap_or(TlsVersion::Tls13);
        let versions = self.min_version.up_to(newest).ok_or(WebConfigError::Versions)?;
        let builder = ServerConfig::builder_with_provider(self.provider()?.into())
            .with_protocol_versions(versions)
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
        config.ignore_client_order = self.prefer_server_cipher_suites;
        Ok((config, not_after))
    }

    /// The process's cryptography, less what the file leaves out.
    fn provider(&self) -> Result<CryptoProvider, WebConfigError> {
        let all = provider();
        let mut chosen = CryptoProvider::clone(&all);
        if !self.cipher_suites.is_empty() {
            chosen.cipher_suites.retain(|suite| is_tls13(*suite));
            for name in &self.cipher_suites {
                let suite = suite_of(&all, name).ok_or_else(|| unknown_suite(&all, name))?;
                if !chosen.cipher_suites.contains(&suite) {
                    chosen.cipher_suites.push(suite);
                }
            }
        }
        if !self.curve_preferences.is_empty() {
            let curves = self.curve_preferences.iter().map(|name| curve_of(&all, name));
            chosen.kx_groups = curves.collect::<Result<_, _>>()?;
        }
        Ok(chosen)
    }

    fn client_verifier(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, WebConfigError> {
        let asked = self.client_auth_type.asked()?;
        if !self.client_allowed_sans.is_empty() && !matches!(asked, Asked::Always) {
            return Err(WebConfigError::UnusedSans);
        }
        if let Asked::Nothing = asked {
            return if self.client_ca_file.is_some() {
                Err(WebConfigError::UnusedClientCa)
            } else {
                Ok(None)
            };
        }
        let name = self.client_auth_type.name();
        let ca = PemFile::read(self.client_ca_file.as_deref().ok_or(TlsError::NoClientCa(name))?)?;
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots()?), provider());
        if let Asked::IfGiven = asked {
            builder = builder.allow_unauthenticated();
        }
        let verifier =
            builder.build().map_err(|source| TlsError::ClientCa { path: ca.path().to_owned(), source })?;
        Ok(Some(AllowedSans::guard(verifier, &self.client_allowed_sans)))
    }
}

fn not_after(leaf: &[u8]) -> Option<i64> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    Some(leaf.validity().not_after.timestamp())
}

// --- names of suites and groups ---

fn is_tls13(suite: SupportedCipherSuite) -> bool {
    matches!(suite, SupportedCipherSuite::Tls13(_))
}

/// The IANA name, which the file has too. What is of TLS 1.3 has a prefix of its own in rustls.
fn name_of(suite: SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

fn suite_of(all: &CryptoProvider, name: &str) -> Option<SupportedCipherSuite> {
    all.cipher_suites.iter().copied().find(|suite| name_of(*suite) == name)
}

fn unknown_suite(all: &CryptoProvider, name: &str) -> WebConfigError {
    let known: Vec<_> = all.cipher_suites.iter().map(|suite| name_of(*suite)).collect();
    WebConfigError::CipherSuite { name: name.to_owned(), known: known.join(", ") }
}

fn curve_of(all: &CryptoProvider, name: &str) -> Result<&'static dyn SupportedKxGroup, WebConfigError> {
    let group = CURVES.iter().find(|(known, _)| *known == name).map(|(_, group)| *group);
    let known = all.kx_groups.iter().copied().find(|known| Some(known.name()) == group);
    known.ok_or_else(|| WebConfigError::Curve { name: name.to_owned() })
}

// === impl ClientAuthType ===

impl ClientAuthType {
    fn name(self) -> &'static str {
        match self {
            Self::NoClientCert => "NoClientCert",
            Self::RequestClientCert => "RequestClientCert",
            Self::RequireAnyClientCert => "RequireAnyClientCert",
            Self::VerifyClientCertIfGiven => "VerifyClientCertIfGiven",
            Self::RequireAndVerifyClientCert => "RequireAndVerifyClientCert",
        }
    }

    fn asked(self) -> Result<Asked, WebConfigError> {
        let instead = match self {
            Self::NoClientCert => return Ok(Asked::Nothing),
            Self::VerifyClientCertIfGiven => return Ok(Asked::IfGiven),
            Self::RequireAndVerifyClientCert => return Ok(Asked::Always),
            Self::RequestClientCert => Self::VerifyClientCertIfGiven,
            Self::RequireAnyClientCert => Self::RequireAndVerifyClientCert,
        };
        Err(WebConfigError::Unverified { kind: self.name(), instead: instead.name() })
    }
}
