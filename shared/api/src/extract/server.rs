//! Which server asks: by its signature of the whole request, <https://spec.matrix.org/v1.19/server-server-api/#request-authentication>.

use actix_web::{HttpRequest, http::header};
use plexus_federation::{
    request::AuthenticationError,
    x_matrix::{Signed, XMatrixError},
};
use ruma::OwnedServerName;

use crate::{
    app::App,
    error::Error,
    http,
    routes::{Auth, Route},
};

/// The server that has signed a request, if the route is for servers.
pub(crate) async fn authenticate(
    app: &App,
    route: &Route,
    request: &HttpRequest,
    body: &[u8],
) -> Result<Option<OwnedServerName>, Error> {
    if route.auth != Auth::Server {
        return Ok(None);
    }
    let headers = request.headers().get_all(header::AUTHORIZATION);
    let authorizations: Vec<&str> = headers.filter_map(|value| value.to_str().ok()).collect();
    let signed = Signed {
        method: request.method().as_str(),
        target: http::raw_target(request),
        content: (!body.is_empty()).then_some(body),
    };
    let origin = app.ctx.federation.authenticate(&authorizations, signed).await;
    origin.map(Some).map_err(refuse)
}

fn refuse(error: AuthenticationError) -> Error {
    match error {
        AuthenticationError::Json(error) => Error::not_json(error.to_string()),
        AuthenticationError::Store(error) => Error::internal(error),
        // No server can have this name, whoever asks.
        AuthenticationError::Header(error @ XMatrixError::ServerName) => Error::invalid_param(error.to_string()),
        AuthenticationError::Unsigned
        | AuthenticationError::Header(XMatrixError::Scheme | XMatrixError::Syntax | XMatrixError::Parameter(_))
        | AuthenticationError::OtherDestination(_)
        | AuthenticationError::Ourselves
        | AuthenticationError::NoKey { .. }
        | AuthenticationError::Mismatch(_) => {
            let text = error.to_string();
            tracing::info!(error = text, "a request is not another server's");
            Error::unauthorized(text)
        }
    }
}
