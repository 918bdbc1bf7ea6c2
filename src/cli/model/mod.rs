//! `sidelong model`: the versions of a model, from candidate to champion and back.

mod keygen;
mod pin;
mod quarantine;
mod show;
mod track;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

pub(in crate::cli) use self::show::find;
use super::source::{is_broken_pipe, runtime};
use super::tracking::ServerArgs;
use crate::detect::Hybrid;
use crate::evaluate::{Gate, Receipt};
use crate::model::Model;
use crate::model::bundle::{Bundle, Measure, Origin, PublicKey, Refusal, SigningKey, Trust};
use crate::model::registry::{Entry, Promotion, Registry};
use crate::model::store::Store;

/// Keep, promote and roll back models.
///
/// A model is a bundle of numbers with a manifest. Training makes candidates, which nobody has signed. `promote` signs one with a key
/// and makes it champion; each sidecar that follows the store and trusts the key checks it and swaps it in. `rollback` goes back.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Keygen(keygen::Keygen),
    Export(Export),
    Ls(show::Ls),
    Show(show::Show),
    Diff(show::Diff),
    Verify(show::Verify),
    Publish(Publish),
    Promote(Box<Promote>),
    Rollback(Box<Rollback>),
    Pin(pin::Pin),
    Quarantine(quarantine::Quarantine),
    Track(Box<track::Track>),
}

const EXAMPLES: &str = "\
Examples:
  sidelong model keygen --out promotion.pem
  sidelong model publish --store s3://models/prod models/builtin
  sidelong model promote --store s3://models/prod --key promotion.pem 3f9c --evaluation evaluation.json --reason 'weekly training'
  sidelong model ls --store s3://models/prod
  sidelong model rollback --store s3://models/prod --key promotion.pem --to 4 --reason 'alerts too often'
  sidelong model pin --folder /var/lib/sidelong/models 4
  sidelong model track --mlflow http://mlflow:5000 candidate";

/// Which model, and where it is kept.
#[derive(Clone, Debug, Args)]
struct Place {
    /// The store: a folder, or s3://BUCKET/PREFIX, with ?endpoint=URL&region=NAME for what is not of AWS.
    #[arg(long, value_name = "FOLDER|URL")]
    store: String,
    /// Which of the store's models.
    #[arg(long, value_name = "NAME", default_value = "sidelong")]
    name: String,
    /// Bundles with more MiB are not looked at.
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    max_size: u64,
}

/// Write the model that is built into this binary as a bundle, signed by nobody.
#[derive(Clone, Debug, Args)]
struct Export {
    /// The folder to write, which is made.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Which model it is to be a version of.
    #[arg(long, value_name = "NAME", default_value = "sidelong")]
    name: String,
}

/// Put a candidate into a store. Nobody serves it until it is promoted.
#[derive(Clone, Debug, Args)]
struct Publish {
    #[command(flatten)]
    place: Place,
    /// The bundle, as `sidelong model export` writes one.
    #[arg(value_name = "FOLDER")]
    bundle: PathBuf,
}

/// Sign a candidate, and make it champion.
///
/// It takes an evaluation of this candidate beside the champion of now whose verdict is promote; it is kept in the store, and the
/// promotion log names it.
#[derive(Clone, Debug, Args)]
struct Promote {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    grounds: Grounds,
    /// A public key besides that of --key by which the champion of now may be signed. May be given more than once.
    #[arg(long = "trust", value_name = "KEY")]
    trusted: Vec<PublicKey>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    mlflow: ServerArgs,
    /// The first digits of the candidate's name, as `publish` prints it.
    #[arg(value_name = "CANDIDATE")]
    candidate: String,
}

/// What speaks for a candidate.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct Grounds {
    /// What `sidelong evaluate --json` wrote of it.
    #[arg(long, value_name = "FILE")]
    evaluation: Option<PathBuf>,
    /// Go without one. The promotion log will say so; let --reason say why.
    #[arg(long)]
    without_evaluation: bool,
}

/// Make an earlier version champion again, as a new version.
#[derive(Clone, Debug, Args)]
struct Rollback {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    mlflow: ServerArgs,
    /// The version to go back to; without it, the one that was champion before.
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    /// A public key besides that of --key whose versions may be gone back to. May be given more than once.
    #[arg(long = "trust", value_name = "KEY")]
    trusted: Vec<PublicKey>,
}

/// Who answers for it, and why.
#[derive(Clone, Debug, Args)]
struct Answer {
    /// The private key, as `sidelong model keygen` makes one.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Why, for the promotion log.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

/// Runs `sidelong model`.
///
/// # Errors
///
/// What the store, the disk or the bundle says.
pub(super) fn run(args: &ModelArgs) -> anyhow::Result<()> {
    let runtime = runtime()?;
    match &args.command {
        Command::Keygen(keygen) => keygen.run(),
        Command::Export(export) => export.run(),
        Command::Pin(pin) => pin.run(),
        Command::Quarantine(quarantine) => quarantine.run(),
        Command::Ls(ls) => until_read(runtime.block_on(ls.run(&mut io::stdout().lock()))),
        Command::Show(show) => until_read(runtime.block_on(show.run(&mut io::stdout().lock()))),
        Command::Diff(diff) => until_read(runtime.block_on(diff.run(&mut io::stdout().lock()))),
        Command::Verify(verify) => runtime.block_on(verify.run()),
        Command::Publish(publish) => runtime.block_on(publish.run()),
        Command::Promote(promote) => runtime.block_on(promote.run()),
        Command::Rollback(rollback) => runtime.block_on(rollback.run()),
        Command::Track(track) => runtime.block_on(track.run()),
    }
}

/// Whoever reads the output may have had enough, as `head` has.
fn until_read(done: anyhow::Result<()>) -> anyhow::Result<()> {
    done.or_else(|error| if is_broken_pipe(&error) { Ok(()) } else { Err(error) })
}

// === impl Place ===

impl Place {
    fn registry(&self) -> anyhow::Result<Registry> {
        let store = Store::open(&self.store).context("--store")?;
        Registry::new(store, &self.name, self.max_size.saturating_mul(1 << 20)).context("--name")
    }
}

// === impl Answer ===

impl Answer {
    fn key(&self) -> anyhow::Result<SigningKey> {
        let path = self.key.display();
        let pem =
            std::fs::read_to_string(&self.key).with_context(|| format!("cannot read {path} (--key)"))?;
        SigningKey::from_pem(&pem).with_context(|| format!("{path} (--key)"))
    }
}

impl Answer {
    /// Sidecars that trust only the key of the champion before will refuse this one.
    fn tell_of_another_key(&self, key: &SigningKey, before: Option<&Entry>) {
        let id = key.public().id().to_string();
        if let Some(before) = before.filter(|before| before.key_id != id) {
            let Entry { version, key_id, .. } = before;
            eprintln!(
                "note: version {version} was signed by {key_id}; sidecars serve this one only if they trust {id}, too"
            );
        }
    }
}

// === impl Export, Publish, Promote, Rollback ===

impl Export {
    fn run(&self) -> anyhow::Result<()> {
        ensure_no_bundle(&self.folder)?;
        let bundle = builtin(&self.name);
        bundle.write(&self.folder).with_context(|| format!("cannot write {}", self.folder.display()))?;
        println!(
            "wrote {} files, {} bytes, to {}",
            bundle.blobs.len() + 1,
            bundle.manifest.bytes(),
            self.folder.display()
        );
        Ok(())
    }
}

/// The bundle of the model that is built in; made by the same binary it is the same, bit for bit.
pub(super) fn builtin(name: &str) -> Bundle {
    let lineage = [("recipe".to_owned(), "built in; make generate grows its forests".to_owned())];
    let origin = Origin { model: name.to_owned(), lineage: lineage.into(), ..Origin::default() };
    Bundle::candidate(&Hybrid::default(), origin)
}

impl Publish {
    async fn run(&self) -> anyhow::Result<()> {
        let bundle = read(&self.bundle)?;
        let name = self.place.registry()?.publish(&bundle, now_ms()).await?;
        println!("candidate {name}");
        eprintln!(
            "next: sidelong evaluate … --store … --challenger {0} --json evaluation.json, then sidelong model promote --store … --key … \
             --evaluation evaluation.json --reason … {0}",
            name.short()
        );
        Ok(())
    }
}

/// Refuses to write over a bundle.
pub(super) fn ensure_no_bundle(folder: &Path) -> anyhow::Result<()> {
    let there = Bundle::is_in(folder);
    ensure!(!there, "{} holds a bundle already; give another folder", folder.display());
    Ok(())
}

pub(super) fn read(folder: &Path) -> anyhow::Result<Bundle> {
    Bundle::read(folder).with_context(|| format!("{} holds no bundle that can be used", folder.display()))
}

/// Bundles with more bytes are not looked at by those who judge.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// The model of `bundle`, whoever signed it, to look at what it says of the past.
pub(super) fn usable(bundle: &Bundle) -> Result<Model, Refusal> {
    let trust = Trust::default();
    bundle.inspect(&Measure {
        model: &bundle.manifest.model,
        trust: &trust,
        newest: 0,
        now_ms: now_ms(),
        max_bytes: MAX_BYTES,
        served: true,
    })
}

impl Promote {
    async fn run(&self) -> anyhow::Result<()> {
        let (registry, key, mlflow) = (self.place.registry()?, self.answer.key()?, self.mlflow.client()?);
        let bundle = registry.candidate(&self.candidate).await?;
        let candidate = bundle.sha256();
        let (beside, before) = (registry.champion().await?, champion(&registry).await?);
        if let Some(before) = before.as_ref().filter(|entry| entry.candidate == Some(candidate.to_string())) {
            bail!("candidate {candidate} is champion already, as version {}", before.version);
        }
        let trust = Trust::new([key.public()].into_iter().chain(self.trusted.iter().copied()), []);
        let evaluation = self.grounds.evaluation(&registry, &bundle, &trust).await?;
        if self.dry_run {
            println!("would make candidate {candidate} champion, signed by {}", key.public().id());
            self.answer.tell_of_another_key(&key, before.as_ref());
            return Ok(());
        }
        let evaluation = evaluation.as_deref();
        let promotion =
            Promotion { key: &key, reason: &self.answer.reason, evaluation, beside, now_ms: now_ms() };
        let version = registry.promote(candidate, promotion).await?;
        println!("version {version} is champion: candidate {candidate}, signed by {}", key.public().id());
        self.answer.tell_of_another_key(&key, before.as_ref());
        track::tell_of_champion(&self.mlflow, mlflow, &self.place, &registry).await;
        Ok(())
    }
}

impl Grounds {
    /// The evaluation, if it speaks for `candidate` beside the champion of now.
    async fn evaluation(
        &self,
        registry: &Registry,
        candidate: &Bundle,
        trust: &Trust,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(path) = &self.evaluation else { return Ok(None) };
        let what = || format!("{} (--evaluation)", path.display());
        let json = std::fs::read(path).with_context(|| format!("cannot read {}", what()))?;
        let receipt = Receipt::read(&json).with_context(what)?;
        let champion = registry.champion_manifest(trust).await.context(
            "the champion of the store is not who --key or --trust has signed: nothing can be better than it",
        )?;
        let champion = champion.unwrap_or_else(|| builtin(registry.model()).manifest);
        let contents = (candidate.manifest.content(), champion.content());
        receipt.speaks_for(candidate.sha256(), contents.0, contents.1).with_context(what)?;
        if receipt.gate != Gate::default() {
            eprintln!("note: it was judged by another gate than the one that is written down: {}", what());
        }
        Ok(Some(json))
    }
}

impl Rollback {
    async fn run(&self) -> anyhow::Result<()> {
        let (registry, key, mlflow) = (self.place.registry()?, self.answer.key()?, self.mlflow.client()?);
        let to = match self.to {
            Some(to) => to,
            None => before(&registry).await?,
        };
        let trust = Trust::new([key.public()].into_iter().chain(self.trusted.iter().copied()), []);
        let promotion = Promotion {
            key: &key,
            reason: &self.answer.reason,
            evaluation: None,
            beside: None,
            now_ms: now_ms(),
        };
        let version = registry.roll_back(to, &trust, promotion).await?;
        println!(
            "version {version}, which is version {to} again, is champion, signed by {}",
            key.public().id()
        );
        track::tell_of_champion(&self.mlflow, mlflow, &self.place, &registry).await;
        Ok(())
    }
}

/// The version that was champion before the one that is.
async fn before(registry: &Registry) -> anyhow::Result<u64> {
    let champion =
        champion(registry).await?.context("nobody was ever champion; `sidelong model promote` makes one")?;
    if let Some(to) = champion.returns_to {
        // The one before is the one that was not wanted.
        bail!("version {} is a return already, to {to}; say where to go with --to", champion.version);
    }
    champion.before.context("nobody was champion before; say where to go with --to")
}

/// What the log says of the champion.
async fn champion(registry: &Registry) -> anyhow::Result<Option<Entry>> {
    let champion = registry.champion().await?;
    Ok(registry.log().await?.into_iter().find(|entry| Some(entry.version) == champion))
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
