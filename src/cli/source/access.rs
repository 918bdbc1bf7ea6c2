//! How another server is reached: the options that `downstream` has, in a file of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::config::secret::Secret;
use crate::config::yaml::{self, Problem};
use crate::net::client::{
    AuthorizationConfig, BasicAuthConfig, ClientLimits, ClientMetrics, HttpClient, HttpClientConfig,
    OAuth2Config, SigV4Config, TlsConfig,
};

/// Credentials, certificates and headers towards one server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::cli) struct Access {
    headers: BTreeMap<String, Secret>,
    basic_auth: Option<BasicAuthConfig>,
    authorization: Option<AuthorizationConfig>,
    oauth2: Option<OAuth2Config>,
    sigv4: Option<SigV4Config>,
    tls_config: TlsConfig,
}

// === impl Access ===

impl Access {
    /// What the file at `path` says, if there is one; with the further headers `lines`, each `Name: value`.
    pub(in crate::cli) fn load(path: Option<&Path>, lines: &[String]) -> anyhow::Result<Self> {
        let mut access = match path {
            None => Self::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                yaml::from_str(&text).map_err(|problems| wrong(path, &problems))?
            }
        };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                bail!("a header is written as 'Name: value'; there is no colon in what was given");
            };
            access.headers.insert(name.trim().to_owned(), Secret::new(value.trim()));
        }
        Ok(access)
    }

    /// A client that shows these credentials.
    pub(in crate::cli) fn client(&self) -> anyhow::Result<HttpClient> {
        let config = HttpClientConfig {
            basic_auth: self.basic_auth.clone(),
            authorization: self.authorization.clone(),
            oauth2: self.oauth2.clone(),
            sigv4: self.sigv4.clone(),
            tls_config: self.tls_config.clone(),
            ..HttpClientConfig::default()
        };
        config.check()?;
        Ok(HttpClient::new(&config, ClientLimits::default(), Arc::<ClientMetrics>::default())?)
    }

    /// The headers of every request.
    pub(in crate::cli) fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let problem =
                || format!("{name:?} is not a header, or its value holds characters that none may have");
            let mut value = HeaderValue::from_str(value.expose()).with_context(problem)?;
            value.set_sensitive(true);
            headers.insert(HeaderName::try_from(name.as_str()).with_context(problem)?, value);
        }
        Ok(headers)
    }
}

/// All that is wrong with the file at `path`.
pub(in crate::cli) fn wrong(path: &Path, problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<_> = problems.iter().map(|problem| format!("  {}:{problem}", path.display())).collect();
    anyhow::anyhow!("{} cannot be used:\n{}", path.display(), lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_spelled_as_the_downstream_section() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("http.yml");
        std::fs::write(&file, "headers: {X-Scope-OrgID: a}\nauthorization: {credentials: t}\n").unwrap();
        let access = Access::load(Some(&file), &["X-More: b: c".into()]).unwrap();
        let headers = access.headers().unwrap();
        assert!(headers["x-scope-orgid"] == "a" && headers["x-more"] == "b: c");
        access.client().unwrap();
    }

    #[test]
    fn what_is_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("http.yml");
        std::fs::write(&file, "basic_aut: {username: a}\n").unwrap();
        let error = Access::load(Some(&file), &[]).unwrap_err().to_string();
        assert!(error.contains("http.yml:1:1") && error.contains("did you mean \"basic_auth\""), "{error}");
        assert!(Access::load(None, &["token".into()]).is_err());
        assert!(Access::load(None, &["a b: c".into()]).unwrap().headers().is_err());
    }
}
