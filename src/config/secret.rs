//! Values that must not show up in logs, status pages or error texts.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// What a secret looks like wherever it is shown. Prometheus writes the same.
pub const HIDDEN: &str = "<secret>";

/// The largest secret file that is read, in bytes. A service account token has about 1 KiB.
pub const MAX_SECRET_FILE_BYTES: u64 = 64 << 10;

/// A password, token or key.
///
/// `Debug`, `Display` and `Serialize` all show [`HIDDEN`]; only [`Secret::expose`] gives the text.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// The path of a file that holds a secret and may be rotated while Sidelong runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretFile(PathBuf);

/// Why a secret could not be read from its file.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is absent, unreadable or not UTF-8.
    #[error("cannot read the secret file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is larger than [`MAX_SECRET_FILE_BYTES`].
    #[error(
        "the secret file {path} is larger than {MAX_SECRET_FILE_BYTES} bytes; name a file that holds the secret alone"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file holds white space only.
    #[error("the secret file {path} is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

// === impl Secret ===

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the secret is the empty text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "secret" })
    }
}

// === impl SecretFile ===

impl SecretFile {
    /// Names the file; it is read by [`SecretFile::read`] only.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the secret as it stands now, without the white space around it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let path = || self.0.clone();
        let mut text = String::new();
        File::open(&self.0)
            .and_then(|file| file.take(MAX_SECRET_FILE_BYTES + 1).read_to_string(&mut text))
            .map_err(|source| SecretError::Read { path: path(), source })?;
        if text.len() as u64 > MAX_SECRET_FILE_BYTES {
            return Err(SecretError::TooLarge { path: path() });
        }
        match text.trim() {
            "" => Err(SecretError::Empty { path: path() }),
            secret => Ok(Secret::new(secret)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_nowhere_but_where_it_is_exposed() {
        let secret: Secret = serde_saphyr::from_str("hunter2").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        for shown in [format!("{secret:?}"), format!("{secret}"), serde_json::to_string(&secret).unwrap()] {
            assert!(!shown.contains("hunter2") && shown.contains(HIDDEN), "{shown}");
        }
    }

    #[test]
    fn a_secret_of_digits_is_a_text() {
        assert_eq!(serde_saphyr::from_str::<Secret>("123456").unwrap().expose(), "123456");
    }

    #[test]
    fn a_secret_file_is_trimmed_and_read_anew_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = SecretFile::new(dir.path().join("token"));
        std::fs::write(file.path(), " first\n").unwrap();
        assert_eq!(file.read().unwrap().expose(), "first");
        std::fs::write(file.path(), "second").unwrap();
        assert_eq!(file.read().unwrap().expose(), "second");
    }

    #[test]
    fn a_secret_file_that_is_absent_empty_or_huge_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = SecretFile::new(dir.path().join("token"));
        assert!(matches!(file.read(), Err(SecretError::Read { .. })));
        std::fs::write(file.path(), "\n \n").unwrap();
        assert!(matches!(file.read(), Err(SecretError::Empty { .. })));
        std::fs::write(file.path(), vec![b'x'; (64 << 10) + 1]).unwrap();
        assert!(matches!(file.read(), Err(SecretError::TooLarge { .. })));
        assert!(file.read().unwrap_err().to_string().contains("65536 bytes"));
    }
}
