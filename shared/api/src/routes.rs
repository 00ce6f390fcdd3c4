//! The one table of endpoints.
//!
//! It drives matching, 404 and 405, authentication, body limits, forwarding between roles, metrics labels and the printed maps. To add an endpoint: write
//! its module under `client/` with a `ROUTE`, and name it here.

mod prefixes;
pub mod print;
mod router;

use std::borrow::Cow;

use ::http::Method;
use ruma::api::{Metadata, path_builder::PathBuilder};

pub use self::router::{Found, Router};
use crate::{call::Handler, client, federation};

/// Every endpoint of this server.
pub static ROUTES: &[Route] = &ALL;

static ALL: [Route; client::ROUTES.len() + federation::ROUTES.len()] = both(client::ROUTES, federation::ROUTES);

/// Two tables as one.
const fn both<const N: usize>(first: &[Route], second: &[Route]) -> [Route; N] {
    let mut all = [first[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() {
            first[at]
        } else {
            second[at - first.len()]
        };
        at += 1;
    }
    all
}

/// The roles that requests are divided among. A process serves one or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// The client API, but for what is below.
    Client,
    /// Long-polling sync.
    Sync,
    /// Uploads, downloads, thumbnails.
    Media,
    /// Requests of other servers.
    Federation,
    /// The server's own administration.
    Admin,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 5] = [Self::Client, Self::Sync, Self::Media, Self::Federation, Self::Admin];

    /// The word in tables and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Sync => "sync",
            Self::Media => "media",
            Self::Federation => "federation",
            Self::Admin => "admin",
        }
    }
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Anybody; an access token is not looked at.
    None,
    /// Anybody; whoever shows an access token shows a good one.
    Optional,
    /// A user or a guest, with an access token.
    Guest,
    /// A user with an access token, no guest.
    User,
    /// Another server, by its signature of the request.
    Server,
}

impl Auth {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Optional => "optional",
            Self::Guest => "guest",
            Self::User => "user",
            Self::Server => "server",
        }
    }
}

/// How a handler gets the body of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// Read before the handler is called, at most [`Route::body_cap`] bytes.
    Whole,
    /// A file, which the handler reads piece by piece: [`Call::payload`](crate::call::Call::payload). Its limit is the configuration's.
    File,
}

/// Most bytes of a body, for endpoints that say nothing else: an event's 64 KiB, and room for escapes.
pub const BODY_CAP: usize = 256 * 1024;

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// What logs and tables call it.
    pub name: &'static str,
    /// Its method; a function, as ruma's type has a destructor and so cannot be part of constants that are changed a little.
    pub method: fn() -> Method,
    /// Its paths in ruma's metadata, stable and unstable.
    pub paths: fn() -> Vec<&'static str>,
    /// Paths that ruma lacks.
    pub more_paths: &'static [&'static str],
    /// Whether its paths end with a transaction id that ruma's do not have.
    pub transaction: bool,
    pub family: Family,
    pub auth: Auth,
    /// Most bytes of its body.
    pub body_cap: usize,
    pub body: BodyKind,
    pub handler: Handler,
}

impl Route {
    /// The endpoint of ruma's request type `R`.
    pub const fn of<R: Metadata>(name: &'static str, auth: Auth, handler: Handler) -> Self {
        Self {
            name,
            method: || R::METHOD,
            paths: || R::PATH_BUILDER.all_paths().collect(),
            more_paths: &[],
            transaction: false,
            family: Family::Client,
            auth,
            body_cap: BODY_CAP,
            body: BodyKind::Whole,
            handler,
        }
    }

    /// The endpoint of ruma's request type `R` as Synapse 1.0.0 also had it: PUT, with a transaction id at the end of the path.
    pub const fn of_transaction<R: Metadata>(name: &'static str, auth: Auth, handler: Handler) -> Self {
        Self {
            method: || Method::PUT,
            transaction: true,
            ..Self::of::<R>(name, auth, handler)
        }
    }

    /// An endpoint that ruma has no type for.
    pub const fn own(
        name: &'static str,
        method: fn() -> Method,
        more_paths: &'static [&'static str],
        auth: Auth,
        handler: Handler,
    ) -> Self {
        let (family, body_cap) = (Family::Client, BODY_CAP);
        Self {
            name,
            method,
            paths: Vec::new,
            more_paths,
            transaction: false,
            family,
            auth,
            body_cap,
            body: BodyKind::Whole,
            handler,
        }
    }

    /// An endpoint for other servers.
    pub const fn of_federation(
        name: &'static str,
        method: fn() -> Method,
        paths: &'static [&'static str],
        auth: Auth,
        handler: Handler,
    ) -> Self {
        Self {
            family: Family::Federation,
            ..Self::own(name, method, paths, auth, handler)
        }
    }

    /// The method it takes.
    pub fn method(&self) -> Method {
        (self.method)()
    }

    /// Every path of the endpoint, the newest stable one first and those of older prefixes last.
    pub fn all_paths(&self) -> Vec<Cow<'static, str>> {
        let stable = (self.paths)().into_iter().rev().chain(self.more_paths.iter().copied());
        let mut paths: Vec<Cow<'static, str>> = if self.transaction {
            stable.map(|path| format!("{path}/{{txn_id}}").into()).collect()
        } else {
            stable.map(Cow::Borrowed).collect()
        };
        let others: Vec<Cow<'static, str>> = paths.iter().flat_map(|path| prefixes::other_paths(path)).collect();
        paths.extend(others);
        let mut seen = Vec::with_capacity(paths.len());
        paths.retain(|path| {
            let new = !seen.contains(path);
            seen.push(path.clone());
            new
        });
        paths
    }
}
