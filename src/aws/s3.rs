//! Objects in S3, or in something that speaks as it does.
//!
//! The SDK's own retries are few and its time-outs are ours: who follows a store has a deadline for a whole look, and a body that
//! trickles is given up by it.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Bytes, BytesMut};
use tokio::sync::OnceCell;
use url::Url;

use crate::model::store::{ETag, Got, ObjectName, StoreError, When};

/// How long one connection and one attempt may take. A look as a whole has the caller's deadline.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 2;

/// A bucket, and what names begin with there.
#[derive(Clone, Debug)]
pub struct S3Store {
    bucket: String,
    prefix: String,
    endpoint: Option<String>,
    region: Option<String>,
    /// Keys of its own, in place of those that the tools of AWS find.
    credentials: Option<Credentials>,
    /// Made when it is first needed: credentials are looked for then.
    client: Arc<OnceCell<Client>>,
}

// === impl S3Store ===

impl S3Store {
    /// The store at `s3://BUCKET/PREFIX`. `?endpoint=URL` leads to another service than that of AWS, whose buckets are then part of
    /// the path; `&region=NAME` says the region. What is not said comes from where the tools of AWS look for it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Place`].
    pub fn open(place: &str) -> Result<Self, StoreError> {
        let wrong = || StoreError::Place(place.to_owned());
        let url = Url::parse(place).map_err(|_| wrong())?;
        let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or_else(wrong)?.to_owned();
        let prefix = url.path().trim_matches('/').to_owned();
        if !prefix.is_empty() {
            ObjectName::parse(&prefix).map_err(|_| wrong())?;
        }
        let (mut endpoint, mut region) = (None, None);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "endpoint" => endpoint = Some(value.into_owned()),
                "region" => region = Some(value.into_owned()),
                _ => return Err(wrong()),
            }
        }
        Ok(Self { bucket, prefix, endpoint, region, credentials: None, client: Arc::default() })
    }

    /// With these keys, in place of those that the tools of AWS find.
    pub fn with_keys(self, access_key: &str, secret_key: &str) -> Self {
        let credentials = Credentials::new(access_key, secret_key, None, None, "given");
        Self { credentials: Some(credentials), client: Arc::default(), ..self }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| self.connect()).await
    }

    async fn connect(&self) -> Client {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let sdk = loader.load().await;
        // Whoever names an endpoint has a service without a name for each bucket.
        let by_path = sdk.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(by_path).build();
        Client::from_conf(config)
    }

    pub(crate) async fn get(
        &self,
        name: &ObjectName,
        allowed: u64,
        known: Option<&ETag>,
    ) -> Result<Got, StoreError> {
        let request = self.client().await.get_object().bucket(&self.bucket).key(self.key(name));
        let known = known.map(|ETag(etag)| etag.clone());
        let answer = match request.set_if_none_match(known).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match (status(&error), error.code()) {
                    (Some(304), _) => Ok(Got::NotModified),
                    (_, Some("NoSuchKey")) => Ok(Got::Absent),
                    _ => Err(failure(name, error)),
                };
            }
        };
        let too_large = || StoreError::TooLarge { name: name.to_string(), allowed };
        let declared = answer.content_length().and_then(|length| u64::try_from(length).ok());
        if declared.is_some_and(|length| length > allowed) {
            return Err(too_large());
        }
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let (mut body, mut content) = (answer.body, BytesMut::new());
        while let Some(part) = body.try_next().await.map_err(|error| StoreError::failed(name, error))? {
            if (content.len() + part.len()) as u64 > allowed {
                return Err(too_large());
            }
            content.extend_from_slice(&part);
        }
        Ok(Got::Found(content.freeze(), ETag(etag)))
    }

    pub(crate) async fn put(
        &self,
        name: &ObjectName,
        content: Bytes,
        when: When<'_>,
    ) -> Result<ETag, StoreError> {
        let request = self.client().await.put_object().bucket(&self.bucket).key(self.key(name));
        let request = match when {
            When::Absent => request.if_none_match("*"),
            When::Unchanged(ETag(etag)) => request.if_match(etag),
        };
        match request.body(ByteStream::from(content)).send().await {
            Ok(answer) => Ok(ETag(answer.e_tag().unwrap_or_default().to_owned())),
            Err(error) => match (status(&error), when) {
                // 409: two conditional writes met. 404: what was to be changed is not there any more.
                (Some(409 | 412), _) | (Some(404), When::Unchanged(_)) => {
                    Err(StoreError::Conflict(name.to_string()))
                }
                _ => Err(failure(name, error)),
            },
        }
    }

    pub(crate) async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let request = self.client().await.delete_object().bucket(&self.bucket).key(self.key(name));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(failure(name, error)),
        }
    }

    pub(crate) async fn sizes(&self, prefix: &ObjectName) -> Result<Vec<(ObjectName, u64)>, StoreError> {
        let below = format!("{}/", self.key(prefix));
        let mut pages =
            self.client().await.list_objects_v2().bucket(&self.bucket).prefix(&below).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure(prefix, error))?;
            names.extend(page.contents().iter().filter_map(|object| {
                let name = ObjectName::parse(self.name(object.key()?)?).ok()?;
                Some((name, object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0)))
            }));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn key(&self, name: &ObjectName) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}/{name}", self.prefix) }
    }

    /// The name of the object at `key`.
    fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        let rest = key.strip_prefix(&self.prefix)?;
        Some(rest.strip_prefix('/').unwrap_or(rest))
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn failure<E>(name: &ObjectName, error: SdkError<E, HttpResponse>) -> StoreError
where
    E: std::error::Error + Send + Sync + 'static,
{
    match status(&error) {
        Some(401 | 403) => StoreError::Denied(name.to_string()),
        None if matches!(error, SdkError::TimeoutError(_)) => StoreError::Slow(name.to_string()),
        _ => StoreError::failed(name, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_bucket_prefix_endpoint_and_region() {
        let store =
            S3Store::open("s3://models/team/a?endpoint=http://127.0.0.1:7070&region=eu-west-1").unwrap();
        assert_eq!((store.bucket.as_str(), store.prefix.as_str()), ("models", "team/a"));
        assert_eq!(store.endpoint.as_deref(), Some("http://127.0.0.1:7070"));
        assert_eq!(store.region.as_deref(), Some("eu-west-1"));
        let name = ObjectName::parse("models/m/champion").unwrap();
        assert_eq!(store.key(&name), "team/a/models/m/champion");
        assert_eq!(store.name("team/a/models/m/champion"), Some("models/m/champion"));
        for wrong in ["s3://", "s3:///a", "s3://b/a?what=1", "s3://b/a b"] {
            assert!(S3Store::open(wrong).is_err(), "{wrong}");
        }
    }
}
