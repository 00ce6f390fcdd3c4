//! The endpoints of the server-server API, <https://spec.matrix.org/v1.19/server-server-api/>.

mod backfilling;
mod content_repository;
mod device_management;
mod end_to_end_encryption;
mod inviting;
mod joining_rooms;
mod keys;
mod knocking;
mod leaving_rooms;
mod public_room_directory;
mod query;
mod retrieving_events;
mod server_discovery;
mod spaces;
mod third_party_invites;
mod transactions;

use crate::routes::Route;

/// The table.
pub(crate) static ROUTES: &[Route] = &[
    server_discovery::version::ROUTE,
    server_discovery::well_known::ROUTE,
    keys::publish::ROUTE,
    keys::query::ROUTE,
    keys::query_many::ROUTE,
    retrieving_events::event::ROUTE,
    retrieving_events::state::ROUTE,
    retrieving_events::state_ids::ROUTE,
    retrieving_events::event_auth::ROUTE,
    retrieving_events::timestamp_to_event::ROUTE,
    backfilling::backfill::ROUTE,
    backfilling::missing_events::ROUTE,
    query::directory::ROUTE,
    query::profile::ROUTE,
    joining_rooms::make_join::ROUTE,
    joining_rooms::send_join::ROUTE,
    joining_rooms::send_join::OLD_ROUTE,
    leaving_rooms::make_leave::ROUTE,
    leaving_rooms::send_leave::ROUTE,
    leaving_rooms::send_leave::OLD_ROUTE,
    knocking::make_knock::ROUTE,
    knocking::send_knock::ROUTE,
    inviting::invite::ROUTE,
    inviting::invite::OLD_ROUTE,
    third_party_invites::exchange::ROUTE,
    third_party_invites::on_bind::ROUTE,
    end_to_end_encryption::query_keys::ROUTE,
    end_to_end_encryption::claim_keys::ROUTE,
    device_management::devices::ROUTE,
    public_room_directory::public_rooms::ROUTE,
    public_room_directory::public_rooms::SEARCH_ROUTE,
    spaces::hierarchy::ROUTE,
    spaces::complexity::ROUTE,
    content_repository::download::ROUTE,
    content_repository::thumbnail::ROUTE,
    transactions::send::ROUTE,
];
