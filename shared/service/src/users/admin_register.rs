//! Making accounts with the shared secret: nonces and the proof of knowing the secret.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::{
    register::{NewAccount, check_available, choose_user_id, create_account},
    sessions::{DeviceWish, NewSession},
    tickets::{self, Kind},
};
use crate::{Ctx, ServiceError};
use ruma::OwnedUserId;

/// A request of somebody who claims to know the shared secret.
#[derive(Debug)]
pub struct AdminRegistration {
    pub nonce: String,
    pub username: String,
    pub password: String,
    pub display_name: Option<String>,
    pub admin: bool,
    pub user_type: Option<String>,
    /// HMAC-SHA1 by the secret, in hexadecimal.
    pub mac: String,
}

/// A nonce, if accounts can be made this way here. It is good once, at any process.
pub async fn give_nonce(ctx: &Ctx) -> Result<String, ServiceError> {
    secret(ctx)?;
    tickets::give(ctx, Kind::Nonce, &()).await
}

/// Checks the proof, then makes the account with a session.
pub async fn register_with_secret(
    ctx: &Ctx,
    registration: AdminRegistration,
) -> Result<(OwnedUserId, NewSession), ServiceError> {
    let secret = secret(ctx)?;
    if tickets::take::<()>(ctx, Kind::Nonce, &registration.nonce)
        .await?
        .is_none()
    {
        return Err(ServiceError::invalid_param(
            "the nonce is not known, or used, or too old",
        ));
    }
    if !is_proved(secret, &registration) {
        return Err(ServiceError::forbidden("the mac is wrong"));
    }
    let user_id = choose_user_id(&ctx.config.server_name, Some(&registration.username))?;
    check_available(ctx, &user_id).await?;
    let account = NewAccount {
        user_id: user_id.clone(),
        password_hash: Some(ctx.passwords.hash(registration.password).await?),
        admin: registration.admin,
        guest: false,
        upgrades_guest: false,
        display_name: registration.display_name,
        session: Some(DeviceWish::default()),
    };
    let session = create_account(ctx, account).await?;
    Ok((
        user_id,
        session.ok_or_else(|| ServiceError::internal("no session was made"))?,
    ))
}

fn secret(ctx: &Ctx) -> Result<&str, ServiceError> {
    let secret = ctx.config.registration.shared_secret.as_deref();
    secret.ok_or_else(|| ServiceError::forbidden("registration by shared secret is not enabled"))
}

fn is_proved(secret: &str, registration: &AdminRegistration) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    let role = if registration.admin { "admin" } else { "notadmin" };
    let fields = [
        &registration.nonce,
        &registration.username,
        &registration.password,
        role,
    ];
    for (i, field) in fields.into_iter().chain(registration.user_type.as_deref()).enumerate() {
        if i > 0 {
            mac.update(b"\0");
        }
        mac.update(field.as_bytes());
    }
    // Compares in constant time.
    decode_hex(&registration.mac).is_some_and(|shown| mac.verify_slice(&shown).is_ok())
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2).map(|at| &text[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(mac: &str) -> AdminRegistration {
        AdminRegistration {
            nonce: "thisisanonce".to_owned(),
            username: "pepper_roni".to_owned(),
            password: "pizza".to_owned(),
            display_name: None,
            admin: true,
            user_type: None,
            mac: mac.to_owned(),
        }
    }

    #[test]
    fn the_mac_proves_the_secret_and_every_field() {
        // printf 'thisisanonce\0pepper_roni\0pizza\0admin' | openssl sha1 -hmac shared_secret
        let mac = "48715842ad67d5dc9a9ee938a3bda4fcfae8d7c7";
        assert!(is_proved("shared_secret", &registration(mac)));
        assert!(is_proved("shared_secret", &registration(&mac.to_ascii_uppercase())));
        assert!(!is_proved("another", &registration(mac)));
        assert!(!is_proved(
            "shared_secret",
            &AdminRegistration {
                admin: false,
                ..registration(mac)
            }
        ));
        assert!(!is_proved(
            "shared_secret",
            &AdminRegistration {
                user_type: Some("bot".to_owned()),
                ..registration(mac)
            }
        ));
        for bad in ["", "0", "zz", "é0", &mac[2..]] {
            assert!(!is_proved("shared_secret", &registration(bad)), "{bad}");
        }
    }
}
