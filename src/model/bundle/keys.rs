//! Who may promote a model: Ed25519 keys (RFC 8032), and which of them a sidecar trusts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::manifest::Digest;

/// Characters of a line of PEM (RFC 7468).
const PEM_LINE: usize = 64;
/// Hexadecimal digits of a key's name.
const ID_DIGITS: usize = 16;

/// What promotions are signed with.
pub struct SigningKey(Ed25519KeyPair);

/// What a signature is checked with; written as base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// The name of a key: the first 16 hexadecimal digits of the SHA-256 of the public one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

/// The keys whose signature counts. Several make rotation possible: the next one is trusted before the last is gone.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: BTreeMap<KeyId, PublicKey>,
    revoked: BTreeSet<KeyId>,
}

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no private key.
    #[error("this is no Ed25519 private key in PKCS#8 PEM; `sidelong model keygen` makes one")]
    Private,
    /// It is no public key.
    #[error("this is no Ed25519 public key: 32 bytes in base64, as `sidelong model keygen` prints them")]
    Public,
    /// It is no name of a key.
    #[error(
        "this is no name of a key: {ID_DIGITS} hexadecimal digits, as `sidelong model keygen` prints them"
    )]
    Id,
    /// There is no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

// === impl SigningKey ===

impl SigningKey {
    /// A new key, as PKCS#8 PEM.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`].
    pub fn generate_pem() -> Result<String, KeyError> {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        let text = STANDARD.encode(der.as_ref());
        let lines = text.as_bytes().chunks(PEM_LINE).map(String::from_utf8_lossy);
        let body: String = lines.map(|line| format!("{line}\n")).collect();
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n"))
    }

    /// Reads a key as PKCS#8 PEM, of `sidelong model keygen` or of `openssl genpkey -algorithm ed25519`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Private)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map(Self)
            .map_err(|_| KeyError::Private)
    }

    /// What its signatures are checked with.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public().id()).finish()
    }
}

// === impl PublicKey ===

impl PublicKey {
    /// Its name.
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(&self.0).to_string().chars().take(ID_DIGITS).collect())
    }

    fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError::Public)?;
        bytes.try_into().map(Self).map_err(|_| KeyError::Public)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

// === impl KeyId ===

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_id = text.len() == ID_DIGITS && text.bytes().all(is_hex);
        is_id.then(|| Self(text.to_owned())).ok_or(KeyError::Id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Trust ===

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Good,
    UnknownKey,
    RevokedKey,
    Wrong,
}

impl Trust {
    /// Trusts `keys`, but for those that are `revoked`.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, revoked: impl IntoIterator<Item = KeyId>) -> Self {
        let keys = keys.into_iter().map(|key| (key.id(), key)).collect();
        Self { keys, revoked: revoked.into_iter().collect() }
    }

    pub(super) fn weigh(&self, key_id: &str, bytes: &[u8], signature: &[u8]) -> Worth {
        let id = KeyId(key_id.to_owned());
        match self.keys.get(&id) {
            _ if self.revoked.contains(&id) => Worth::RevokedKey,
            None => Worth::UnknownKey,
            Some(key) if key.has_signed(bytes, signature) => Worth::Good,
            Some(_) => Worth::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_made_is_read_again() {
        let pem = SigningKey::generate_pem().unwrap();
        let (one, other) = (SigningKey::from_pem(&pem).unwrap(), SigningKey::from_pem(&pem).unwrap());
        assert_eq!(one.public(), other.public());
        assert_eq!(one.public().to_string().parse(), Ok(one.public()));
        assert_eq!(one.public().id().to_string().parse(), Ok(one.public().id()));
        assert!(pem.lines().all(|line| line.len() <= PEM_LINE));
    }

    /// RFC 8032, section 7.1, test 2: the key as OpenSSL writes it, without the public half.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let der: Vec<u8> = hex("302e020100300506032b657004220420").into_iter().chain(hex(seed)).collect();
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
        let key = SigningKey::from_pem(&pem).unwrap();
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(key.public().0.as_slice(), public);
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(key.sign(b"\x72"), hex(signature));
    }

    #[test]
    fn what_is_no_key_is_told() {
        assert_eq!(SigningKey::from_pem("-----BEGIN").unwrap_err(), KeyError::Private);
        assert_eq!("AAAA".parse::<PublicKey>(), Err(KeyError::Public));
        for wrong in ["", "0123", "0123456789ABCDEF", "0123456789abcdeg"] {
            assert_eq!(wrong.parse::<KeyId>(), Err(KeyError::Id));
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }
}
