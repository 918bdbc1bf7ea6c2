//! `sidelong model keygen`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::model::bundle::SigningKey;

/// Make a key for promotions, and print what sidecars are told of it.
#[derive(Clone, Debug, Args)]
pub(super) struct Keygen {
    /// The file of the private key, which must not exist yet; only its owner may read it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

// === impl Keygen ===

impl Keygen {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let pem = SigningKey::generate_pem()?;
        let public = SigningKey::from_pem(&pem)?.public();
        let path = self.out.display();
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.out).with_context(
                || format!("cannot make {path} (--out); a key is never overwritten, so give a new name"),
            )?;
        file.write_all(pem.as_bytes()).with_context(|| format!("cannot write {path}"))?;
        println!("# key {}; keep {path} where promotions are made, and nowhere else", public.id());
        println!("model:\n  trusted_keys: [\"{public}\"]");
        Ok(())
    }
}
