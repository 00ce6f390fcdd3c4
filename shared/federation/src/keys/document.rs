//! The documents in which servers publish their keys.
//!
//! See <https://spec.matrix.org/v1.19/server-server-api/#publishing-keys>.

use std::collections::BTreeMap;

use plexus_core::{
    event::{
        JsonError, SignatureError, SigningKey, VerifyKey,
        canonical::canonical_object,
        json,
        sign::{sign_json, verify_json},
    },
    room_version::Numbers,
};
use ruma::{OwnedServerName, ServerName};
use serde_json::json;

/// Most bytes of a document.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// Most keys of a document, current and old ones each.
const KEYS_MAX: usize = 50;
/// Most bytes of a key's id.
const KEY_ID_BYTES_MAX: usize = 255;

/// Why a document is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Longer than [`BYTES_MAX`], or with more keys than [`KEYS_MAX`].
    #[error("it is too large")]
    TooLarge,
    /// A field is missing or of another type.
    #[error("it has no valid `{0}`")]
    Field(&'static str),
    /// It is about another server.
    #[error("it is the document of {0}")]
    OtherServer(String),
    /// It is not signed by a key it names itself.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// A document that its server has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDocument {
    /// Whose it is.
    pub server: OwnedServerName,
    /// Until when the server vouches for it, as it says.
    pub valid_until_ms: i64,
    /// The keys it signs with, by their ids.
    pub keys: BTreeMap<String, VerifyKey>,
    /// The keys it signed with, and when it stopped.
    pub old_keys: BTreeMap<String, (VerifyKey, i64)>,
    /// All of it, canonical.
    pub json: String,
}

impl KeyDocument {
    /// Reads a document of `server` and checks that the server has signed it: with a key that the document names.
    pub fn parse(document: &[u8], server: &ServerName) -> Result<Self, DocumentError> {
        let parsed = Self::parse_any(document)?;
        if parsed.server == server {
            Ok(parsed)
        } else {
            Err(DocumentError::OtherServer(parsed.server.to_string()))
        }
    }

    /// Reads a document of whatever server it names.
    pub fn parse_any(document: &[u8]) -> Result<Self, DocumentError> {
        if document.len() > BYTES_MAX {
            return Err(DocumentError::TooLarge);
        }
        let json = canonical_object(document, Numbers::Strict)?;
        let server = json::get(&json, "server_name").and_then(json::string);
        let server = server.and_then(|server| OwnedServerName::try_from(server.into_owned()).ok());
        let server = server.ok_or(DocumentError::Field("server_name"))?;
        let valid_until_ms = json::get(&json, "valid_until_ts")
            .and_then(json::integer)
            .ok_or(DocumentError::Field("valid_until_ts"))?;
        let keys: BTreeMap<String, VerifyKey> = keys(&json, "verify_keys")?
            .filter_map(|(key_id, value)| Some((key_id, key_of(value)?)))
            .collect();
        let mut old_keys: BTreeMap<String, (VerifyKey, i64)> = BTreeMap::new();
        if json::get(&json, "old_verify_keys").is_some() {
            old_keys.extend(self::keys(&json, "old_verify_keys")?.filter_map(|(key_id, value)| {
                let expired_ms = json::integer(json::get(value, "expired_ts")?)?;
                Some((key_id, (key_of(value)?, expired_ms)))
            }));
        }
        // What is both is current: the signature below is by one of those.
        old_keys.retain(|key_id, _| !keys.contains_key(key_id));
        verify_json(json.as_bytes(), &server, |key_id| keys.get(key_id).copied())?;
        Ok(Self {
            server,
            valid_until_ms,
            keys,
            old_keys,
            json,
        })
    }
}

/// The members of an object of keys that we can read: others are of algorithms to come.
fn keys<'a>(document: &'a str, field: &'static str) -> Result<impl Iterator<Item = (String, &'a str)>, DocumentError> {
    let object = json::get(document, field).filter(|value| json::is_object(value));
    let object = object.ok_or(DocumentError::Field(field))?;
    if json::members(object).count() > KEYS_MAX {
        return Err(DocumentError::TooLarge);
    }
    Ok(json::members(object).filter_map(|member| {
        let key_id = json::unescape(member.raw_key).into_owned();
        let is_known = key_id.starts_with("ed25519:") && key_id.len() <= KEY_ID_BYTES_MAX;
        is_known.then_some((key_id, member.value))
    }))
}

fn key_of(value: &str) -> Option<VerifyKey> {
    VerifyKey::from_base64(&json::string(json::get(value, "key")?)?).ok()
}

/// This server's keys, to be published.
#[derive(Clone, Debug)]
pub struct OwnKeys {
    /// This server.
    pub server: OwnedServerName,
    /// What it signs with.
    pub signing: std::sync::Arc<SigningKey>,
    /// What it signed with, by id, and when it stopped.
    pub old: BTreeMap<String, (VerifyKey, i64)>,
}

impl OwnKeys {
    /// The document, signed, canonical.
    pub fn document(&self, valid_until_ms: i64) -> Result<String, JsonError> {
        let signing = &self.signing;
        let old: serde_json::Map<String, serde_json::Value> = self
            .old
            .iter()
            .map(|(key_id, (key, expired_ms))| {
                (
                    key_id.clone(),
                    json!({"key": key.to_base64(), "expired_ts": expired_ms}),
                )
            })
            .collect();
        let document = json!({
            "server_name": self.server,
            "valid_until_ts": valid_until_ms,
            "verify_keys": {signing.key_id(): {"key": signing.verify_key().to_base64()}},
            "old_verify_keys": old,
        });
        self.sign(document.to_string().as_bytes())
    }

    /// An object with this server's signature besides those it has.
    pub fn sign(&self, object: &[u8]) -> Result<String, JsonError> {
        sign_json(object, &self.server, &self.signing)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ruma::server_name;

    use super::*;

    fn signing(version: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(version, &[seed; 32]).expect("a key")
    }

    fn own() -> OwnKeys {
        OwnKeys {
            server: server_name!("a.example").to_owned(),
            signing: Arc::new(signing("new", 1)),
            old: BTreeMap::from([("ed25519:old".to_owned(), (signing("old", 2).verify_key(), 77))]),
        }
    }

    /// A document with these members, signed by the key `new` of `a.example`.
    fn signed(members: &serde_json::Value) -> String {
        own().sign(members.to_string().as_bytes()).expect("JSON")
    }

    fn key_json(key: &SigningKey) -> serde_json::Value {
        json!({"key": key.verify_key().to_base64()})
    }

    #[test]
    fn what_is_published_can_be_read() {
        let document = own().document(1_000).expect("JSON");
        let parsed = KeyDocument::parse(document.as_bytes(), server_name!("a.example")).expect("valid");
        assert_eq!(parsed.valid_until_ms, 1_000);
        assert_eq!(
            parsed.keys,
            BTreeMap::from([("ed25519:new".to_owned(), signing("new", 1).verify_key())])
        );
        assert_eq!(parsed.old_keys, own().old);
        assert_eq!(parsed.json, document);
    }

    #[test]
    fn hostile_26_a_document_speaks_for_its_own_server_only() {
        let document = own().document(1_000).expect("JSON");
        let refused = KeyDocument::parse(document.as_bytes(), server_name!("b.example"));
        assert_eq!(refused, Err(DocumentError::OtherServer("a.example".to_owned())));
        // Signed by the right key, in another's name.
        let renamed = signed(
            &json!({"server_name": "b.example", "valid_until_ts": 1, "verify_keys": {"ed25519:new": key_json(&signing("new", 1))}}),
        );
        assert_eq!(
            KeyDocument::parse(renamed.as_bytes(), server_name!("b.example")),
            Err(SignatureError::Missing("b.example".to_owned()).into())
        );
    }

    #[test]
    fn hostile_26_a_document_is_signed_by_a_key_in_it() {
        let with_keys = |keys: serde_json::Value| {
            let document = signed(&json!({"server_name": "a.example", "valid_until_ts": 1, "verify_keys": keys}));
            KeyDocument::parse(document.as_bytes(), server_name!("a.example"))
        };
        let (new, other) = (signing("new", 1), signing("other", 9));
        assert!(with_keys(json!({"ed25519:new": key_json(&new), "ed25519:other": key_json(&other)})).is_ok());
        // The signature is by `new`, which the document does not have, or has as another key.
        assert!(with_keys(json!({"ed25519:other": key_json(&other)})).is_err());
        assert_eq!(
            with_keys(json!({"ed25519:new": key_json(&other)})),
            Err(SignatureError::Mismatch("a.example".to_owned()).into())
        );
        assert!(with_keys(json!({})).is_err());
        let altered = own().document(1_000).expect("JSON").replace("1000", "2000");
        assert!(KeyDocument::parse_any(altered.as_bytes()).is_err());
    }

    #[test]
    fn an_old_key_signs_no_document() {
        let document = signed(&json!({
            "server_name": "a.example", "valid_until_ts": 1, "verify_keys": {},
            "old_verify_keys": {"ed25519:new": {"key": signing("new", 1).verify_key().to_base64(), "expired_ts": 5}},
        }));
        assert!(KeyDocument::parse_any(document.as_bytes()).is_err());
    }

    #[test]
    fn keys_of_other_algorithms_do_not_spoil_the_rest() {
        let document = signed(&json!({
            "server_name": "a.example", "valid_until_ts": 1,
            "verify_keys": {"ed25519:new": key_json(&signing("new", 1)), "rsa:1": {"key": "x"}, "ed25519:bad": {"key": "x"}, "ed25519:worse": 1},
            "old_verify_keys": {"ed25519:old": {"key": signing("old", 2).verify_key().to_base64()}, "ed25519:new": {"key": "x", "expired_ts": 1}},
            "tls_fingerprints": [],
        }));
        let parsed = KeyDocument::parse_any(document.as_bytes()).expect("valid");
        assert_eq!(parsed.keys.keys().collect::<Vec<_>>(), ["ed25519:new"]);
        assert!(parsed.old_keys.is_empty(), "one without a time says nothing");
    }

    #[test]
    fn malformed_documents_are_refused() {
        let new = json!({"ed25519:new": key_json(&signing("new", 1))});
        for (document, error) in [
            (json!({"valid_until_ts": 1, "verify_keys": new}), "server_name"),
            (
                json!({"server_name": "a b", "valid_until_ts": 1, "verify_keys": new}),
                "server_name",
            ),
            (
                json!({"server_name": "a.example", "verify_keys": new}),
                "valid_until_ts",
            ),
            (
                json!({"server_name": "a.example", "valid_until_ts": "1", "verify_keys": new}),
                "valid_until_ts",
            ),
            (json!({"server_name": "a.example", "valid_until_ts": 1}), "verify_keys"),
            (
                json!({"server_name": "a.example", "valid_until_ts": 1, "verify_keys": []}),
                "verify_keys",
            ),
            (
                json!({"server_name": "a.example", "valid_until_ts": 1, "verify_keys": new, "old_verify_keys": []}),
                "old_verify_keys",
            ),
        ] {
            let refused = KeyDocument::parse_any(signed(&document).as_bytes());
            assert_eq!(refused, Err(DocumentError::Field(error)), "{document}");
        }
        let many: serde_json::Map<_, _> = (0..=KEYS_MAX)
            .map(|n| (format!("ed25519:{n}"), new["ed25519:new"].clone()))
            .collect();
        let many = signed(&json!({"server_name": "a.example", "valid_until_ts": 1, "verify_keys": many}));
        assert_eq!(KeyDocument::parse_any(many.as_bytes()), Err(DocumentError::TooLarge));
        assert!(KeyDocument::parse_any(b"[]").is_err());
        assert_eq!(
            KeyDocument::parse_any(&vec![b' '; BYTES_MAX + 1]),
            Err(DocumentError::TooLarge)
        );
    }
}
