//! AWS Signature Version 4 for the service `aps`.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningError, SigningParams, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls;
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use tokio::sync::{Mutex, OnceCell};

use crate::net::client::SigV4Config;

/// Amazon Managed Service for Prometheus, as signatures name it.
const SERVICE: &str = "aps";

/// Credentials are renewed this long before they expire.
const EARLY: Duration = Duration::from_secs(300);

/// Signs requests by one configuration; credentials are fetched when first needed.
pub struct Signer {
    config: SigV4Config,
    source: OnceCell<Source>,
    /// Held while credentials are fetched, so that one fetch serves all who wait.
    credentials: Mutex<Option<Credentials>>,
}

/// Why a request is not signed. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// No source of the credentials chain has any.
    #[error("no AWS credentials are to be had")]
    Credentials(#[source] CredentialsError),
    /// No region is configured and the chain knows none.
    #[error("no AWS region is known; set region in sigv4")]
    NoRegion,
    /// The request cannot be signed.
    #[error("the request cannot be signed")]
    Sign(#[source] SigningError),
    /// The signer's own parameters are wrong.
    #[error("the signature's parameters are incomplete")]
    Params,
    /// A header of the request is not text, or one of the signature's is no header.
    #[error("a header cannot be part of a signature")]
    Header,
}

/// Where credentials come from, and the region they are used in.
#[derive(Debug)]
struct Source {
    provider: SharedCredentialsProvider,
    region: Option<Region>,
}

// === impl Signer ===

impl Signer {
    /// A signer by `config`; nothing is read or fetched yet.
    pub fn new(config: SigV4Config) -> Self {
        Self { config, source: OnceCell::new(), credentials: Mutex::new(None) }
    }

    /// Signs `request` as it stands: method, path, query, `Host` and body. An Authorization that it has is
    /// replaced.
    ///
    /// # Errors
    ///
    /// [`SignerError`]; the request is then unchanged but for its old Authorization.
    pub async fn sign(&self, request: &mut Request<Full<Bytes>>) -> Result<(), SignerError> {
        let source = self.source.get_or_init(|| source(&self.config)).await;
        let region = source.region.as_ref().ok_or(SignerError::NoRegion)?;
        let credentials = self.credentials(source).await?;
        sign_at(request, credentials, region.as_ref(), SystemTime::now()).await
    }

    async fn credentials(&self, source: &Source) -> Result<Credentials, SignerError> {
        let mut kept = self.credentials.lock().await;
        if let Some(kept) = &*kept
            && kept.expiry().is_none_or(|expiry| SystemTime::now() + EARLY < expiry)
        {
            return Ok(kept.clone());
        }
        let fetched = source.provider.provide_credentials().await.map_err(SignerError::Credentials)?;
        Ok(kept.insert(fetched).clone())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The configured keys, or the chain of environment, profile, web identity, container and instance; then the
/// role, if one is to be assumed.
async fn source(config: &SigV4Config) -> Source {
    let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(profile) = set(&config.profile) {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = set(&config.region) {
        loader = loader.region(Region::new(region));
    }
    if let Some(access_key) = set(&config.access_key) {
        let secret_key = config.secret_key.expose();
        loader = loader.credentials_provider(Credentials::new(access_key, secret_key, None, None, "sigv4"));
    }
    let sdk = loader.load().await;
    let provider = match set(&config.role_arn) {
        Some(role) => assume(role, &sdk).await,
        None => own(&sdk, ProviderConfig::default().with_http_client(http)).await,
    };
    Source { provider, region: sdk.region().cloned() }
}

async fn own(sdk: &SdkConfig, chain: ProviderConfig) -> SharedCredentialsProvider {
    match sdk.credentials_provider() {
        Some(provider) => provider,
        None => {
            SharedCredentialsProvider::new(DefaultCredentialsChain::builder().configure(chain).build().await)
        }
    }
}

async fn assume(role: String, sdk: &SdkConfig) -> SharedCredentialsProvider {
    let provider = AssumeRoleProvider::builder(role).session_name("sidelong").configure(sdk).build().await;
    SharedCredentialsProvider::new(provider)
}

/// Signs `Host` and the headers of the signature itself: whatever else a proxy on the way adds or changes
/// does not break the signature.
async fn sign_at(
    request: &mut Request<Full<Bytes>>,
    credentials: Credentials,
    region: &str,
    now: SystemTime,
) -> Result<(), SignerError> {
    request.headers_mut().remove(AUTHORIZATION);
    let Ok(body) = request.body().clone().collect().await.map(http_body_util::Collected::to_bytes);
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).ok_or(SignerError::Header)?;
    let uri = format!("https://{host}{}", request.uri());
    let signable = SignableRequest::new(
        request.method().as_str(),
        uri,
        std::iter::once(("host", host)),
        SignableBody::Bytes(&body),
    )
    .map_err(SignerError::Sign)?;
    let identity = credentials.into();
    let params = params(&identity, region, now)?;
    let (signed, _) = sign(signable, &params).map_err(SignerError::Sign)?.into_parts();
    for header in signed.into_parts().0 {
        let name = HeaderName::from_static(header.name());
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| SignerError::Header)?;
        value.set_sensitive(header.sensitive());
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

fn params<'a>(
    identity: &'a aws_smithy_runtime_api::client::identity::Identity,
    region: &'a str,
    now: SystemTime,
) -> Result<SigningParams<'a>, SignerError> {
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(settings)
        .build()
        .map(Into::into)
        .map_err(|_| SignerError::Params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;

    fn request() -> Request<Full<Bytes>> {
        Request::post("/workspaces/ws-1/api/v1/remote_write")
            .header(HOST, "aps-workspaces.eu-west-1.amazonaws.com")
            .header(AUTHORIZATION, "Bearer of the sender")
            .header("content-type", "application/x-protobuf")
            .body(Full::new(Bytes::from_static(b"body")))
            .unwrap()
    }

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    #[tokio::test]
    async fn a_signature_is_that_of_an_independent_implementation() {
        let mut request = request();
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, None, None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        sign_at(&mut request, credentials, "eu-west-1", now).await.unwrap();
        // Calculated step by step with Python's hashlib and hmac from the canonical request of these headers.
        let signature = "fe1300e28e3d4fab30517191937b2b281d20673d0a2c53976d46371db24bc40d";
        let body = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
        assert_eq!(
            request.headers()[AUTHORIZATION],
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/aps/aws4_request, \
                 SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
            )
        );
        assert_eq!(request.headers()["x-amz-content-sha256"], body);
        assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    }

    #[tokio::test]
    async fn temporary_credentials_send_their_token_along() {
        let mut request = request();
        let token = Some("session".to_owned());
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, token, None, "test");
        sign_at(&mut request, credentials, "eu-west-1", SystemTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(request.headers()["x-amz-security-token"], "session");
        let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
        assert!(authorization.contains("x-amz-security-token"), "{authorization}");
    }

    #[tokio::test]
    async fn b19_a_signer_shows_no_secret() {
        let config = SigV4Config {
            region: "eu-west-1".into(),
            access_key: "AKIDEXAMPLE".into(),
            secret_key: Secret::new(SECRET),
            ..SigV4Config::default()
        };
        let signer = Signer::new(config);
        signer.sign(&mut request()).await.unwrap();
        assert!(!format!("{signer:?}").contains("wJalr"));
    }
}
