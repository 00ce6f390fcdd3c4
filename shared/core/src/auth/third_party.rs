//! Invites through an identity server: the invited address turned out to belong to a user, and the identity server
//! signed for it.

use super::{AuthError, State, allow};
use crate::event::{EventBody, VerifyKey, hash, json};

/// How many signatures are verified for one invite. An invite has one signature and a handful of keys; an event full of both
/// would cost minutes.
const MAX_VERIFICATIONS: usize = 100;

/// The rules for an invite with a `third_party_invite`; that the target is not banned has been checked.
pub(super) fn check_invite(event: &EventBody, target: &str, invite: &str, state: &State<'_>) -> Result<(), AuthError> {
    let is_valid = is_announced_and_signed(event, target, invite, state).unwrap_or(false);
    allow(is_valid, AuthError::InvalidThirdPartyInvite)
}

/// None where something is missing.
fn is_announced_and_signed(event: &EventBody, target: &str, invite: &str, state: &State<'_>) -> Option<bool> {
    let signed = json::get(invite, "signed").filter(|signed| json::is_object(signed))?;
    let user = json::get(signed, "mxid").and_then(json::string)?;
    let token = json::get(signed, "token").and_then(json::string)?;
    let announced = state("m.room.third_party_invite", &token)?;
    if user != target || announced.sender() != event.sender() {
        return Some(false);
    }
    Some(verifying(announced.content(), signed).next().is_some())
}

/// A key that an invite of an address was announced with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteKey {
    /// The key, as the announcement writes it.
    pub text: String,
    /// Where it is told whether it is still good; without, it always is.
    pub validity_url: Option<String>,
}

/// Those of the keys in an announcement's content by which a block is signed, whoever is said to have signed it. Both are canonical JSON.
pub fn signing_keys(announced: &str, signed: &str) -> Vec<InviteKey> {
    let mut signing = Vec::new();
    for key in verifying(announced, signed) {
        if !signing.contains(&key) {
            signing.push(key);
        }
    }
    signing
}

fn verifying(announced: &str, signed: &str) -> impl Iterator<Item = InviteKey> {
    let message = hash::without(signed, &["signatures", "unsigned"]);
    let signatures: Vec<_> = json::members(json::get(signed, "signatures").unwrap_or("{}"))
        .flat_map(|of_server| json::members(of_server.value))
        .filter(|signature| signature.raw_key.starts_with("ed25519:"))
        .filter_map(|signature| json::string(signature.value))
        .collect();
    let keys = public_keys(announced);
    let pairs = signatures
        .into_iter()
        .flat_map(move |signature| keys.clone().into_iter().map(move |key| (key, signature.clone())));
    pairs
        .take(MAX_VERIFICATIONS)
        .filter(move |((key, _), signature)| key.verify(&message, signature))
        .map(|((_, announced), _)| announced)
}

/// The keys an invite was announced with: one, and a list of more.
fn public_keys(content: &str) -> Vec<(VerifyKey, InviteKey)> {
    let text = |object: &str, field: &str| Some(json::get(object, field).and_then(json::string)?.into_owned());
    let key = |object: &str| {
        let text_of_key = text(object, "public_key")?;
        let key = VerifyKey::from_base64(&text_of_key.replace('-', "+").replace('_', "/")).ok()?;
        let announced = InviteKey {
            text: text_of_key,
            validity_url: text(object, "key_validity_url"),
        };
        Some((key, announced))
    };
    let list = json::get(content, "public_keys").unwrap_or("[]");
    std::iter::once(content)
        .chain(json::elements(list))
        .filter_map(key)
        .take(MAX_VERIFICATIONS)
        .collect()
}
