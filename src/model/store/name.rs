//! What objects are called.

use std::fmt;

/// Bytes of a name: what S3 allows, less a prefix.
const LONGEST: usize = 512;

/// The name of an object: parts of letters, digits, `.`, `-`, `_` and `=`, with `/` between them. None leads out of its store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

/// Something cannot be the name of an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be part of the name of an object: use letters, digits, '.', '-', '_' and '='")]
pub struct NameError(pub String);

// === impl ObjectName ===

impl ObjectName {
    /// The name of these parts.
    ///
    /// # Errors
    ///
    /// A part that is empty, `.`, `..`, or has other characters; or more than 512 bytes in all.
    pub fn of(parts: &[&str]) -> Result<Self, NameError> {
        let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b".-_=".contains(&byte);
        let wrong = parts.iter().find(|part| {
            part.is_empty() || part.bytes().all(|byte| byte == b'.') || !part.bytes().all(may_be)
        });
        if let Some(wrong) = wrong {
            return Err(NameError((*wrong).to_owned()));
        }
        let name = parts.join("/");
        if name.is_empty() || name.len() > LONGEST { Err(NameError(name)) } else { Ok(Self(name)) }
    }

    /// A name as a store lists it.
    ///
    /// # Errors
    ///
    /// As [`Self::of`].
    pub fn parse(name: &str) -> Result<Self, NameError> {
        Self::of(&name.split('/').collect::<Vec<_>>())
    }

    /// With `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last part.
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it lies below `prefix`.
    pub fn is_below(&self, prefix: &Self) -> bool {
        self.0.strip_prefix(&prefix.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_its_store() {
        for wrong in
            ["", "/", "a//b", "/a", "a/", "..", "a/../b", ".", "a b", "a\\b", "ä", "a\0", "....", "a?b"]
        {
            assert!(ObjectName::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(ObjectName::parse(&"a".repeat(LONGEST + 1)).is_err());
        let name = ObjectName::parse("models/node.v1/versions/00000001").unwrap();
        assert_eq!(name.last(), "00000001");
        assert!(name.is_below(&ObjectName::parse("models/node.v1").unwrap()));
        assert!(!name.is_below(&ObjectName::parse("models/node").unwrap()));
        assert!(!name.is_below(&name));
    }
}
