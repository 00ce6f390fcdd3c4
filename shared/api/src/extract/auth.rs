//! Who asks: the access token, in the header or in the query.

use std::borrow::Cow;

use actix_web::{HttpRequest, http::header};
use percent_encoding::percent_decode_str;
use plexus_service::{Ctx, Requester, ids::hash_access_token, users::sessions};

use crate::error::Error;

/// The access token of a request: `Authorization: Bearer`, or else `access_token` in the query.
pub fn access_token(request: &HttpRequest) -> Option<Cow<'_, str>> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| Cow::Borrowed(token.trim_start()));
    }
    let mut pairs = request.uri().query()?.split('&');
    let token = pairs.find_map(|pair| pair.strip_prefix("access_token="))?;
    percent_decode_str(token).decode_utf8().ok()
}

/// The session behind the request's token, and the token's hash.
pub async fn authenticate(ctx: &Ctx, request: &HttpRequest) -> Result<(Requester, [u8; 32]), Error> {
    let token = access_token(request)
        .filter(|token| !token.is_empty())
        .ok_or_else(Error::missing_token)?;
    let token_hash = hash_access_token(&token);
    let requester = sessions::find_requester(ctx, &token_hash)
        .await?
        .ok_or_else(Error::unknown_token)?;
    Ok((requester, token_hash))
}
