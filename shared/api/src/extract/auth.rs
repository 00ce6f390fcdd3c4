//! Who asks: the access token, in the header or in the query.

use std::{borrow::Cow, net::IpAddr};

use actix_web::{HttpRequest, http::header};
use percent_encoding::percent_decode_str;
use plexus_service::{
    Requester,
    ids::hash_access_token,
    users::sessions::{self, Locked},
};

use crate::{
    app::App,
    dispatch::Plane,
    error::Error,
    forward::CLIENT_HEADER,
    routes::{Auth, Route},
};

/// The routes a locked user still has, <https://spec.matrix.org/v1.19/client-server-api/#account-locking>.
const LOCKED_MAY: [&str; 2] = ["logout", "logout_all"];

/// The routes a suspended user does not have: those that show others something new of him. He reads, leaves, redacts, looks after his keys and devices,
/// and can close his account, <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>.
const SUSPENDED_MAY_NOT: &[&str] = &[
    "create_room",
    "create_room_txn",
    "invite",
    "invite_txn",
    "join",
    "join_txn",
    "join_by_id",
    "join_by_id_txn",
    "kick",
    "kick_txn",
    "ban",
    "ban_txn",
    "unban",
    "unban_txn",
    "knock",
    "upgrade",
    "send",
    "send_once",
    "send_state",
    "typing",
    "set_alias",
    "delete_alias",
    "set_listed",
    "delete_listed",
    "set_network_listed",
    "delete_network_listed",
    "set_profile_field",
    "delete_profile_field",
];

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
pub(crate) async fn authenticate(
    app: &App,
    plane: Plane,
    route: &Route,
    request: &HttpRequest,
) -> Result<Option<(Requester, [u8; 32])>, Error> {
    let ctx = &app.ctx;
    // Servers sign the whole request, which has not been read yet.
    if matches!(route.auth, Auth::None | Auth::Server) {
        return Ok(None);
    }
    let Some(token) = access_token(request).filter(|token| !token.is_empty()) else {
        return match route.auth {
            Auth::None | Auth::Optional | Auth::Server => Ok(None),
            Auth::Guest | Auth::User => Err(Error::missing_token()),
        };
    };
    let token_hash = hash_access_token(&token);
    let locked = if LOCKED_MAY.contains(&route.name) {
        Locked::Served
    } else {
        Locked::Refused
    };
    let requester = sessions::find_requester(ctx, &token_hash, locked).await?;
    if requester.guest && route.auth == Auth::User {
        return Err(Error::guest_access_forbidden("guests cannot do this"));
    }
    if requester.suspended && SUSPENDED_MAY_NOT.contains(&route.name) {
        return Err(Error::user_suspended("the account has been suspended"));
    }
    let ip = client_address(app, plane, request);
    let user_agent = header_text(request, header::USER_AGENT.as_str()).unwrap_or_default();
    ctx.sightings.note(&requester, ctx.clock.now_ms(), &ip, user_agent);
    Ok(Some((requester, token_hash)))
}

/// Where the request comes from: as the process says that passed it on, or the proxy in front, or the connection.
pub(crate) fn client_address(app: &App, plane: Plane, request: &HttpRequest) -> String {
    let told = match plane {
        Plane::Internal => header_text(request, CLIENT_HEADER),
        Plane::Public if app.ctx.config.accounts.behind_proxy => header_text(request, "x-forwarded-for")
            .and_then(|addresses| addresses.rsplit(',').next())
            .map(str::trim),
        Plane::Public => None,
    };
    let told = told.filter(|address| address.parse::<IpAddr>().is_ok());
    told.map_or_else(
        || {
            request
                .peer_addr()
                .map(|peer| peer.ip().to_string())
                .unwrap_or_default()
        },
        str::to_owned,
    )
}

fn header_text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::ROUTES;

    #[test]
    fn what_locked_and_suspended_users_may_is_said_of_routes_there_are() {
        for name in LOCKED_MAY.iter().chain(SUSPENDED_MAY_NOT) {
            let route = ROUTES.iter().find(|route| route.name == *name);
            assert!(route.is_some_and(|route| route.auth != Auth::None), "{name}");
        }
    }
}
