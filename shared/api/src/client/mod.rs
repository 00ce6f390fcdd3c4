//! The endpoints of the client-server API, in the order of the specification, <https://spec.matrix.org/v1.19/client-server-api/>: a folder for each
//! section, a file for each operation.

mod capabilities;
mod client_authentication;
mod device_management;
mod events;
mod filtering;
mod openid;
mod push_notifications;
mod receipts;
mod rooms;
mod server_administration;
mod server_discovery;
mod third_party_networks;
mod typing_notifications;
mod user_data;
mod voip;

use crate::routes::Route;

/// The table.
pub(crate) static ROUTES: &[Route] = &[
    server_discovery::versions::ROUTE,
    server_discovery::well_known::ROUTE,
    server_discovery::support::ROUTE,
    client_authentication::login_flows::ROUTE,
    client_authentication::login::ROUTE,
    client_authentication::login_token::ROUTE,
    client_authentication::refresh::ROUTE,
    client_authentication::logout::ROUTE,
    client_authentication::logout_all::ROUTE,
    client_authentication::register::ROUTE,
    client_authentication::register_available::ROUTE,
    client_authentication::registration_token::ROUTE,
    client_authentication::change_password::ROUTE,
    client_authentication::deactivate::ROUTE,
    client_authentication::third_party_ids::ROUTE,
    client_authentication::whoami::ROUTE,
    capabilities::get::ROUTE,
    device_management::list::ROUTE,
    device_management::get::ROUTE,
    device_management::rename::ROUTE,
    device_management::delete::ROUTE,
    device_management::delete_many::ROUTE,
    openid::request_token::ROUTE,
    openid::user_info::ROUTE,
    voip::turn_server::ROUTE,
    third_party_networks::protocols::ROUTE,
    third_party_networks::protocol::ROUTE,
    third_party_networks::location_of_protocol::ROUTE,
    third_party_networks::user_of_protocol::ROUTE,
    third_party_networks::location::ROUTE,
    third_party_networks::user::ROUTE,
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
    user_data::profile::ROUTE,
    user_data::profile_field::ROUTE,
    user_data::set_profile_field::ROUTE,
    user_data::delete_profile_field::ROUTE,
    typing_notifications::set::ROUTE,
    receipts::set::ROUTE,
    push_notifications::push_rules::ROUTE,
    push_notifications::pushers::ROUTE,
    push_notifications::set_pusher::ROUTE,
    server_administration::register_nonce::ROUTE,
    server_administration::whois::ROUTE,
    server_administration::is_locked::ROUTE,
    server_administration::lock::ROUTE,
    server_administration::is_suspended::ROUTE,
    server_administration::suspend::ROUTE,
    server_administration::register::ROUTE,
];
