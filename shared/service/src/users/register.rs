//! Making accounts.

use plexus_proto::{self as proto, command::Kind};
use ruma::{OwnedUserId, ServerName, UserId};

use super::sessions::{DeviceWish, NewSession, plan_session};
use crate::{
    Ctx, ServiceError,
    error::Refusal,
    ids::{new_command, random_text},
};

/// Characters of a user name that this server makes up.
const RANDOM_USERNAME_CHARS: usize = 12;

/// An account to make.
#[derive(Debug)]
pub struct NewAccount {
    pub user_id: OwnedUserId,
    /// As [`Passwords`](super::passwords::Passwords) made it. `None`: nobody can log in with a password.
    pub password_hash: Option<String>,
    pub admin: bool,
    /// Whether it is a guest's.
    pub guest: bool,
    /// Whether it is there already, a guest's, and becomes a user's.
    pub upgrades_guest: bool,
    /// The name in the profile; the localpart if there is none.
    pub display_name: Option<String>,
    /// The first session, if there is to be one.
    pub session: Option<DeviceWish>,
}

/// The user id for a name a client asked for, in small letters, or for no name at all.
///
/// <https://spec.matrix.org/v1.19/appendices/#user-identifiers>: new ids are of the strict grammar.
pub fn choose_user_id(server_name: &ServerName, username: Option<&str>) -> Result<OwnedUserId, ServiceError> {
    let localpart = match username {
        // Capitals are another way to write the same name.
        Some(username) => own_localpart(server_name, username)?.to_ascii_lowercase(),
        None => random_text(RANDOM_USERNAME_CHARS).to_ascii_lowercase(),
    };
    let invalid = |why: &str| ServiceError::refused(Refusal::InvalidUsername, why);
    let allowed = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+');
    if localpart.is_empty() || !localpart.bytes().all(allowed) {
        return Err(invalid("a user name has the characters a-z, 0-9, and . _ = - / + only"));
    }
    if localpart.starts_with('_') {
        return Err(invalid("a user name does not start with an underscore"));
    }
    let user_id = UserId::parse(format!("@{localpart}:{server_name}"));
    user_id.map_err(|_| invalid("the user name is too long"))
}

/// Clients may give the whole user id for the name.
fn own_localpart<'a>(server_name: &ServerName, username: &'a str) -> Result<&'a str, ServiceError> {
    let Some(full) = username.strip_prefix('@') else {
        return Ok(username);
    };
    match full.split_once(':') {
        Some((localpart, server)) if server == server_name.as_str() => Ok(localpart),
        Some(_) | None => Err(ServiceError::refused(
            Refusal::InvalidUsername,
            "the user id is of another server",
        )),
    }
}

/// Refuses a user id that is taken. Only the master's answer is final; this one comes before the user has typed more.
pub async fn check_available(ctx: &Ctx, user_id: &UserId) -> Result<(), ServiceError> {
    if let Some(user) = ctx.store.user_nid(user_id).await?
        && ctx.store.account(user).await?.is_some()
    {
        return Err(ServiceError::refused(Refusal::UserInUse, "the user name is taken"));
    }
    Ok(())
}

/// Refuses registration where it is open to nobody, not even to those with a token.
pub fn check_open(ctx: &Ctx) -> Result<(), ServiceError> {
    let registration = &ctx.config.registration;
    if registration.open || !registration.tokens.is_empty() {
        Ok(())
    } else {
        Err(ServiceError::forbidden("registration is not open"))
    }
}

/// Makes an account, and its first session if there is to be one.
pub async fn create_account(ctx: &Ctx, account: NewAccount) -> Result<Option<NewSession>, ServiceError> {
    let NewAccount {
        user_id,
        password_hash,
        admin,
        guest,
        upgrades_guest,
        display_name,
        session,
    } = account;
    let planned = session.map(|wish| plan_session(ctx, wish)).transpose()?;
    let (session, stored) = planned.map_or((None, None), |(session, stored)| (Some(session), Some(stored)));
    let display_name = display_name.unwrap_or_else(|| user_id.localpart().to_owned());
    let command = proto::Register {
        user_id: user_id.to_string(),
        password_hash,
        admin,
        guest,
        upgrades_guest,
        session: stored,
        display_name,
    };
    ctx.replica.run(new_command(Kind::Register(command))).await?;
    Ok(session)
}

/// Makes an account with a password and no session: what `plexus register-user` does.
pub async fn register_account(
    ctx: &Ctx,
    localpart: &str,
    password: String,
    admin: bool,
) -> Result<OwnedUserId, ServiceError> {
    let user_id = choose_user_id(&ctx.config.server_name, Some(localpart))?;
    check_available(ctx, &user_id).await?;
    let account = NewAccount {
        user_id: user_id.clone(),
        password_hash: Some(ctx.passwords.hash(password).await?),
        admin,
        guest: false,
        upgrades_guest: false,
        display_name: None,
        session: None,
    };
    create_account(ctx, account).await?;
    Ok(user_id)
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn user_ids_are_of_the_strict_grammar() {
        let choose = |name: &str| choose_user_id(server_name!("here"), Some(name)).map(String::from).ok();
        assert_eq!(choose("alice").as_deref(), Some("@alice:here"));
        assert_eq!(choose("@alice:here").as_deref(), Some("@alice:here"));
        assert_eq!(choose("Alice").as_deref(), Some("@alice:here"));
        assert_eq!(choose("a.b_c=d-e/f+9").as_deref(), Some("@a.b_c=d-e/f+9:here"));
        for bad in [
            "",
            "a b",
            "_bridge",
            "@alice:there",
            "@alice",
            "ä",
            "a:b",
            &"a".repeat(255),
        ] {
            assert_eq!(choose(bad), None, "{bad}");
        }
        let random = choose_user_id(server_name!("here"), None).expect("a name is made up");
        assert_eq!(random.localpart().len(), RANDOM_USERNAME_CHARS);
    }
}
