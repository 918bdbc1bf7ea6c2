//! Certificates and keys from files, for both directions.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rustls::RootCertStore;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLS13")]
    Tls13,
}

/// Why certificates or keys cannot be used. Never holds a byte of a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not PEM, or was read half-written.
    #[error("{path} is not a complete PEM file")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// A file is PEM but holds nothing of what it is named for.
    #[error("{path} holds no {what}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Only one of the certificate and its key is given.
    #[error("cert_file and key_file must be given together")]
    HalfPair,
    /// The certificate and the key do not belong together, or cannot be used.
    #[error("the certificate in {path} cannot be used with its key")]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// Something else in the configuration cannot be used.
    #[error("the TLS configuration cannot be used")]
    Config(#[source] rustls::Error),
    /// Client certificates are to be verified without anything to verify them by.
    #[error("client_auth_type {0} needs client_ca_file")]
    NoClientCa(&'static str),
    /// The client verifier cannot be built.
    #[error("the certificates in {path} cannot verify clients")]
    ClientCa {
        /// The file of certificate authorities.
        path: PathBuf,
        /// What rustls said.
        source: rustls::server::VerifierBuilderError,
    },
    /// The system has no certificate authorities.
    #[error("the system has no certificate authorities; set ca_file in tls_config")]
    NoSystemRoots,
}

/// A PEM file as it was read.
#[derive(Clone, Debug)]
pub(crate) struct PemFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

static TLS12_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS13_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Larger than any bundle of certificate authorities.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// The one provider of cryptography, so that no default has to be installed first.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// The provider of cryptography for every TLS configuration of this process.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

// === impl TlsVersion ===

impl TlsVersion {
    /// This version and all newer ones.
    pub(crate) fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => rustls::ALL_VERSIONS,
            Self::Tls13 => TLS13_ONLY,
        }
    }

    /// The versions from this one to `newest`; none where that is older.
    pub(crate) fn up_to(self, newest: Self) -> Option<&'static [&'static SupportedProtocolVersion]> {
        match (self, newest) {
            (Self::Tls12, Self::Tls12) => Some(TLS12_ONLY),
            (Self::Tls13, Self::Tls12) => None,
            (oldest, Self::Tls13) => Some(oldest.and_newer()),
        }
    }
}

// === impl PemFile ===

impl PemFile {
    pub(crate) fn read(path: &Path) -> Result<Self, TlsError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_PEM_BYTES).read_to_end(&mut bytes))
            .map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        match read {
            Ok(certificates) if certificates.is_empty() => Err(self.missing("certificate")),
            Ok(certificates) => Ok(certificates),
            Err(source) => Err(TlsError::Pem { path: self.path.clone(), source }),
        }
    }

    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|source| match source {
            pem::Error::NoItemsFound => self.missing("private key"),
            source => TlsError::Pem { path: self.path.clone(), source },
        })
    }

    pub(crate) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(TlsError::Config)?;
        }
        Ok(roots)
    }

    pub(crate) fn pair_error(&self, source: rustls::Error) -> TlsError {
        TlsError::Pair { path: self.path.clone(), source }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn missing(&self, what: &'static str) -> TlsError {
        TlsError::Missing { path: self.path.clone(), what }
    }
}

/// A certificate chain and its key as they were read together.
pub(crate) fn read_pair(
    cert_file: Option<&Path>,
    key_file: Option<&Path>,
) -> Result<Option<(PemFile, PemFile)>, TlsError> {
    match (cert_file, key_file) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((PemFile::read(cert)?, PemFile::read(key)?))),
        _ => Err(TlsError::HalfPair),
    }
}
