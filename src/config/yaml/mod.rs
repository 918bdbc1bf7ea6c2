//! YAML with Prometheus' manners: every unknown key is an error that names the line and the nearest
//! known key, `${ENV}` is expanded inside values, and all that is wrong is said at once.
//!
//! The text is parsed by `serde-saphyr`'s parser into a small tree that remembers where everything
//! stands. Its own serde front end is not used, since it stops at the first error, leaves `${ENV}`
//! alone in quoted texts and quotes the lines around an error, secrets among them.

mod de;
mod env;
mod node;
mod suggest;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

pub use self::env::Environment;
pub use self::node::Position;
pub use self::suggest::did_you_mean;

use self::node::Node;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Document {
    root: Node,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub position: Position,
    /// The option, such as `scrape.targets[0].url`; empty for the whole file.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

// === impl Document ===

impl Document {
    /// Parses one YAML document; an empty text is an empty mapping.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        node::compose(text).map(|root| Self { root })
    }

    /// Expands `${NAME}` and `${NAME:-default}` in all values; `$$` is one `$`.
    pub fn expand(&mut self, environment: &Environment<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        env::expand(&mut self.root, environment, &mut problems);
        problems
    }

    /// Takes the relative paths of the named options to start at `directory`, wherever they stand.
    pub fn set_directory(&mut self, directory: &Path, options: &[&str]) {
        self.root.set_directory(directory, options);
    }

    /// Reads the whole document as a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Problem>> {
        let problems = RefCell::default();
        let value = de::read(&self.root, "", &problems);
        let problems = problems.into_inner();
        value.filter(|_| problems.is_empty()).ok_or(problems)
    }

    /// Reads the value of one key of the document; the default where the key is absent or wrong.
    pub fn section<T: DeserializeOwned + Default>(&self, key: &str, problems: &mut Vec<Problem>) -> T {
        let Some(node) = self.root.get(key) else { return T::default() };
        let found = RefCell::default();
        let value = de::read(node, key, &found);
        problems.append(&mut found.into_inner());
        value.unwrap_or_default()
    }

    /// Reads the value of one key as a list, entry by entry, so that each tells its own problems.
    pub fn list<T: DeserializeOwned + Default>(&self, key: &str, problems: &mut Vec<Problem>) -> Vec<T> {
        let Some(entries) = self.root.get(key).and_then(Node::entries) else {
            return self.section(key, problems);
        };
        let found = RefCell::default();
        let read = |(index, entry)| de::read(entry, &format!("{key}[{index}]"), &found).unwrap_or_default();
        let values = entries.iter().enumerate().map(read).collect();
        problems.append(&mut found.into_inner());
        values
    }

    /// One problem for each top-level key that is not in `known`.
    pub fn unknown_keys(&self, known: &[&'static str]) -> Vec<Problem> {
        de::unknown_keys(&self.root, "", known)
    }

    /// Whether the top-level key is there.
    pub fn has(&self, key: &str) -> bool {
        self.root.get(key).is_some()
    }

    /// Where the option `path` stands, such as `rules[2].match[0]`, or the nearest thing around it.
    pub fn position(&self, path: &str) -> Position {
        self.root.position(path)
    }

    /// A problem with the option `path`, found by a later check.
    pub fn problem(&self, path: impl Into<String>, message: impl fmt::Display) -> Problem {
        let path = path.into();
        Problem { position: self.position(&path), path, message: message.to_string() }
    }
}

/// Parses `text` and reads it as a `T`, without `${ENV}` expansion.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Problem>> {
    Document::parse(text).map_err(|problem| vec![problem])?.read()
}

// === impl Problem ===

impl fmt::Display for Problem {
    /// `12:3: scores.max_serie: unknown key`; the file is put in front by whoever knows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.position)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}
