//! `GET /sync`.

use std::time::Duration;

use plexus_service::sync::{SyncRequest, sync};
use ruma::api::client::sync::sync_events::v3::Request;

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Sync,
    ..Route::of::<Request>("sync", Auth::User, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let text = |key: &str| query.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let request = SyncRequest {
        since: text("since"),
        filter: text("filter"),
        full_state: query.flag("full_state")?,
        use_state_after: query.flag("use_state_after")?,
        timeout: Duration::from_millis(query.number("timeout")?.unwrap_or_default()),
        token_hash: call.token_hash,
    };
    let response = sync(call.ctx(), call.requester()?, request).await?;
    Ok(json_reply(response.0))
}
