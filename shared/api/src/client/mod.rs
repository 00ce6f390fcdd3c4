//! The endpoints of the client-server API, in the order of the specification, <https://spec.matrix.org/v1.19/client-server-api/>: a folder for each
//! section, a file for each operation.

mod capabilities;
mod client_authentication;
mod events;
mod filtering;
mod presence;
mod push_notifications;
mod receipts;
mod relationships;
mod rooms;
mod server_administration;
mod server_discovery;
mod typing_notifications;
mod user_data;

use crate::routes::Route;

/// The table.
pub(crate) static ROUTES: &[Route] = &[
    server_discovery::versions::ROUTE,
    client_authentication::login_flows::ROUTE,
    client_authentication::login::ROUTE,
    client_authentication::logout::ROUTE,
    client_authentication::logout_all::ROUTE,
    client_authentication::register::ROUTE,
    client_authentication::register_available::ROUTE,
    client_authentication::whoami::ROUTE,
    capabilities::get::ROUTE,
    filtering::create::ROUTE,
    filtering::get::ROUTE,
    events::sync::ROUTE,
    events::stream::ROUTE,
    events::initial_sync::ROUTE,
    events::room_initial_sync::ROUTE,
    events::context::ROUTE,
    events::event::ROUTE,
    events::event_anywhere::ROUTE,
    events::timestamp_to_event::ROUTE,
    relationships::relations::ROUTE,
    relationships::relations_of_type::ROUTE,
    relationships::relations_of_type_and_event::ROUTE,
    relationships::threads::ROUTE,
    events::joined_members::ROUTE,
    events::members::ROUTE,
    events::messages::ROUTE,
    events::state::ROUTE,
    events::state_event::ROUTE,
    events::send::ROUTE,
    events::send_once::ROUTE,
    events::send_state::ROUTE,
    events::redact::ROUTE,
    events::redact_once::ROUTE,
    rooms::create::ROUTE,
    rooms::create::TRANSACTION_ROUTE,
    rooms::joined_rooms::ROUTE,
    rooms::invite::ROUTE,
    rooms::invite::TRANSACTION_ROUTE,
    rooms::join::ROUTE,
    rooms::join::TRANSACTION_ROUTE,
    rooms::join_by_id::ROUTE,
    rooms::join_by_id::TRANSACTION_ROUTE,
    rooms::leave::ROUTE,
    rooms::leave::TRANSACTION_ROUTE,
    rooms::kick::ROUTE,
    rooms::kick::TRANSACTION_ROUTE,
    rooms::ban::ROUTE,
    rooms::ban::TRANSACTION_ROUTE,
    rooms::unban::ROUTE,
    rooms::unban::TRANSACTION_ROUTE,
    user_data::profile::ROUTE,
    user_data::profile_field::ROUTE,
    user_data::set_profile_field::ROUTE,
    user_data::delete_profile_field::ROUTE,
    typing_notifications::set::ROUTE,
    presence::get::ROUTE,
    presence::set::ROUTE,
    receipts::set::ROUTE,
    push_notifications::push_rules::ROUTE,
    push_notifications::pushers::ROUTE,
    push_notifications::set_pusher::ROUTE,
    server_administration::register_nonce::ROUTE,
    server_administration::register::ROUTE,
];
