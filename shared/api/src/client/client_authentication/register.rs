//! `POST /register`: an account, and a session in it.

use plexus_service::{
    ids::random_text,
    users::{
        register::{NewAccount, check_available, check_open, choose_user_id, create_account},
        sessions::DeviceWish,
    },
};
use ruma::api::client::{
    account::register::{RegistrationKind, v3::Request},
    uiaa::AuthData,
};
use serde_json::{Value, json};

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("register", Auth::None, |call| Box::pin(typed_raw(call, handle)));

/// Characters of the id of an interactive authentication.
const SESSION_CHARS: usize = 24;

/// ruma's response cannot leave `device_id` out where there is no session.
async fn handle(call: Call, request: Request) -> Result<Reply, Error> {
    let ctx = call.ctx();
    if request.kind == RegistrationKind::Guest {
        return Err(Error::guest_access_forbidden("this server has no guests"));
    }
    check_open(ctx)?;
    let user_id = choose_user_id(&ctx.config.server_name, request.username.as_deref())?;
    check_available(ctx, &user_id).await?;
    check_stages(request.auth.as_ref())?;
    let password = request
        .password
        .ok_or_else(|| Error::missing_param("missing password"))?;
    let wish = DeviceWish {
        device_id: request.device_id,
        display_name: request.initial_device_display_name,
    };
    let account = NewAccount {
        user_id: user_id.clone(),
        password: Some(password),
        admin: false,
        guest: false,
        display_name: None,
        session: (!request.inhibit_login).then_some(wish),
    };
    let session = create_account(ctx, account).await?;
    let mut reply = json!({"user_id": user_id, "home_server": user_id.server_name()});
    if let Some(session) = session {
        reply["access_token"] = session.access_token.into();
        reply["device_id"] = session.device_id.as_str().into();
    }
    Ok(json_reply(reply.to_string()))
}

/// The one flow has the one stage that asks for nothing. It can be done in the first request, or after being told of it.
fn check_stages(auth: Option<&AuthData>) -> Result<(), Error> {
    match auth {
        Some(AuthData::Dummy(_)) => Ok(()),
        None => Err(Error::interactive_auth(flows(&random_text(SESSION_CHARS)))),
        Some(other) => {
            let session = other
                .session()
                .map_or_else(|| random_text(SESSION_CHARS), str::to_owned);
            let mut body = flows(&session);
            body["errcode"] = "M_FORBIDDEN".into();
            body["error"] = "this stage is not part of any flow".into();
            Err(Error::interactive_auth(body))
        }
    }
}

fn flows(session: &str) -> Value {
    json!({"flows": [{"stages": ["m.login.dummy"]}], "params": {}, "session": session})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dummy_stage_is_enough_and_needed() {
        let auth = |json: Value| serde_json::from_value::<AuthData>(json).expect("auth data");
        assert!(check_stages(Some(&auth(json!({"type": "m.login.dummy"})))).is_ok());
        assert!(check_stages(Some(&auth(json!({"type": "m.login.dummy", "session": "s"})))).is_ok());
        let asked = check_stages(None).expect_err("not done").into_reply();
        let body: Value = serde_json::from_slice(asked.body()).expect("JSON");
        assert_eq!(
            (asked.status().as_u16(), &body["flows"]),
            (401, &json!([{"stages": ["m.login.dummy"]}]))
        );
        assert!(body["session"].is_string() && body.get("errcode").is_none());
        let wrong = auth(json!({"type": "m.login.terms", "session": "kept"}));
        let refused = check_stages(Some(&wrong)).expect_err("not offered").into_reply();
        let body: Value = serde_json::from_slice(refused.body()).expect("JSON");
        assert_eq!(
            (&body["session"], &body["errcode"]),
            (&json!("kept"), &json!("M_FORBIDDEN"))
        );
    }
}
