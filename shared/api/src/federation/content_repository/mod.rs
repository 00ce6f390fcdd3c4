//! The content repository, for other servers: files of this server's users in two parts, what is said of a file and the file.

pub(super) mod download;
pub(super) mod thumbnail;

use ::http::{HeaderValue, header};
use futures_util::{StreamExt as _, stream};
use plexus_media::served;
use plexus_service::{
    ids::random_text,
    media::download::{Found, open},
};

use crate::{
    call::Call,
    error::Error,
    http::{Body, Reply},
};

/// Characters of a boundary: more than any file has by chance.
const BOUNDARY_CHARS: usize = 40;

/// Answers with a file in its parts.
async fn send(call: &Call, found: &Found) -> Result<Reply, Error> {
    let boundary = random_text(BOUNDARY_CHARS);
    let disposition = served::disposition(&found.content_type, found.file_name.as_deref());
    let head = format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n\
         --{boundary}\r\nContent-Type: {}\r\nContent-Disposition: {disposition}\r\n\r\n",
        found.content_type
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let length = (head.len() + tail.len()) as u64 + found.size;
    let file = open(call.ctx(), found).await?;
    let file = call.ctx().media.blobs.pieces(file, 0..found.size);
    let around = |text: String| stream::iter([Ok(text.into())]);
    let pieces = around(head).chain(file).chain(around(tail)).boxed_local();
    let mut reply = Reply::new(Body::Pieces { length, pieces });
    let content_type = HeaderValue::from_str(&format!("multipart/mixed; boundary={boundary}"));
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type.map_err(Error::internal)?);
    Ok(reply)
}
