//! Credentials for the relay of calls: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver>.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ruma::UserId;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::{
    Ctx, Requester, ServiceError,
    ctx::{Turn, TurnCredentials},
};

/// Where the requester's calls are relayed; nothing if there is no relay.
pub fn turn_server(ctx: &Ctx, requester: &Requester) -> Result<Value, ServiceError> {
    let turn = &ctx.config.accounts.turn;
    if turn.uris.is_empty() {
        return Ok(json!({}));
    }
    let (username, password) = credentials(turn, &requester.user_id, ctx.clock.now_ms())?;
    Ok(json!({
        "username": username,
        "password": password,
        "uris": turn.uris,
        "ttl": turn.lifetime_ms / 1000,
    }))
}

/// By a shared secret they are the user's own and end by themselves: draft-uberti-behave-turn-rest-00.
fn credentials(turn: &Turn, user_id: &UserId, now_ms: i64) -> Result<(String, String), ServiceError> {
    match &turn.credentials {
        TurnCredentials::Fixed { username, password } => Ok((username.clone(), password.clone())),
        TurnCredentials::Secret(secret) => {
            let ends_s = now_ms.saturating_add(turn.lifetime_ms) / 1000;
            let username = format!("{ends_s}:{user_id}");
            let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map_err(ServiceError::internal)?;
            mac.update(username.as_bytes());
            let password = STANDARD.encode(mac.finalize().into_bytes());
            Ok((username, password))
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn credentials_of_a_secret_end_and_are_the_users_own() {
        let turn = Turn {
            uris: vec!["turn:relay?transport=udp".to_owned()],
            credentials: TurnCredentials::Secret("n0t4ctuAllymatr1Xd0TorgSshar3d5ecret4obvIousreAsons".to_owned()),
            lifetime_ms: 86_400_000,
        };
        let (username, password) = credentials(&turn, user_id!("@alice:here"), 1_000_000_000).expect("made");
        assert_eq!(username, "1086400:@alice:here");
        // printf '1086400:@alice:here' | openssl sha1 -binary -hmac <the secret> | base64
        assert_eq!(password, "QUnzkoICZi8o0SEZm0VmEbl27SQ=");
    }
}
