//! The options by which an MLflow server is told of models, and what it is told with.

use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::logging::printable;
use super::model::now_ms;
use crate::config::secret::Secret;
use crate::config::sections::HttpUrl;
use crate::config::units::PromDuration;
use crate::net::client::{BasicAuthConfig, HttpClientConfig};
use crate::tracking::{Client, Recorded, Telling, tag};

/// Which MLflow server is told, if any.
#[derive(Clone, Debug, Args)]
pub(super) struct ServerArgs {
    /// Tell the MLflow server at this URL. Credentials are taken from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or
    /// MLFLOW_TRACKING_TOKEN.
    #[arg(long, value_name = "URL", env = "MLFLOW_TRACKING_URI", hide_env_values = true, help_heading = HEADING)]
    mlflow: Option<String>,
    /// Time that each answer of MLflow may take.
    #[arg(long, value_name = "DURATION", default_value = "30s", help_heading = HEADING)]
    mlflow_timeout: PromDuration,
}

/// How the run is called.
#[derive(Clone, Debug, Args)]
pub(super) struct RunArgs {
    /// The experiment of MLflow that the run is put in; it is made if there is none.
    #[arg(long, value_name = "NAME", env = "MLFLOW_EXPERIMENT_NAME", default_value = EXPERIMENT, help_heading = HEADING)]
    experiment: String,
    /// What the run is called; the model and the first digits of the candidate by default.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = HEADING)]
    run_name: Option<String>,
    /// A tag of the run and the version. May be given more than once.
    #[arg(long = "tag", value_name = "KEY=VALUE", help_heading = HEADING)]
    tags: Vec<Tag>,
}

/// A tag that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag(String, String);

const HEADING: &str = "MLflow";
const EXPERIMENT: &str = "sidelong";

// === impl ServerArgs ===

impl ServerArgs {
    /// The server that is to be told. An empty variable names none, as for MLflow itself.
    pub(super) fn url(&self) -> Option<&str> {
        self.mlflow.as_deref().filter(|url| !url.is_empty())
    }

    /// What asks that server; nothing where none is to be told. It is not asked yet.
    pub(super) fn client(&self) -> anyhow::Result<Option<Client>> {
        let Some(url) = self.url() else { return Ok(None) };
        let base: HttpUrl = url.parse().context(
            "--mlflow (MLFLOW_TRACKING_URI) takes the http or https URL of an MLflow server, without credentials; leave it empty to tell none",
        )?;
        let access = access(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let client = Client::new(base, &access, self.mlflow_timeout.get());
        Ok(Some(client.context("the credentials for MLflow (MLFLOW_TRACKING_…) cannot be used")?))
    }

    /// The same for those who have nothing else to do.
    pub(super) fn wanted(&self) -> anyhow::Result<Client> {
        self.client()?.context("say which MLflow is to be told: --mlflow URL, or MLFLOW_TRACKING_URI")
    }
}

/// How MLflow's own clients choose among the variables.
fn access(variable: impl Fn(&str) -> Option<String>) -> HttpClientConfig {
    let basic = (variable("MLFLOW_TRACKING_USERNAME"), variable("MLFLOW_TRACKING_PASSWORD"));
    let mut access = HttpClientConfig::default();
    if let (Some(username), Some(password)) = basic {
        let password = Secret::new(password);
        access.basic_auth = Some(BasicAuthConfig { username, password, password_file: None });
    } else {
        access.bearer_token = variable("MLFLOW_TRACKING_TOKEN").map(Secret::new);
    }
    access
}

// === impl RunArgs ===

impl RunArgs {
    /// What is told of a candidate besides its bundle.
    pub(super) fn telling(&self, start_ms: i64) -> Telling {
        Telling {
            experiment: self.experiment().to_owned(),
            run_name: self.run_name.clone(),
            tags: self.tags.iter().map(|Tag(key, value)| (key.clone(), value.clone())).collect(),
            start_ms,
            now_ms: now_ms(),
        }
    }

    fn experiment(&self) -> &str {
        if self.experiment.is_empty() { EXPERIMENT } else { &self.experiment }
    }

    /// The option that was given and counts only where a run is told.
    #[cfg(feature = "train")]
    pub(super) fn given(&self) -> Option<&'static str> {
        match self {
            Self { run_name: Some(_), .. } => Some("--run-name"),
            Self { tags, .. } if !tags.is_empty() => Some("--tag"),
            _ => None,
        }
    }
}

// === impl Tag ===

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) =
            text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write it as KEY=VALUE")?;
        if key.starts_with(tag::OWN) {
            return Err(format!("tags that begin with {} are Sidelong's own", tag::OWN));
        }
        Ok(Self(key.to_owned(), value.to_owned()))
    }
}

/// Says what MLflow knows of a candidate now.
pub(super) fn report(model: &str, recorded: &Recorded) {
    let Recorded { run, version, challenger } = recorded;
    let is = if *challenger { ", challenger" } else { "" };
    match run {
        Some(run) => println!("MLflow: run {run}, version {version} of {model}{is}"),
        None => println!("MLflow: version {version} of {model} is this candidate{is}; nothing was added"),
    }
}

/// Says that MLflow was not told, and by which command it will be.
pub(super) fn warn(what: &str, error: &anyhow::Error, later: &[&str]) {
    let command = later.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    eprintln!("warning: {what}, but MLflow does not know all of it: {}", printable(&format!("{error:#}")));
    eprintln!("to tell it later: {}", printable(&command));
}

/// The commands' words that have it told of a candidate later just as now.
#[cfg(feature = "train")]
pub(super) fn later<'a>(
    url: &'a str,
    telling: &'a Telling,
    tags: &'a [String],
    bundle: &'a str,
) -> Vec<&'a str> {
    let mut words = vec!["sidelong", "model", "track", "--mlflow", url];
    if telling.experiment != EXPERIMENT {
        words.extend(["--experiment", &telling.experiment]);
    }
    if let Some(name) = &telling.run_name {
        words.extend(["--run-name", name]);
    }
    words.extend(tags.iter().flat_map(|tag| ["--tag", tag.as_str()]));
    words.push(bundle);
    words
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_with_a_password_goes_before_a_token_as_in_mlflow() {
        let of = |given: &'static [(&'static str, &'static str)]| {
            access(|name| given.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
        };
        let token = ("MLFLOW_TRACKING_TOKEN", "t");
        let user = ("MLFLOW_TRACKING_USERNAME", "u");
        let both = of(Box::leak(Box::new([token, user, ("MLFLOW_TRACKING_PASSWORD", "p")])));
        assert_eq!(both.basic_auth.as_ref().map(|basic| basic.username.as_str()), Some("u"));
        assert!(both.bearer_token.is_none() && both.check().is_ok());
        let half = of(Box::leak(Box::new([token, user])));
        assert!(half.basic_auth.is_none() && half.bearer_token.is_some_and(|secret| secret.expose() == "t"));
        assert_eq!(of(&[]), HttpClientConfig::default());
    }

    #[test]
    fn a_tag_has_a_key_and_any_value_but_not_a_name_of_ours() {
        assert_eq!("a=b=c".parse(), Ok(Tag("a".to_owned(), "b=c".to_owned())));
        for wrong in ["a", "=b", "sidelong.candidate=x"] {
            assert!(wrong.parse::<Tag>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_command_is_one_that_a_shell_reads_back() {
        assert_eq!(quoted("http://h:5000/x"), "http://h:5000/x");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!((quoted(""), quoted("a b;c")), ("''".to_owned(), "'a b;c'".to_owned()));
    }
}
