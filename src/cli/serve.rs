//! `sidelong serve`: scores on request.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use super::logging::{self, LogFormat, LogLevel};
use crate::app::{self, ModelPlace, ServeOptions};
use crate::config::sections::{ModelSection, Serving};
use crate::config::units::{ByteSize, PromDuration};
use crate::model::bundle::{Bundle, PublicKey};
use crate::model::registry::Registry;
use crate::model::store::Store;

/// Answer requests with scores: features of entities, or series with their past, over HTTP.
///
/// The paths are /predict, /api/v1/score, /invocations (MLflow), /ping, /version and /openapi.json, which says what each takes.
/// Nothing is kept between two requests. With a store as --model, another model is swapped in as soon as it is promoted there.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The model: builtin, the folder of a bundle (as train and model export write one), the folder of a store, or
    /// s3://BUCKET/PREFIX, with ?endpoint=URL&region=NAME for what is not of AWS.
    #[arg(long, value_name = "builtin|FOLDER|URL", default_value = "builtin")]
    model: String,
    /// Which of the store's models.
    #[arg(long, value_name = "NAME", default_value = "sidelong")]
    name: String,
    /// A public key whose models are trusted, as `sidelong model keygen` prints it; a store needs one. May be given more than
    /// once.
    #[arg(long = "trusted-key", value_name = "KEY")]
    trusted_keys: Vec<PublicKey>,
    /// The folder in which the last two good models of a store are kept, so that a start needs no store; it must exist.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// How often a store is looked at, give or take a fifth.
    #[arg(long, value_name = "DURATION", default_value_t = ModelSection::default().poll_interval)]
    poll_interval: PromDuration,
    /// How long one look at a store may take, with all that it fetches.
    #[arg(long, value_name = "DURATION", default_value_t = ModelSection::default().timeout)]
    timeout: PromDuration,
    /// The blobs of a model together are not larger.
    #[arg(long, value_name = "SIZE", default_value_t = ModelSection::default().max_size)]
    max_size: ByteSize,
    #[command(flatten)]
    limits: LimitArgs,
    /// A file with TLS and basic authentication for the listener, as in Prometheus' exporters.
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
    /// The least important messages that are logged.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LogLevel,
    /// How messages are written.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// What one request may be.
#[derive(Clone, Debug, Args)]
struct LimitArgs {
    /// Size of a request body; a larger one is answered 413.
    #[arg(long, value_name = "SIZE", default_value_t = Serving::default().max_body_size)]
    max_body_size: ByteSize,
    /// Rows of one request to /invocations.
    #[arg(long, value_name = "N", default_value_t = Serving::default().max_rows, value_parser = at_least_one())]
    max_rows: u32,
    /// Series of one request.
    #[arg(long, value_name = "N", default_value_t = Serving::default().max_series, value_parser = at_least_one())]
    max_series: u32,
    /// Samples of one request, all series together; of rows, their values.
    #[arg(long, value_name = "N", default_value_t = Serving::default().max_samples, value_parser = at_least_one())]
    max_samples: u32,
    /// Requests that are scored at the same time; others are answered 503. By default as many as there are cores.
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    max_requests_in_flight: Option<u32>,
    /// Requests a second, as many of them at once; others are answered 429. 0: no limit.
    #[arg(long, value_name = "N", default_value_t = Serving::default().max_requests_per_second)]
    max_requests_per_second: u32,
}

const EXAMPLES: &str = "\
Examples:
  sidelong serve
  sidelong serve --listen 0.0.0.0:8080 --web.config.file web.yml --model models/builtin
  sidelong serve --model s3://models/prod --trusted-key KEY --folder /var/lib/sidelong/models
  curl --json '{\"cpu_zscore\": 2.1, \"memory_zscore\": 1.5}' http://127.0.0.1:8080/predict";

/// Runs `sidelong serve`.
///
/// # Errors
///
/// A model that may not serve, an address that cannot be bound.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let options = args.options()?;
    logging::init(args.log_level, args.log_format)?;
    app::serve(&options)
}

fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

// === impl ServeArgs ===

impl ServeArgs {
    fn options(&self) -> anyhow::Result<ServeOptions> {
        let place = self.place()?;
        if let Some(folder) = &self.folder {
            ensure!(matches!(place, ModelPlace::Store(_)), "--folder is for a store: name one by --model");
            ensure!(
                folder.is_dir(),
                "--folder {} is no folder; make it, or correct the name",
                folder.display()
            );
        }
        ensure!(!self.poll_interval.is_zero(), "--poll-interval must be greater than 0");
        ensure!(!self.timeout.is_zero(), "--timeout must be greater than 0");
        ensure!(self.limits.max_body_size.as_bytes() > 0, "--max-body-size must be greater than 0");
        Ok(ServeOptions {
            listen: self.listen,
            place,
            model: ModelSection {
                name: self.name.clone(),
                folder: self.folder.clone(),
                trusted_keys: self.trusted_keys.iter().map(ToString::to_string).collect(),
                poll_interval: self.poll_interval,
                timeout: self.timeout,
                max_size: self.max_size,
                ..ModelSection::default()
            },
            limits: self.limits.section(),
            web_config: self.web_config_file.clone(),
        })
    }

    fn place(&self) -> anyhow::Result<ModelPlace> {
        let folder = Path::new(&self.model);
        if self.model == "builtin" {
            return Ok(ModelPlace::Builtin);
        }
        if Bundle::is_in(folder) {
            return Ok(ModelPlace::Bundle(folder.to_owned()));
        }
        let is_found = self.model.contains("://") || folder.is_dir();
        ensure!(
            is_found,
            "--model {:?} is neither builtin, nor the folder of a bundle or a store, nor s3://BUCKET/PREFIX",
            self.model
        );
        let store = Store::open(&self.model).context("--model")?;
        Registry::new(store, &self.name, self.max_size.as_bytes()).context("--name")?;
        ensure!(
            !self.trusted_keys.is_empty(),
            "--trusted-key is missing: nothing from a store serves that no trusted key has signed"
        );
        Ok(ModelPlace::Store(self.model.clone()))
    }
}

// === impl LimitArgs ===

impl LimitArgs {
    fn section(&self) -> Serving {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        Serving {
            enabled: true,
            max_body_size: self.max_body_size,
            max_rows: self.max_rows,
            max_series: self.max_series,
            max_samples: self.max_samples,
            max_requests_in_flight: self.max_requests_in_flight.unwrap_or(cores),
            max_requests_per_second: self.max_requests_per_second,
        }
    }
}
