//! `GET /capabilities`: what a user can do here.

use plexus_core::room_version::RoomVersion;
use ruma::{
    RoomVersionId,
    api::client::discovery::get_capabilities::v3::{
        AccountModerationCapability, Capabilities, ChangePasswordCapability, GetLoginTokenCapability, Request,
        Response, RoomVersionStability, RoomVersionsCapability, ThirdPartyIdChangesCapability,
    },
};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("capabilities", Auth::Guest, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, _: Request) -> Result<Response, Error> {
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
    capabilities.change_password = ChangePasswordCapability::new(has_password);
    capabilities.thirdparty_id_changes = ThirdPartyIdChangesCapability::new(false);
    capabilities.get_login_token = GetLoginTokenCapability::new(ctx.config.accounts.login_tokens);
    if requester.admin {
        capabilities.account_moderation = AccountModerationCapability::new(true, true);
    }
    Ok(Response::new(capabilities))
}
