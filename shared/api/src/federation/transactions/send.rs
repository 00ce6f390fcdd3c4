//! `PUT /_matrix/federation/v1/send/{txnId}`: what another server sends while it happens.

use ::http::Method;
use plexus_service::federation::receive::{TRANSACTION_BYTES_MAX, receive_transaction};

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route {
    body_cap: TRANSACTION_BYTES_MAX,
    ..Route::of_federation(
        "federation_send",
        || Method::PUT,
        &["/_matrix/federation/v1/send/{txn_id}"],
        Auth::Server,
        |call| Box::pin(handle(call)),
    )
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let answer = receive_transaction(call.ctx(), call.origin()?, call.segment(0), call.request.body()).await?;
    Ok(json_reply(answer))
}
