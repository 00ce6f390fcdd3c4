//! The endpoints of the client-server API, in the order of the specification, <https://spec.matrix.org/v1.19/client-server-api/>: a folder for each
//! section, a file for each operation.

mod account_data;
mod capabilities;
mod client_authentication;
mod events;
mod filtering;
mod push_notifications;
mod receipts;
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
    events::event::ROUTE,
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
    rooms::knock::ROUTE,
    rooms::forget::ROUTE,
    rooms::forget::TRANSACTION_ROUTE,
    rooms::upgrade::ROUTE,
    rooms::alias::ROUTE,
    rooms::set_alias::ROUTE,
    rooms::delete_alias::ROUTE,
    rooms::aliases::ROUTE,
    rooms::listed::ROUTE,
    rooms::set_listed::ROUTE,
    rooms::set_listed::DELETE_ROUTE,
    rooms::set_network_listed::ROUTE,
    rooms::set_network_listed::DELETE_ROUTE,
    rooms::public_rooms::ROUTE,
    rooms::public_rooms::SEARCH_ROUTE,
    rooms::summary::ROUTE,
    rooms::hierarchy::ROUTE,
    user_data::profile::ROUTE,
    user_data::profile_field::ROUTE,
    user_data::set_profile_field::ROUTE,
    user_data::delete_profile_field::ROUTE,
    typing_notifications::set::ROUTE,
    receipts::set::ROUTE,
    receipts::read_markers::ROUTE,
    account_data::get::ROUTE,
    account_data::set::ROUTE,
    account_data::get_of_room::ROUTE,
    account_data::set_of_room::ROUTE,
    account_data::tags::LIST,
    account_data::tags::SET,
    account_data::tags::DELETE,
    push_notifications::push_rules::ALL,
    push_notifications::push_rules::OF_SCOPE,
    push_notifications::push_rules::OF_KIND,
    push_notifications::push_rules::ONE,
    push_notifications::push_rules::ATTRIBUTE,
    push_notifications::push_rules::PUT,
    push_notifications::push_rules::DELETE,
    push_notifications::push_rules::SET_ATTRIBUTE,
    push_notifications::push_rules::INCOMPLETE,
    push_notifications::notifications::ROUTE,
    push_notifications::pushers::ROUTE,
    push_notifications::set_pusher::ROUTE,
    server_administration::register_nonce::ROUTE,
    server_administration::register::ROUTE,
];
