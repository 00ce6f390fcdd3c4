//! `POST /rooms/{roomId}/invite`.

use plexus_proto::change_membership::Action;
use plexus_service::rooms::membership::{Change, change_membership};
use ruma::api::client::membership::invite_user::v3::{InvitationRecipient, Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("invite", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let InvitationRecipient::UserId(recipient) = request.recipient else {
        return Err(Error::threepid_denied(
            "this server invites nobody by e-mail or phone number",
        ));
    };
    let change = Change::new(&request.room_id, &recipient.user_id, Action::Invite, recipient.reason);
    change_membership(call.ctx(), call.requester()?, change).await?;
    Ok(Response::new())
}
