//! Chores of the repository. `cargo run -p xtask -- help` lists them.

mod protobuf;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

const HELP: &str = "\
Usage: cargo run -p xtask -- COMMAND

  generate          write the checked-in generated files
  generate --check  write nothing; fail if a checked-in file is not what would be generated
";

/// One generated file: where it belongs below the repository's root, and what it holds.
struct Generated {
    path: PathBuf,
    text: String,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["generate"] => write(&repository()?),
        ["generate", "--check"] => check(&repository()?),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => bail!("unknown command\n{HELP}"),
    }
}

/// The repository's root: the parent of this package.
fn repository() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).context("the package has no parent directory")
}

fn write(root: &Path) -> anyhow::Result<()> {
    for file in protobuf::generate(root)? {
        let path = root.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        std::fs::write(&path, &file.text).with_context(|| format!("writing {}", path.display()))?;
        println!("{}", file.path.display());
    }
    Ok(())
}

fn check(root: &Path) -> anyhow::Result<()> {
    let stale: Vec<String> = protobuf::generate(root)?
        .into_iter()
        .filter(|file| !std::fs::read_to_string(root.join(&file.path)).is_ok_and(|text| text == file.text))
        .map(|file| file.path.display().to_string())
        .collect();
    if !stale.is_empty() {
        bail!("not as generated: {}\nrun: cargo run -p xtask -- generate", stale.join(", "));
    }
    Ok(())
}
