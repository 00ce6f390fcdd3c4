//! `GET /versions`.

use ruma::api::client::discovery::get_supported_versions::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("versions", Auth::None, |call| Box::pin(typed(call, handle)));

/// The versions of the specification whose forms and rules this server speaks, as far as it has the endpoints.
const VERSIONS: [&str; 13] = [
    "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12",
];

async fn handle(_: Call, _: Request) -> Result<Response, Error> {
    Ok(Response::new(VERSIONS.map(str::to_owned).to_vec()))
}
