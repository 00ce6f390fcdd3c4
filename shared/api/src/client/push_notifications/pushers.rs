//! `GET /pushers`.

use plexus_service::push::pushers::list_pushers;
use plexus_storage::pushers::Pusher;
use ruma::api::client::push::get_pushers::v3::Request;
use serde_json::{Value, json};

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("pushers", Auth::User, |call| Box::pin(typed_raw(call, handle)));

async fn handle(call: Call, _: Request) -> Result<Reply, Error> {
    let pushers = list_pushers(call.ctx(), call.requester()?).await?;
    let pushers = pushers.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
    Ok(json_reply(json!({ "pushers": pushers }).to_string()))
}

fn describe(pusher: &Pusher) -> Result<Value, Error> {
    let data: Value = serde_json::from_slice(&pusher.data).map_err(Error::internal)?;
    let mut described = json!({
        "app_display_name": pusher.app_display_name,
        "app_id": pusher.key.app_id,
        "data": data,
        "device_display_name": pusher.device_display_name,
        "kind": "http",
        "lang": pusher.lang,
        "pushkey": pusher.key.pushkey,
    });
    if let Some(tag) = &pusher.profile_tag {
        described["profile_tag"] = json!(tag);
    }
    Ok(described)
}
