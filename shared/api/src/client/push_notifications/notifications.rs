//! `GET /notifications`.

use plexus_service::push::notifications::{NotificationsRequest, get_notifications};
use ruma::api::client::push::get_notifications::v3::Request;

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("notifications", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let request = NotificationsRequest {
        from: query.get("from").filter(|from| !from.is_empty()).map(str::to_owned),
        limit: query.number("limit")?.and_then(|limit| usize::try_from(limit).ok()),
        only_highlights: query.get("only") == Some("highlight"),
    };
    Ok(json_reply(
        get_notifications(call.ctx(), call.requester()?, request).await?,
    ))
}
