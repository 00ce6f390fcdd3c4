//! The two hashes of an event: of its content, and the reference hash that names it.
//!
//! See <https://spec.matrix.org/v1.19/server-server-api/#signing-events>.

use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
    },
};
use sha2::{Digest as _, Sha256};

use super::json;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Unpadded base64 as other servers write it: some pad, some leave bits behind the last byte.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The hash of some bytes.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// The hash of bytes that are not next to each other.
pub(super) fn sha256_parts(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The content hash of a canonical event: all of it except `hashes`, `signatures` and `unsigned`.
pub fn content_hash(event: &str) -> Hash {
    sha256(&without(event, &["hashes", "signatures", "unsigned"]))
}

/// A canonical object without some of its members.
pub fn without(object: &str, keys: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(object.len());
    out.push(b'{');
    for member in json::members(object) {
        if !keys.contains(&member.raw_key) {
            write_member(&mut out, &object[member.span]);
        }
    }
    out.push(b'}');
    out
}

/// Appends a member to an object that is being written.
pub(super) fn write_member(out: &mut Vec<u8>, member: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(member.as_bytes());
}

/// Unpadded standard base64.
pub fn encode_base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Unpadded URL-safe base64.
pub fn encode_url_safe_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads unpadded standard base64; forgives padding and left-over bits.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text).ok()
}
