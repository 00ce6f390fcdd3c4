//! `GET /rooms/{roomId}/members`.

use plexus_core::row::Membership;
use plexus_service::rooms::{
    messages::position_of_token,
    state::{MemberFilter, get_members},
};
use ruma::{api::client::membership::get_member_events::v3::Request, events::room::member::MembershipState};

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("members", Auth::Guest, |call| Box::pin(typed_raw(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Reply, Error> {
    let filter = MemberFilter {
        membership: request.membership.as_ref().map(membership).transpose()?,
        not_membership: request.not_membership.as_ref().map(membership).transpose()?,
    };
    let at = match &request.at {
        Some(token) => Some(position_of_token(call.ctx(), token).await?),
        None => None,
    };
    Ok(json_reply(
        get_members(call.ctx(), call.requester()?, &request.room_id, at, filter).await?,
    ))
}

fn membership(word: &MembershipState) -> Result<Membership, Error> {
    let membership = Membership::parse(word.as_str());
    membership.ok_or_else(|| Error::invalid_param(format!("the membership {word} is not known")))
}
