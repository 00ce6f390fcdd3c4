//! Signing keys, and signatures of JSON objects.
//!
//! See <https://spec.matrix.org/v1.19/appendices/#signing-json>.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, Verifier as _, VerifyingKey};
use ruma::ServerName;

use super::{
    canonical::{JsonError, canonical_object},
    hash::{decode_base64, encode_base64, without, write_member},
    json,
};
use crate::room_version::Numbers;

/// The one algorithm there is, as it stands in key ids and key files.
const ALGORITHM: &str = "ed25519";

/// Longest version of a signing key, in bytes.
const MAX_KEY_VERSION_BYTES: usize = 64;

/// A key file or key is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form `ed25519 version seed`.
    #[error("a signing key is written `ed25519 <version> <seed in unpadded base64>`")]
    Format,
    /// A version with other characters than letters, digits and underscores, none at all, or too many.
    #[error("the version of a signing key is 1 to {MAX_KEY_VERSION_BYTES} letters, digits and underscores")]
    Version,
    /// Not 32 bytes in base64, or no point of the curve.
    #[error("not an ed25519 key in base64")]
    Bytes,
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The object is no canonical JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No signature of that server.
    #[error("not signed by {0}")]
    Missing(String),
    /// None of that server's signatures is by a key we know to be valid.
    #[error("not signed by {0} with a key that is known and valid")]
    NoKnownKey(String),
    /// A signature by a known key does not fit.
    #[error("a signature of {0} does not match")]
    Mismatch(String),
}

/// A key this server signs with.
#[derive(Clone)]
pub struct SigningKey {
    /// `ed25519:` and the version.
    key_id: Box<str>,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A key from 32 random bytes of the caller's.
    pub fn from_seed(version: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let well_formed = (1..=MAX_KEY_VERSION_BYTES).contains(&version.len())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !well_formed {
            return Err(KeyError::Version);
        }
        Ok(Self {
            key_id: format!("{ALGORITHM}:{version}").into(),
            key: ed25519_dalek::SigningKey::from_bytes(seed),
        })
    }

    /// Reads the line of a key file, `ed25519 a_abcd <seed>`, the format Synapse has as well.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(ALGORITHM), Some(version), Some(seed), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(KeyError::Format);
        };
        let seed = decode_base64(seed).ok_or(KeyError::Bytes)?;
        Self::from_seed(version, &seed.try_into().map_err(|_| KeyError::Bytes)?)
    }

    /// The line of a key file. It is the secret itself.
    pub fn to_line(&self) -> String {
        format!("{ALGORITHM} {} {}", self.version(), encode_base64(self.key.as_bytes()))
    }

    /// `ed25519:` and the version.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What tells this key from others of the same server.
    pub fn version(&self) -> &str {
        self.key_id.split_once(':').map_or("", |(_, version)| version)
    }

    /// The key others verify with.
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey(self.key.verifying_key())
    }

    /// Signs some bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// The public half of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyKey(VerifyingKey);

impl VerifyKey {
    /// Reads unpadded base64.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = decode_base64(text).ok_or(KeyError::Bytes)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Bytes)?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| KeyError::Bytes)
    }

    /// Writes unpadded base64.
    pub fn to_base64(self) -> String {
        encode_base64(self.0.as_bytes())
    }

    /// Whether `signature`, in base64, is this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        let Some(bytes) = decode_base64(signature) else {
            return false;
        };
        Signature::from_slice(&bytes).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

/// Adds a signature to a JSON object; gives it in canonical form.
pub fn sign_json(object: &[u8], server: &ServerName, key: &SigningKey) -> Result<String, JsonError> {
    let object = canonical_object(object, Numbers::Strict)?;
    let signature = key.sign(&without(&object, &["signatures", "unsigned"]));
    Ok(add_signature(&object, server, key.key_id(), &signature))
}

/// Checks that `server` has signed a JSON object: with at least one key that `keys` knows by its id, and wrongly with
/// none of them.
pub fn verify_json(
    object: &[u8],
    server: &ServerName,
    keys: impl Fn(&str) -> Option<VerifyKey>,
) -> Result<(), SignatureError> {
    let object = canonical_object(object, Numbers::Strict)?;
    let message = without(&object, &["signatures", "unsigned"]);
    let signatures = json::get(&object, "signatures").unwrap_or("{}");
    verify_server(signatures, server, &message, keys)
}

/// Checks the signatures of one server among `signatures`, which are canonical.
pub(super) fn verify_server(
    signatures: &str,
    server: &ServerName,
    message: &[u8],
    keys: impl Fn(&str) -> Option<VerifyKey>,
) -> Result<(), SignatureError> {
    let of_server =
        json::get(signatures, server.as_str()).ok_or_else(|| SignatureError::Missing(server.to_string()))?;
    let mut verified = false;
    for member in json::members(of_server) {
        // Unknown algorithms and keys do not count, neither for nor against.
        let key_id = json::unescape(member.raw_key);
        let is_known = key_id
            .split_once(':')
            .is_some_and(|(algorithm, _)| algorithm == ALGORITHM);
        let Some(key) = is_known.then(|| keys(&key_id)).flatten() else {
            continue;
        };
        let signature = json::string(member.value).unwrap_or_default();
        if !key.verify(message, &signature) {
            return Err(SignatureError::Mismatch(server.to_string()));
        }
        verified = true;
    }
    if verified {
        Ok(())
    } else {
        Err(SignatureError::NoKnownKey(server.to_string()))
    }
}

/// A canonical object with one more signature.
pub(super) fn add_signature(object: &str, server: &ServerName, key_id: &str, signature: &[u8; 64]) -> String {
    let signatures = json::get(object, "signatures").unwrap_or("{}");
    let of_server = json::get(signatures, server.as_str()).unwrap_or("{}");
    let of_server = with_member(of_server, key_id, &format!("\"{}\"", encode_base64(signature)));
    let signatures = with_member(signatures, server.as_str(), &of_server);
    with_member(object, "signatures", &signatures)
}

/// A canonical object with a member set; the result is canonical as well.
pub(super) fn with_member(object: &str, key: &str, value: &str) -> String {
    let mut member = Vec::new();
    json::write_string(&mut member, key);
    member.push(b':');
    member.extend_from_slice(value.as_bytes());
    let member = String::from_utf8_lossy(&member).into_owned();

    let mut out = vec![b'{'];
    let mut written = false;
    for other in json::members(object) {
        let other_key = json::unescape(other.raw_key);
        if !written && *other_key >= *key {
            write_member(&mut out, &member);
            written = true;
        }
        if other_key != key {
            write_member(&mut out, &object[other.span]);
        }
    }
    if !written {
        write_member(&mut out, &member);
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
