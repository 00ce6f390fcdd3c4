//! How a new session is told to the client.

use plexus_service::users::sessions::{NewSession, NewTokens};
use ruma::UserId;
use serde_json::{Value, json};

/// What login and registration answer.
pub(super) fn session_reply(user_id: &UserId, session: Option<&NewSession>) -> Value {
    let mut reply = json!({"user_id": user_id, "home_server": user_id.server_name()});
    if let Some(session) = session {
        reply["device_id"] = session.device_id.as_str().into();
        add_tokens(&mut reply, &session.tokens);
    }
    reply
}

/// Adds tokens to an answer.
pub(super) fn add_tokens(reply: &mut Value, tokens: &NewTokens) {
    reply["access_token"] = tokens.access_token.as_str().into();
    if let Some(refresh) = &tokens.refresh {
        reply["refresh_token"] = refresh.refresh_token.as_str().into();
        reply["expires_in_ms"] = refresh.expires_in_ms.into();
    }
}
