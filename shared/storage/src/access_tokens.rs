//! Table `access_tokens`: which request comes from which device. Only hashes are stored.

use std::{collections::HashMap, sync::Arc};

use plexus_core::ids::UserNid;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

use crate::{
    Store, StoreError,
    accounts::Standing,
    cache::{Cache, CacheUse, Changing, bounded, usage},
    db::{DbRow, Statement, Value},
    sql::{Int as _, bytes, one_row, opt_int, statement, text},
};

/// SHA-256 of an access token.
pub type TokenHash = [u8; 32];

/// Bounds the cache of whose token is whose.
const OWNERS_BYTES: u64 = 8 << 20;

/// Bounds the cache of users' sessions.
const SESSIONS_BYTES: u64 = 16 << 20;

/// Most sessions of one user that are kept; the others are read from the database each time.
const SESSIONS_PER_USER_MAX: i64 = 1_000;

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The user.
    pub user: UserNid,
    /// His id.
    pub user_id: OwnedUserId,
    /// The device he uses.
    pub device_id: OwnedDeviceId,
    /// Whether he is a server administrator.
    pub admin: bool,
    /// Whether he is a guest.
    pub guest: bool,
    /// Whether his account was closed.
    pub deactivated: bool,
    /// What was decided about his account.
    pub standing: Standing,
    /// How long the token is good.
    pub life: TokenLife,
}

/// How long an access token is good, and what its use means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLife {
    /// When it ends, if it does: the client has a refresh token then.
    pub expires_ms: Option<i64>,
    /// It was given for a refresh token, and its first use is to end the pair of tokens before it.
    pub unconfirmed: bool,
}

/// Gives a device an access token.
pub fn insert(
    token_hash: &TokenHash,
    user: UserNid,
    device_id: &DeviceId,
    life: TokenLife,
    created_ms: i64,
) -> Statement {
    one_row(
        "-- access_tokens::insert
        INSERT INTO access_tokens (token_hash, user_nid, device_id, expires_ms, unconfirmed, created_ms) VALUES ($1, $2, $3, $4, $5, $6)",
        [
            bytes(token_hash),
            user.int(),
            text(device_id.as_str()),
            opt_int(life.expires_ms),
            Value::Bool(life.unconfirmed),
            created_ms.int(),
        ],
    )
}

/// Removes the access tokens of a device.
pub fn delete_of_device(user: UserNid, device_id: &DeviceId) -> Statement {
    statement(
        "-- access_tokens::delete_of_device
        DELETE FROM access_tokens WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str())],
    )
}

/// Removes the access tokens of a device but for one.
pub fn delete_others(user: UserNid, device_id: &DeviceId, kept: &TokenHash) -> Statement {
    statement(
        "-- access_tokens::delete_others
        DELETE FROM access_tokens WHERE user_nid = $1 AND device_id = $2 AND token_hash <> $3",
        [user.int(), text(device_id.as_str()), bytes(kept)],
    )
}

/// Notes that a token given for a refresh token has been used.
pub fn confirm(token_hash: &TokenHash) -> Statement {
    statement(
        "-- access_tokens::confirm
        UPDATE access_tokens SET unconfirmed = FALSE WHERE token_hash = $1",
        [bytes(token_hash)],
    )
}

/// Some of a user's sessions, [`SESSIONS_PER_USER_MAX`] at most.
type UserSessions = HashMap<TokenHash, Arc<Session>>;

/// What has been read of the table.
///
/// Whose a token is never changes, so that is kept for good; whether it is still valid changes with rows that name the user, so that is kept by user.
#[derive(Debug)]
pub(crate) struct Sessions {
    owners: Cache<TokenHash, UserNid>,
    of_users: Changing<UserNid, Arc<UserSessions>>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            owners: bounded(OWNERS_BYTES, 40, |_, _| 40),
            of_users: Changing::new(bounded(SESSIONS_BYTES, 400, |_, sessions| {
                sessions.values().map(|session| weight(session)).sum()
            })),
        }
    }

    /// A device or the account of the user changed.
    pub(crate) fn forget(&self, user: UserNid) {
        self.of_users.forget(&user);
    }

    pub(crate) fn forget_all(&self) {
        self.of_users.forget_all();
    }

    pub(crate) fn usage(&self) -> [CacheUse; 2] {
        [usage("token_owners", &self.owners), self.of_users.usage("sessions")]
    }
}

fn weight(session: &Session) -> u64 {
    let text = session.user_id.as_str().len() + session.device_id.as_str().len();
    (size_of::<TokenHash>() + size_of::<Session>() + text + 48) as u64
}

impl Store {
    /// The session an access token belongs to; none if it was never given out or is no longer valid.
    pub async fn session(&self, token_hash: &TokenHash) -> Result<Option<Arc<Session>>, StoreError> {
        let Some(user) = self.token_owner(token_hash).await? else {
            return Ok(None);
        };
        let cache = &self.caches().sessions.of_users;
        let sessions = cache.get_or_load(&user, || self.load_sessions(user)).await?;
        if let Some(session) = sessions.get(token_hash) {
            return Ok(Some(Arc::clone(session)));
        }
        // Logged out, or one of too many, or logged in just now and this process has not heard of it: the database knows.
        self.load_session(token_hash).await
    }

    async fn token_owner(&self, token_hash: &TokenHash) -> Result<Option<UserNid>, StoreError> {
        let cache = &self.caches().sessions.owners;
        if let Some(user) = cache.get(token_hash) {
            return Ok(Some(user));
        }
        let sql = "-- access_tokens::token_owner
            SELECT user_nid FROM access_tokens WHERE token_hash = $1";
        let Some(row) = self.db().query_opt(sql, &[bytes(token_hash)]).await? else {
            return Ok(None);
        };
        let user = UserNid(row.int(0)?);
        cache.insert(*token_hash, user);
        Ok(Some(user))
    }

    async fn load_sessions(&self, user: UserNid) -> Result<Arc<UserSessions>, StoreError> {
        let sql = "-- access_tokens::load_sessions
            SELECT t.token_hash, t.user_nid, u.user_id, t.device_id, a.admin, a.guest, a.deactivated,
            a.locked, a.suspended, a.erased, t.expires_ms, t.unconfirmed
            FROM access_tokens t JOIN users u ON u.user_nid = t.user_nid JOIN accounts a ON a.user_nid = t.user_nid
            WHERE t.user_nid = $1 LIMIT $2";
        let rows = self.db().query(sql, &[user.int(), SESSIONS_PER_USER_MAX.int()]).await?;
        let sessions = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Arc::new(sessions))
    }

    async fn load_session(&self, token_hash: &TokenHash) -> Result<Option<Arc<Session>>, StoreError> {
        let sql = "-- access_tokens::load_session
            SELECT t.token_hash, t.user_nid, u.user_id, t.device_id, a.admin, a.guest, a.deactivated,
            a.locked, a.suspended, a.erased, t.expires_ms, t.unconfirmed
            FROM access_tokens t JOIN users u ON u.user_nid = t.user_nid JOIN accounts a ON a.user_nid = t.user_nid
            WHERE t.token_hash = $1";
        let row = self.db().query_opt(sql, &[bytes(token_hash)]).await?;
        Ok(row.as_ref().map(read).transpose()?.map(|(_, session)| session))
    }
}

fn read(row: &DbRow) -> Result<(TokenHash, Arc<Session>), StoreError> {
    let corrupt = |what: String| StoreError::corrupt("access_tokens", what);
    let token_hash =
        TokenHash::try_from(&*row.bytes(0)?).map_err(|_| corrupt("a hash that is not 32 bytes".to_owned()))?;
    let session = Session {
        user: UserNid(row.int(1)?),
        user_id: UserId::parse(row.text(2)?).map_err(|error| corrupt(error.to_string()))?,
        device_id: row.text(3)?.into(),
        admin: row.bool(4)?,
        guest: row.bool(5)?,
        deactivated: row.bool(6)?,
        standing: Standing {
            locked: row.bool(7)?,
            suspended: row.bool(8)?,
            erased: row.bool(9)?,
        },
        life: TokenLife {
            expires_ms: row.opt_int(10)?,
            unconfirmed: row.bool(11)?,
        },
    };
    Ok((token_hash, Arc::new(session)))
}
