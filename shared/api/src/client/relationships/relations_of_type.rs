//! `GET /rooms/{roomId}/relations/{eventId}/{relType}`.

use ruma::api::client::relations::get_relating_events_with_rel_type::v1::Request;

use super::relations::handle;
use crate::routes::{Auth, Route};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("relations_of_type", Auth::User, |call| Box::pin(handle(call)));
