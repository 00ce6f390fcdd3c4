//! `GET /_matrix/federation/v1/user/devices/{userId}`: all devices of a user.

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Federation,
    request::{BackOff, Outgoing, encode},
    rooms::{FetchError, malformed, read},
};

/// The devices of a user.
#[derive(Clone, Debug, Deserialize)]
pub struct UserDevices {
    /// Whose.
    pub user_id: OwnedUserId,
    /// The number of the last change in it.
    pub stream_id: i64,
    /// Each with its keys.
    pub devices: Vec<UserDevice>,
    /// The user's master key.
    pub master_key: Option<Box<RawValue>>,
    /// The key with which he signs his devices.
    pub self_signing_key: Option<Box<RawValue>>,
}

/// A device.
#[derive(Clone, Debug, Deserialize)]
pub struct UserDevice {
    /// Its id.
    pub device_id: String,
    /// What the user calls it.
    pub device_display_name: Option<String>,
    /// Its keys.
    pub keys: Option<Box<RawValue>>,
}

impl Federation {
    /// All devices of a user, by his server.
    pub async fn fetch_devices(&self, user_id: &UserId) -> Result<UserDevices, FetchError> {
        let server = user_id.server_name();
        let target = format!("/_matrix/federation/v1/user/devices/{}", encode(user_id.as_str()));
        let mut request = Outgoing::get(server, target);
        request.back_off = BackOff::Respect;
        let devices: UserDevices = read(server, &self.send(request).await?)?;
        if devices.user_id == user_id {
            Ok(devices)
        } else {
            Err(malformed(server, "devices of another user"))
        }
    }
}
