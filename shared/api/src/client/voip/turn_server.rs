//! `GET /voip/turnServer`: where calls are relayed.

use plexus_service::users::turn::turn_server;
use ruma::api::client::voip::get_turn_server_info::v3::Request;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("turn_server", Auth::User, |call| Box::pin(async move { handle(&call) }));

fn handle(call: &Call) -> Result<Reply, Error> {
    let relay = turn_server(call.ctx(), call.requester()?)?;
    Ok(json_reply(relay.to_string()))
}
