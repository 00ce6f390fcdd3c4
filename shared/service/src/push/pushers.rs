//! Pushers: where a device wants to be told of events.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset>

use plexus_proto::{self as proto, command::Kind};
use plexus_storage::pushers::Pusher;
use serde_json::{Map, Value};

use crate::{Ctx, Requester, ServiceError, ids::new_command};

/// Most bytes of an application id, by specification.
const APP_ID_BYTES_MAX: usize = 64;
/// Most bytes of a pushkey, by specification.
const PUSHKEY_BYTES_MAX: usize = 512;
/// Most bytes of everything else a pusher says.
const REST_BYTES_MAX: usize = 8 * 1024;
/// The one path of a push gateway.
const GATEWAY_PATH: &str = "/_matrix/push/v1/notify";

/// A pusher as a client describes it.
#[derive(Clone, Debug)]
pub struct NewPusher {
    pub app_id: String,
    pub pushkey: String,
    pub app_display_name: String,
    pub device_display_name: String,
    pub profile_tag: Option<String>,
    pub lang: String,
    /// `url`, `format`, and what the gateway is to be told besides.
    pub data: Map<String, Value>,
    /// Whether other users keep theirs with the same application and key.
    pub append: bool,
}

/// Makes a pusher of the requester, or changes it.
pub async fn set_pusher(ctx: &Ctx, requester: &Requester, new: NewPusher) -> Result<(), ServiceError> {
    check_key(&new.app_id, &new.pushkey)?;
    check_gateway(&new.data)?;
    let data = Value::Object(new.data).to_string();
    let texts = [&new.app_display_name, &new.device_display_name, &new.lang, &data];
    let profile_tag = new.profile_tag.as_deref().unwrap_or_default();
    let bytes = texts.iter().map(|text| text.len()).sum::<usize>() + profile_tag.len();
    if bytes > REST_BYTES_MAX {
        return Err(ServiceError::invalid_param("the pusher is too large"));
    }
    if texts[..3].iter().any(|text| text.contains('\0')) || profile_tag.contains('\0') {
        return Err(ServiceError::invalid_param("a pusher's names have no NUL"));
    }
    let command = proto::SetPusher {
        user_id: requester.user_id.to_string(),
        device_id: requester.device_id.to_string(),
        app_id: new.app_id,
        pushkey: new.pushkey,
        app_display_name: new.app_display_name,
        device_display_name: new.device_display_name,
        profile_tag: new.profile_tag,
        lang: new.lang,
        data: data.into(),
        append: new.append,
    };
    ctx.replica.run(new_command(Kind::SetPusher(command))).await?;
    Ok(())
}

/// Removes a pusher of the requester; one that is not there is gone already.
pub async fn delete_pusher(
    ctx: &Ctx,
    requester: &Requester,
    app_id: String,
    pushkey: String,
) -> Result<(), ServiceError> {
    check_key(&app_id, &pushkey)?;
    let command = proto::DeletePusher {
        user_id: requester.user_id.to_string(),
        app_id,
        pushkey,
    };
    ctx.replica.run(new_command(Kind::DeletePusher(command))).await?;
    Ok(())
}

/// The requester's pushers.
pub async fn list_pushers(ctx: &Ctx, requester: &Requester) -> Result<Vec<Pusher>, ServiceError> {
    Ok(ctx.store.pushers(requester.user).await?)
}

fn check_key(app_id: &str, pushkey: &str) -> Result<(), ServiceError> {
    if app_id.len() > APP_ID_BYTES_MAX || pushkey.len() > PUSHKEY_BYTES_MAX {
        return Err(ServiceError::invalid_param("app_id or pushkey is too long"));
    }
    if app_id.contains('\0') || pushkey.contains('\0') {
        return Err(ServiceError::invalid_param("app_id and pushkey have no NUL"));
    }
    Ok(())
}

/// Whether `data` names a push gateway. Which addresses it may have is decided when it is connected to.
fn check_gateway(data: &Map<String, Value>) -> Result<(), ServiceError> {
    let url = data.get("url").and_then(Value::as_str);
    let url = url.ok_or_else(|| ServiceError::refused(crate::error::Refusal::MissingParam, "data.url is missing"))?;
    let invalid = || ServiceError::invalid_param(format!("data.url is not http(s)://…{GATEWAY_PATH}"));
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let (host, path) = rest.and_then(|rest| rest.split_once('/')).ok_or_else(invalid)?;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if host.is_empty() || path != &GATEWAY_PATH[1..] {
        return Err(invalid());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_gateway_can_be_told() {
        let gateway = |url: &str| {
            let data = json!({ "url": url });
            check_gateway(data.as_object().expect("an object"))
        };
        assert!(gateway("https://push.example/_matrix/push/v1/notify").is_ok());
        assert!(gateway("http://127.0.0.1:8000/_matrix/push/v1/notify?key=1").is_ok());
        for bad in [
            "https://push.example/other",
            "https:///_matrix/push/v1/notify",
            "ftp://push.example/_matrix/push/v1/notify",
            "push.example/_matrix/push/v1/notify",
            "",
        ] {
            assert!(gateway(bad).is_err(), "{bad}");
        }
        assert!(check_gateway(&Map::new()).is_err());
    }
}
