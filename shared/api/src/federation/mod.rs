//! The endpoints of the server-server API, <https://spec.matrix.org/v1.19/server-server-api/>.

mod keys;
mod query;
mod server_discovery;
mod transactions;

use crate::routes::Route;

/// The table.
pub(crate) static ROUTES: &[Route] = &[
    server_discovery::version::ROUTE,
    server_discovery::well_known::ROUTE,
    keys::publish::ROUTE,
    keys::query::ROUTE,
    keys::query_many::ROUTE,
    query::profile::ROUTE,
    transactions::send::ROUTE,
];
