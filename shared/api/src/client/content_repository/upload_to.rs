//! `PUT /media/v3/upload/{serverName}/{mediaId}`: stores a file under an id that was given out for it.

use plexus_service::media::{
    Asked,
    upload::{check_reserved, finish_reserved},
};
use ruma::api::client::media::create_content_async::v3::Request;

use super::upload::{receive, said};
use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, BodyKind, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Media,
    body: BodyKind::File,
    ..Route::of::<Request>("upload_to", Auth::User, |call| Box::pin(handle(call)))
};

async fn handle(mut call: Call) -> Result<Reply, Error> {
    let (server_name, media_id) = (call.segment(0).to_owned(), call.segment(1).to_owned());
    let asked = Asked::parse(&server_name, &media_id)?;
    check_reserved(call.ctx(), call.requester()?, asked).await?;
    let upload = receive(&mut call).await?;
    let query = Query::parse(call.query())?;
    finish_reserved(call.ctx(), call.requester()?, asked, upload, said(&call, &query)).await?;
    Ok(json_reply("{}"))
}
