//! `GET /capabilities`: what a user can do here.

use plexus_core::room_version::RoomVersion;
use ruma::{
    RoomVersionId,
    api::client::discovery::get_capabilities::v3::{
        AccountModerationCapability, Capabilities, GetLoginTokenCapability, Request, RoomVersionStability,
        RoomVersionsCapability, ThirdPartyIdChangesCapability,
    },
};
use serde_json::json;

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("capabilities", Auth::Guest, |call| Box::pin(typed_raw(call, handle)));

async fn handle(call: Call, _: Request) -> Result<Reply, Error> {
    let id = |version: RoomVersion| RoomVersionId::try_from(version.as_str()).map_err(Error::internal);
    let mut available = std::collections::BTreeMap::new();
    for version in RoomVersion::ALL {
        available.insert(id(version)?, RoomVersionStability::Stable);
    }
    let mut capabilities = Capabilities::new();
    capabilities.room_versions = RoomVersionsCapability::new(id(call.ctx().config.default_room_version)?, available);
    let (ctx, requester) = (call.ctx(), call.requester()?);
    let account = ctx.store.account(requester.user).await.map_err(Error::internal)?;
    let has_password = account.is_some_and(|account| account.password_hash.is_some());
    capabilities.thirdparty_id_changes = ThirdPartyIdChangesCapability::new(false);
    capabilities.get_login_token = GetLoginTokenCapability::new(ctx.config.accounts.login_tokens);
    if requester.admin {
        capabilities.account_moderation = AccountModerationCapability::new(true, true);
    }
    let mut capabilities = serde_json::to_value(capabilities).map_err(Error::internal)?;
    // ruma leaves it out where it is true; old clients look for it.
    capabilities["m.change_password"] = json!({ "enabled": has_password });
    Ok(json_reply(json!({ "capabilities": capabilities }).to_string()))
}
