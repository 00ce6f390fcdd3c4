//! Who asks: the access token, in the header or in the query.

use std::borrow::Cow;

use actix_web::{HttpRequest, http::header};
use percent_encoding::percent_decode_str;
use plexus_service::{Ctx, Requester, ids::hash_access_token, users::sessions};

use crate::{
    error::Error,
    routes::{Auth, Route},
};

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

/// Who asks, and the hash of his access token, as the route wants it.
pub async fn authenticate(
    ctx: &Ctx,
    route: &Route,
    request: &HttpRequest,
) -> Result<Option<(Requester, [u8; 32])>, Error> {
    if route.auth == Auth::None {
        return Ok(None);
    }
    let Some(token) = access_token(request).filter(|token| !token.is_empty()) else {
        return match route.auth {
            Auth::None | Auth::Optional => Ok(None),
            Auth::Guest | Auth::User => Err(Error::missing_token()),
        };
    };
    let token_hash = hash_access_token(&token);
    let requester = sessions::find_requester(ctx, &token_hash)
        .await?
        .ok_or_else(Error::unknown_token)?;
    if requester.guest && route.auth == Auth::User {
        return Err(Error::guest_access_forbidden("guests cannot do this"));
    }
    Ok(Some((requester, token_hash)))
}
