//! `sidelong version`.

use clap::Args;

/// The version alone.
pub const SHORT: &str = env!("CARGO_PKG_VERSION");

/// Print the version and what is built in.
#[derive(Clone, Copy, Debug, Args)]
pub struct VersionArgs {}

/// Runs `sidelong version`.
pub fn run(_: &VersionArgs) {
    println!("{}", text());
}

fn text() -> String {
    let features: Vec<&str> = [("s3", cfg!(feature = "s3")), ("mimalloc", cfg!(feature = "mimalloc"))]
        .into_iter()
        .filter_map(|(name, is_on)| is_on.then_some(name))
        .collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("sidelong {SHORT} ({os}/{arch}, features: {features})")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_names_platform_and_features() {
        let text = super::text();
        assert!(text.starts_with("sidelong 0.") && text.contains("features: "), "{text}");
    }
}
