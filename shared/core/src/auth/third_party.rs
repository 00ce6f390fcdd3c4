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
    let message = hash::without(signed, &["signatures", "unsigned"]);
    let signatures: Vec<_> = json::members(json::get(signed, "signatures")?)
        .flat_map(|of_server| json::members(of_server.value))
        .filter(|signature| signature.raw_key.starts_with("ed25519:"))
        .filter_map(|signature| json::string(signature.value))
        .collect();
    let keys = public_keys(announced.content());
    let pairs = signatures
        .iter()
        .flat_map(|signature| keys.iter().map(move |key| (key, signature)));
    Some(
        pairs
            .take(MAX_VERIFICATIONS)
            .any(|(key, signature)| key.verify(&message, signature)),
    )
}

/// The keys an invite was announced with: one, and a list of more.
fn public_keys(content: &str) -> Vec<VerifyKey> {
    let one = json::get(content, "public_key");
    let list = json::get(content, "public_keys").unwrap_or("[]");
    let more = json::elements(list).filter_map(|entry| json::get(entry, "public_key"));
    one.into_iter()
        .chain(more)
        .filter_map(json::string)
        .filter_map(|key| VerifyKey::from_base64(&key.replace('-', "+").replace('_', "/")).ok())
        .take(MAX_VERIFICATIONS)
        .collect()
}
