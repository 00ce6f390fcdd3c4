//! Ids and secrets that this server makes up.

use bytes::Bytes;
use plexus_proto as proto;
use rand::{Rng, RngExt, distr::Alphanumeric};
use sha2::{Digest, Sha256};

use crate::Requester;

/// Random characters of an access token: 190 bits.
const ACCESS_TOKEN_CHARS: usize = 32;

/// A text of `length` random letters and digits.
pub fn random_text(length: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

/// A new access token. Its prefix tells scanners of leaked secrets what it is.
pub fn new_access_token() -> String {
    format!("plx_{}", random_text(ACCESS_TOKEN_CHARS))
}

/// A new refresh token.
pub fn new_refresh_token() -> String {
    format!("plxr_{}", random_text(ACCESS_TOKEN_CHARS))
}

/// What is stored of an access token, or of a refresh token.
pub fn hash_access_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A Command with an id of its own: retried while it is in flight, never asked for again.
pub fn new_command(kind: proto::command::Kind) -> proto::Command {
    let mut id = vec![0; 16];
    rand::rng().fill_bytes(&mut id);
    proto::Command {
        id: id.into(),
        kind: Some(kind),
        task: None,
    }
}

/// A Command for a request that may or may not have a transaction id; see [`transaction_command`].
pub fn command(
    requester: &Requester,
    endpoint: &[&str],
    transaction_id: Option<&str>,
    kind: proto::command::Kind,
) -> proto::Command {
    match transaction_id {
        Some(id) => transaction_command(requester, endpoint, id, kind),
        None => new_command(kind),
    }
}

/// A Command whose id is the client's transaction: the same request again gets the same answer.
///
/// A transaction id belongs to a device and an endpoint; `endpoint` names the second with its path arguments.
pub fn transaction_command(
    requester: &Requester,
    endpoint: &[&str],
    transaction_id: &str,
    kind: proto::command::Kind,
) -> proto::Command {
    let mut hash = Sha256::new();
    let parts = [requester.user_id.as_str(), requester.device_id.as_str(), transaction_id];
    for part in parts.iter().chain(endpoint) {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    proto::Command {
        id: Bytes::copy_from_slice(&hash.finalize()[..16]),
        kind: Some(kind),
        task: None,
    }
}
