//! `POST /rooms/{roomId}/invite`.

use plexus_proto::change_membership::Action;
use plexus_service::rooms::membership::{Change, change_membership};
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
    /// There for invitations by e-mail address or phone number.
    medium: Option<IgnoredAny>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let body: Body = parse_body(&call)?;
    let Some(user_id) = body.user_id else {
        return Err(match body.medium {
            Some(IgnoredAny) => Error::threepid_denied("this server invites nobody by e-mail or phone number"),
            None => Error::missing_param("missing field `user_id`"),
        });
    };
    let mut change = Change::new(&room_id, &user_id, Action::Invite, body.reason);
    change.transaction.clone_from(&call.transaction);
    change_membership(call.ctx(), call.requester()?, change).await?;
    Ok(json_reply("{}"))
}
