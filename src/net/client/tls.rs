//! The TLS side of outgoing connections; certificates are read again when they change (safety B-18).

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;
use xxhash_rust::xxh3::Xxh3;

use super::config::TlsConfig;
use super::metrics::ClientMetrics;
use crate::net::tls::{PemFile, TlsError, provider, read_pair};

/// How long files are trusted not to have changed.
const FILES_AGE: Duration = Duration::from_secs(5);

/// The current TLS configuration of a client.
#[derive(Debug)]
pub(super) struct ClientTls {
    config: TlsConfig,
    metrics: Arc<ClientMetrics>,
    /// Taken by connects only, and held while files are read: one reader is enough.
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Clone, Debug)]
struct Loaded {
    client: Arc<ClientConfig>,
    files: u128,
    checked: Instant,
}

/// What the files hold.
#[derive(Debug)]
struct Files {
    ca: Option<PemFile>,
    pair: Option<(PemFile, PemFile)>,
}

/// Accepts any certificate (`insecure_skip_verify`); signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

// === impl ClientTls ===

impl ClientTls {
    /// Reads the files once, so that a mistake is found at the start; the system's certificate authorities
    /// are read at the first https connection only.
    pub(super) fn new(config: TlsConfig, metrics: Arc<ClientMetrics>) -> Result<Self, TlsError> {
        let eager = config.ca_file.is_some() || config.cert_file.is_some() || config.key_file.is_some();
        let loaded = if eager { Some(Loaded::read(&config)?) } else { None };
        Ok(Self { config, metrics, loaded: Mutex::new(loaded) })
    }

    /// The name to verify the peer by, where it is not the host's.
    pub(super) fn server_name(&self) -> Option<&str> {
        (!self.config.server_name.is_empty()).then_some(&*self.config.server_name)
    }

    /// The configuration by the newest files that make sense.
    pub(super) async fn current(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut loaded = self.loaded.lock().await;
        if let Some(loaded) = &*loaded
            && loaded.checked.elapsed() < FILES_AGE
        {
            return Ok(Arc::clone(&loaded.client));
        }
        match (self.read(loaded.clone()).await, &mut *loaded) {
            (Ok(new), loaded) => Ok(Arc::clone(&loaded.insert(new).client)),
            (Err(error), Some(old)) => {
                self.metrics.file_errors.inc();
                warn!(error = %crate::net::chain(&error), "kept the old certificates of a client");
                old.checked = Instant::now();
                Ok(Arc::clone(&old.client))
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn read(&self, old: Option<Loaded>) -> Result<Loaded, TlsError> {
        let config = self.config.clone();
        let read = tokio::task::spawn_blocking(move || match old {
            Some(old) => old.read_again(&config),
            None => Loaded::read(&config),
        });
        // A panic while reading goes on where the file is needed.
        read.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

// === impl Loaded ===

impl Loaded {
    fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let files = Files::read(config)?;
        let client = Arc::new(build(config, &files)?);
        Ok(Self { client, files: files.hash(), checked: Instant::now() })
    }

    fn read_again(self, config: &TlsConfig) -> Result<Self, TlsError> {
        let files = Files::read(config)?;
        if files.hash() == self.files {
            return Ok(Self { checked: Instant::now(), ..self });
        }
        Self::read(config)
    }
}

// === impl Files ===

impl Files {
    fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let ca = config.ca_file.as_deref().map(PemFile::read).transpose()?;
        Ok(Self { ca, pair: read_pair(config.cert_file.as_deref(), config.key_file.as_deref())? })
    }

    fn hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        let (cert, key) = self.pair.as_ref().map(|(cert, key)| (cert, key)).unzip();
        for file in [self.ca.as_ref(), cert, key].into_iter().flatten() {
            hash.update(&(file.bytes().len() as u64).to_le_bytes());
            hash.update(file.bytes());
        }
        hash.digest128()
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        if let Some(ca) = &self.ca {
            return ca.roots();
        }
        let mut roots = RootCertStore::empty();
        // Some systems carry a certificate that rustls does not take; the others still count.
        let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 { Err(TlsError::NoSystemRoots) } else { Ok(roots) }
    }
}

fn build(config: &TlsConfig, files: &Files) -> Result<ClientConfig, TlsError> {
    let versions = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(config.min_version.and_newer())
        .map_err(TlsError::Config)?;
    let verified = if config.insecure_skip_verify {
        versions.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
    } else {
        versions.with_root_certificates(files.roots()?)
    };
    let mut client = match &files.pair {
        None => verified.with_no_client_auth(),
        Some((cert, key)) => verified
            .with_client_auth_cert(cert.certificates()?, key.private_key()?)
            .map_err(|source| cert.pair_error(source))?,
    };
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

// === impl AnyCertificate ===

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
