//! `POST /media/v3/upload`: stores a file and gives it an id.

use ::http::header::CONTENT_TYPE;
use plexus_service::media::upload::{Said, Upload, begin, finish};
use ruma::api::client::media::create_content::v3::Request;
use serde_json::json;

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
    more_paths: &["/_matrix/media/v1/upload"],
    ..Route::of::<Request>("upload", Auth::User, |call| Box::pin(handle(call)))
};

async fn handle(mut call: Call) -> Result<Reply, Error> {
    let upload = receive(&mut call).await?;
    let query = Query::parse(call.query())?;
    let uri = finish(call.ctx(), call.requester()?, upload, said(&call, &query)).await?;
    Ok(json_reply(json!({"content_uri": uri}).to_string()))
}

/// Takes in the body, piece by piece.
pub(super) async fn receive(call: &mut Call) -> Result<Upload, Error> {
    let mut upload = begin(&call.app.ctx, call.requester()?).await?;
    if let Some(payload) = &mut call.payload {
        while let Some(piece) = payload.next().await? {
            upload.write(piece).await?;
        }
    }
    Ok(upload)
}

/// What the uploader says about the file. Two types are none.
pub(super) fn said<'a>(call: &'a Call, query: &'a Query<'_>) -> Said<'a> {
    let mut types = call.request.headers().get_all(CONTENT_TYPE).iter();
    let content_type = types.next().filter(|_| types.next().is_none());
    Said {
        content_type: content_type.and_then(|said| said.to_str().ok()),
        file_name: query.get("filename").filter(|name| !name.contains('\0')),
    }
}
