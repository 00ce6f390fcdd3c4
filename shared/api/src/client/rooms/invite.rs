//! `POST /rooms/{roomId}/invite`.

use plexus_proto::change_membership::Action;
use plexus_service::rooms::{
    membership::{Change, change_membership},
    third_party::{AddressInvite, invite_address},
};
use ruma::{OwnedRoomId, OwnedUserId, api::client::membership::invite_user::v3::Request};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("invite", Auth::User, |call| Box::pin(handle(call)));

pub(in crate::client) const TRANSACTION_ROUTE: Route =
    Route::of_transaction::<Request>("invite_txn", Auth::User, |call| Box::pin(handle(call)));

/// ruma's type cannot say what is wrong with a body.
#[derive(Deserialize)]
struct Body {
    user_id: Option<OwnedUserId>,
    reason: Option<String>,
    /// There for invitations by e-mail address or phone number, with what else those have.
    medium: Option<IgnoredAny>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let body: Body = parse_body(&call)?;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    match (body.user_id, body.medium) {
        (Some(user_id), _) => {
            let mut change = Change::new(&room_id, &user_id, Action::Invite, body.reason);
            change.transaction.clone_from(&call.transaction);
            change_membership(ctx, requester, change).await?;
        }
        (None, Some(IgnoredAny)) => {
            let invite: AddressInvite = parse_body(&call)?;
            invite_address(ctx, requester, &room_id, &invite, call.transaction.as_deref()).await?;
        }
        (None, None) => return Err(Error::missing_param("missing field `user_id`")),
    }
    Ok(json_reply("{}"))
}
