//! `POST /login`: a session for a password.

use plexus_service::users::{login::log_in_with_password, sessions::DeviceWish};
use ruma::api::client::{
    session::login::v3::{LoginInfo, Password, Request, Response},
    uiaa::{MatrixUserIdentifier, UserIdentifier},
};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("login", Auth::None, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let LoginInfo::Password(password) = request.login_info else {
        return Err(Error::unknown_login_type());
    };
    let (user, password) = credentials(password)?;
    let wish = DeviceWish {
        device_id: request.device_id,
        display_name: request.initial_device_display_name,
    };
    let (user_id, session) = log_in_with_password(call.ctx(), &user, password, wish).await?;
    #[expect(deprecated, reason = "older clients read home_server")]
    {
        let home_server = Some(user_id.server_name().to_owned());
        let mut response = Response::new(user_id, session.access_token, session.device_id);
        response.home_server = home_server;
        Ok(response)
    }
}

/// The name and the password; the name in `identifier`, or in `user` as older clients have it.
#[expect(deprecated, reason = "older clients name the user by user")]
fn credentials(login: Password) -> Result<(String, String), Error> {
    let user = match login.identifier {
        Some(UserIdentifier::Matrix(MatrixUserIdentifier { user, .. })) => Some(user),
        Some(_) => return Err(Error::forbidden("users are known by their Matrix id only")),
        None => login.user,
    };
    let user = user.ok_or_else(|| Error::missing_param("missing identifier"))?;
    Ok((user, login.password))
}
