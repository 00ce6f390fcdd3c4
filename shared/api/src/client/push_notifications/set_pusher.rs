//! `POST /pushers/set`.

use plexus_service::push::pushers::{NewPusher, delete_pusher, set_pusher};
use ruma::api::client::push::set_pusher::v3::{Request, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    call::{Call, reply},
    error::Error,
    extract::request::parse_body,
    http::Reply,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("set_pusher", Auth::User, |call| Box::pin(handle(call)));

/// ruma's type knows the data of each kind; we give it back as it came.
#[derive(Deserialize)]
struct Body {
    app_id: String,
    pushkey: String,
    kind: Option<String>,
}

/// What a pusher that is to be there says besides.
#[derive(Deserialize)]
struct Rest {
    app_display_name: String,
    device_display_name: String,
    profile_tag: Option<String>,
    lang: String,
    data: Map<String, Value>,
    #[serde(default)]
    append: bool,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let Body { app_id, pushkey, kind } = parse_body(&call)?;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    match kind.as_deref() {
        None => delete_pusher(ctx, requester, app_id, pushkey).await?,
        Some("http") => set_pusher(ctx, requester, new_pusher(&call, app_id, pushkey)?).await?,
        Some(_) => {
            return Err(Error::invalid_param(
                "pushers of this kind are not offered here: only `http`",
            ));
        }
    }
    reply(Response::new())
}

fn new_pusher(call: &Call, app_id: String, pushkey: String) -> Result<NewPusher, Error> {
    let rest: Rest = parse_body(call)?;
    Ok(NewPusher {
        app_id,
        pushkey,
        app_display_name: rest.app_display_name,
        device_display_name: rest.device_display_name,
        profile_tag: rest.profile_tag,
        lang: rest.lang,
        data: rest.data,
        append: rest.append,
    })
}
