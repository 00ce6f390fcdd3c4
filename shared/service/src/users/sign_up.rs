//! How somebody makes his own account: <https://spec.matrix.org/v1.19/client-server-api/#account-registration-and-management>.

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    register::{NewAccount, check_available, check_open, choose_user_id, create_account},
    sessions::{DeviceWish, NewSession, create_session},
    uia::{self, Demand, Stage},
};
use crate::{Ctx, ServiceError, error::Refusal, ids::hash_access_token};

/// What a client sends.
#[derive(Debug, Default, Deserialize)]
pub struct SignUp {
    #[serde(default)]
    auth: Option<Value>,
    #[serde(default)]
    password: Option<String>,
    /// The access token of the guest whose account becomes a user's.
    #[serde(default)]
    guest_access_token: Option<String>,
    #[serde(flatten)]
    wishes: Wishes,
}

/// What is remembered of the first request when another one goes on with it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Wishes {
    username: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    inhibit_login: Option<bool>,
    /// Whether the client knows how to refresh.
    refresh_token: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Remembered {
    wishes: Wishes,
    password_hash: Option<String>,
    /// The account this session has made: the same request again gets it again.
    made: Option<OwnedUserId>,
}

/// A new account, with a session unless the client wanted none.
#[derive(Debug)]
pub struct SignedUp {
    pub user_id: OwnedUserId,
    pub session: Option<NewSession>,
}

/// Makes an account for whoever goes through the stages this server asks for.
pub async fn sign_up(ctx: &Ctx, request: SignUp) -> Result<SignedUp, ServiceError> {
    check_open(ctx)?;
    let demand = demand(ctx);
    let mut begun = uia::open(ctx, &demand, request.auth.as_ref()).await?;
    let before = begun.as_ref().map(|begun| Remembered::deserialize(begun.remembered()));
    let before = before.transpose().map_err(ServiceError::internal)?.unwrap_or_default();
    let wishes = request.wishes.or(before.wishes);
    if let Some(user_id) = before.made {
        return again(ctx, user_id, wishes).await;
    }
    let wanted = match &wishes.username {
        Some(username) => Some(choose_user_id(&ctx.config.server_name, Some(username))?),
        None => None,
    };
    let upgrades_guest = check_name(ctx, wanted.as_ref(), request.guest_access_token.as_deref()).await?;
    let password_hash = match request.password {
        Some(password) => Some(ctx.passwords.hash(password).await?),
        None => before.password_hash,
    };
    let mut remembered = Remembered {
        wishes: wishes.clone(),
        password_hash: password_hash.clone(),
        made: None,
    };
    let noted = serde_json::to_value(&remembered).map_err(ServiceError::internal)?;
    begun = uia::proceed(ctx, &demand, request.auth.as_ref(), begun, noted).await?;
    let missing = || ServiceError::refused(Refusal::MissingParam, "missing password");
    let user_id = wanted.map_or_else(|| choose_user_id(&ctx.config.server_name, None), Ok)?;
    let account = NewAccount {
        user_id: user_id.clone(),
        password_hash: Some(password_hash.ok_or_else(missing)?),
        admin: false,
        guest: false,
        upgrades_guest,
        display_name: None,
        session: wishes.session(),
    };
    let session = create_account(ctx, account).await?;
    if let Some(mut begun) = begun {
        remembered.made = Some(user_id.clone());
        let noted = serde_json::to_value(&remembered).map_err(ServiceError::internal)?;
        begun.remember(ctx, noted).await?;
    }
    Ok(SignedUp { user_id, session })
}

/// Makes an account without a name or a password, for somebody who looks around.
pub async fn sign_up_guest(ctx: &Ctx, request: SignUp) -> Result<SignedUp, ServiceError> {
    if !ctx.config.registration.guests {
        return Err(ServiceError::refused(
            Refusal::GuestsForbidden,
            "this server has no guests",
        ));
    }
    let user_id = choose_user_id(&ctx.config.server_name, None)?;
    let account = NewAccount {
        user_id: user_id.clone(),
        password_hash: None,
        admin: false,
        guest: true,
        upgrades_guest: false,
        display_name: None,
        // A guest's device is made up like the guest.
        session: Some(DeviceWish {
            display_name: request.wishes.initial_device_display_name,
            ..DeviceWish::default()
        }),
    };
    let session = create_account(ctx, account).await?;
    Ok(SignedUp { user_id, session })
}

impl Wishes {
    /// These, and for what they do not say, those.
    fn or(self, earlier: Self) -> Self {
        Self {
            username: self.username.or(earlier.username),
            device_id: self.device_id.or(earlier.device_id),
            initial_device_display_name: self.initial_device_display_name.or(earlier.initial_device_display_name),
            inhibit_login: self.inhibit_login.or(earlier.inhibit_login),
            refresh_token: self.refresh_token.or(earlier.refresh_token),
        }
    }

    /// The session that is wished, if one is.
    fn session(self) -> Option<DeviceWish> {
        (self.inhibit_login != Some(true)).then(|| DeviceWish {
            device_id: self.device_id,
            display_name: self.initial_device_display_name,
            refresh: self.refresh_token == Some(true),
        })
    }
}

/// What has to be done before an account is made.
fn demand(ctx: &Ctx) -> Demand<'static> {
    let registration = &ctx.config.registration;
    let stages: &[Stage] = match (registration.tokens.is_empty(), registration.terms.is_empty()) {
        (true, true) => &[Stage::Dummy],
        (true, false) => &[Stage::Terms],
        (false, true) => &[Stage::RegistrationToken],
        (false, false) => &[Stage::RegistrationToken, Stage::Terms],
    };
    let policies: Map<String, Value> = registration
        .terms
        .iter()
        .map(|policy| {
            let document = json!({"version": policy.version, "en": {"name": policy.name, "url": policy.url}});
            (policy.id.clone(), document)
        })
        .collect();
    let params = if policies.is_empty() {
        json!({})
    } else {
        json!({"m.login.terms": {"policies": policies}})
    };
    Demand {
        operation: "POST /register",
        user: None,
        stages,
        params,
    }
}

/// The client did not get the answer, or did not keep it.
async fn again(ctx: &Ctx, user_id: OwnedUserId, wishes: Wishes) -> Result<SignedUp, ServiceError> {
    let session = match wishes.session() {
        Some(wish) => Some(create_session(ctx, &user_id, wish).await?),
        None => None,
    };
    Ok(SignedUp { user_id, session })
}

/// Refuses a name that is taken. Whether it is taken by the guest who asks, and is to become a user's.
async fn check_name(
    ctx: &Ctx,
    wanted: Option<&OwnedUserId>,
    guest_access_token: Option<&str>,
) -> Result<bool, ServiceError> {
    let Some(token) = guest_access_token else {
        if let Some(wanted) = wanted {
            check_available(ctx, wanted).await?;
        }
        return Ok(false);
    };
    let session = ctx.store.session(&hash_access_token(token)).await?;
    let guest = session.filter(|session| session.guest && !session.deactivated);
    match (guest, wanted) {
        (Some(guest), Some(wanted)) if guest.user_id == *wanted => Ok(true),
        (_, None) => Err(ServiceError::refused(
            Refusal::MissingParam,
            "missing the guest's username",
        )),
        (Some(_) | None, Some(_)) => Err(ServiceError::forbidden("the guest's token is not of this user")),
    }
}
