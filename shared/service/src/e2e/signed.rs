//! JSON objects that are signed by users' keys: what is signed, by whom, and with whose signatures they are shown.

use std::collections::BTreeMap;

use plexus_core::{
    event::{VerifyKey, canonical::canonical_object},
    room_version::Numbers,
};
use ruma::UserId;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

/// The members of an object, as they are.
type Members = BTreeMap<String, Box<RawValue>>;

/// Signatures by user and key.
type Signatures = BTreeMap<String, BTreeMap<String, Box<RawValue>>>;

/// What a signature of the object is made of: its canonical form without `signatures` and `unsigned`. None if it is no object with such a form.
pub(crate) fn message(object: &[u8]) -> Option<String> {
    let mut members: Members = serde_json::from_slice(object).ok()?;
    members.remove("signatures");
    members.remove("unsigned");
    let rest = serde_json::to_vec(&members).ok()?;
    canonical_object(&rest, Numbers::Strict).ok()
}

/// The signatures in the object that a user has made, by the id of the key.
pub(super) fn signatures_by(object: &[u8], user_id: &UserId) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Signed {
        #[serde(default)]
        signatures: BTreeMap<String, BTreeMap<String, String>>,
    }
    let signed: Option<Signed> = serde_json::from_slice(object).ok();
    signed
        .and_then(|mut signed| signed.signatures.remove(user_id.as_str()))
        .unwrap_or_default()
}

/// Whether a signature is one of that message by that public key, which is in base64.
pub(super) fn is_signed(message: &str, public_key: &str, signature: &str) -> bool {
    VerifyKey::from_base64(public_key).is_ok_and(|key| key.verify(message.as_bytes(), signature))
}

/// A signature to be shown with an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) signer: &'a str,
    pub(super) key_id: &'a str,
    pub(super) signature: &'a str,
}

/// The object as a user sees it: of the signatures in it those that were made by `seen`, and the others that came later. `unsigned` takes the place of what
/// the object says there. None if it is not an object that is signed as it should be.
pub(super) fn show(
    object: &[u8],
    seen: &[&UserId],
    later: &[Shown<'_>],
    unsigned: Option<&RawValue>,
) -> Option<Box<RawValue>> {
    let mut members: Members = serde_json::from_slice(object).ok()?;
    let given = members.remove("signatures");
    let is_signed_at_all = given.is_some() || !later.is_empty();
    let mut signatures: Signatures = match given {
        Some(signatures) => serde_json::from_str(signatures.get()).ok()?,
        None => Signatures::new(),
    };
    signatures.retain(|signer, _| seen.iter().any(|seen| seen.as_str() == signer));
    for shown in later {
        let signature = to_raw_value(shown.signature).ok()?;
        let of_signer = signatures.entry(shown.signer.to_owned()).or_default();
        of_signer.insert(shown.key_id.to_owned(), signature);
    }
    if is_signed_at_all {
        members.insert("signatures".to_owned(), to_raw_value(&signatures).ok()?);
    }
    if let Some(unsigned) = unsigned {
        members.insert("unsigned".to_owned(), unsigned.to_owned());
    }
    to_raw_value(&members).ok()
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_signed_is_without_signatures_and_in_one_form() {
        let given = br#"{"b": 1, "signatures": {"@a:x": {}}, "a": "z", "unsigned": {"age": 1}}"#;
        assert_eq!(message(given).as_deref(), Some(r#"{"a":"z","b":1}"#));
        assert_eq!(message(b"[1]"), None);
        assert_eq!(message(br#"{"a": 1.5}"#), None);
    }

    #[test]
    fn a_user_sees_only_some_signatures() {
        let object = br#"{"keys":{"a":1.50},"signatures":{"@a:x":{"ed25519:1":"one"},"@b:x":{"ed25519:2":"two"}}}"#;
        let later = [Shown {
            signer: "@c:x",
            key_id: "ed25519:3",
            signature: "three",
        }];
        let shown = show(object, &[user_id!("@a:x")], &later, None).expect("an object");
        assert_eq!(
            shown.get(),
            r#"{"keys":{"a":1.50},"signatures":{"@a:x":{"ed25519:1":"one"},"@c:x":{"ed25519:3":"three"}}}"#
        );
        let unsigned = to_raw_value(&json!({})).expect("JSON");
        let shown = show(br#"{"keys":{}}"#, &[], &[], Some(&unsigned)).expect("an object");
        assert_eq!(shown.get(), r#"{"keys":{},"unsigned":{}}"#);
        assert!(show(br#"{"signatures": 1}"#, &[], &[], None).is_none());
    }
}
