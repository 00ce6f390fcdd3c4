//! The one table of endpoints.
//!
//! It drives matching, 404 and 405, authentication, body limits, forwarding between roles, metrics labels and the printed maps. To add an endpoint: write
//! its module under `client/` with a `ROUTE`, and name it here.

pub mod print;
mod router;

use ::http::Method;
use ruma::api::{Metadata, path_builder::PathBuilder};

pub use self::router::{Found, Router};
use crate::{call::Handler, client};

/// Every endpoint of this server.
pub static ROUTES: &[Route] = client::ROUTES;

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
    /// Anybody.
    None,
    /// A user with an access token.
    User,
}

impl Auth {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::User => "user",
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
#[derive(Debug)]
pub struct Route {
    /// What logs and tables call it.
    pub name: &'static str,
    /// Its method; a function, as ruma's type has a destructor and so cannot be part of constants that are changed a little.
    pub method: fn() -> Method,
    /// Its paths in ruma's metadata, stable and unstable.
    pub paths: fn() -> Vec<&'static str>,
    /// Paths that ruma lacks.
    pub more_paths: &'static [&'static str],
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
            family: Family::Client,
            auth,
            body_cap: BODY_CAP,
            body: BodyKind::Whole,
            handler,
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
            family,
            auth,
            body_cap,
            body: BodyKind::Whole,
            handler,
        }
    }

    /// The method it takes.
    pub fn method(&self) -> Method {
        (self.method)()
    }

    /// Every path of the endpoint, the newest stable one first.
    pub fn all_paths(&self) -> Vec<&'static str> {
        let mut paths = (self.paths)();
        paths.reverse();
        paths.extend(self.more_paths);
        let mut seen = Vec::with_capacity(paths.len());
        paths.retain(|path| {
            let new = !seen.contains(path);
            seen.push(*path);
            new
        });
        paths
    }
}
