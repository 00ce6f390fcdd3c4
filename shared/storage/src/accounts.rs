//! Table `accounts`: the users who log in here.

use std::sync::Arc;

use plexus_core::ids::UserNid;

use crate::{
    Store, StoreError,
    cache::{Changing, bounded},
    db::{Statement, Value},
    sql::{Int as _, one_row, opt_text, text},
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 8 << 20;

/// A local account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose it is.
    pub user: UserNid,
    /// Argon2 in PHC form; none: nobody can log in with a password.
    pub password_hash: Option<String>,
    /// Whether this is a server administrator.
    pub admin: bool,
    /// Whether it was made without a name or a password, to look around.
    pub guest: bool,
    /// Whether nobody can log in any more.
    pub deactivated: bool,
    /// What administrators, or its owner at the end, decided about it.
    pub standing: Standing,
    /// When it was made.
    pub created_ms: i64,
}

/// What administrators, or its owner at the end, decided about an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It cannot be used for now.
    pub locked: bool,
    /// It can read, and hardly more.
    pub suspended: bool,
    /// What it said is shown only to those who were there when it was said.
    pub erased: bool,
}

/// Makes an account.
pub fn insert(account: &Account) -> Statement {
    one_row(
        "-- accounts::insert
        INSERT INTO accounts (user_nid, password_hash, admin, guest, deactivated, created_ms) VALUES ($1, $2, $3, $4, $5, $6)",
        [
            account.user.int(),
            opt_text(account.password_hash.as_deref()),
            Value::Bool(account.admin),
            Value::Bool(account.guest),
            Value::Bool(account.deactivated),
            account.created_ms.int(),
        ],
    )
}

/// Makes a guest's account a user's.
pub fn upgrade(user: UserNid, password_hash: Option<&str>) -> Statement {
    one_row(
        "-- accounts::upgrade
        UPDATE accounts SET guest = FALSE, password_hash = $2 WHERE user_nid = $1 AND guest",
        [user.int(), opt_text(password_hash)],
    )
}

/// Changes the password.
pub fn set_password(user: UserNid, password_hash: &str) -> Statement {
    one_row(
        "-- accounts::set_password
        UPDATE accounts SET password_hash = $2 WHERE user_nid = $1",
        [user.int(), text(password_hash)],
    )
}

/// Changes what was decided about an account.
pub fn set_standing(user: UserNid, standing: Standing) -> Statement {
    one_row(
        "-- accounts::set_standing
        UPDATE accounts SET locked = $2, suspended = $3, erased = $4 WHERE user_nid = $1",
        [
            user.int(),
            Value::Bool(standing.locked),
            Value::Bool(standing.suspended),
            Value::Bool(standing.erased),
        ],
    )
}

/// Closes an account: nobody logs in any more, and nobody knows its password.
pub fn deactivate(user: UserNid) -> Statement {
    one_row(
        "-- accounts::deactivate
        UPDATE accounts SET deactivated = TRUE, password_hash = NULL WHERE user_nid = $1",
        [user.int()],
    )
}

/// Who has an account, and who has none.
pub(crate) type Accounts = Changing<UserNid, Option<Arc<Account>>>;

pub(crate) fn cache() -> Accounts {
    Changing::new(bounded(CACHE_BYTES, 200, |_, account| {
        let hash = account.as_ref().and_then(|account| account.password_hash.as_ref());
        size_of::<Account>() as u64 + hash.map_or(0, |hash| hash.len() as u64)
    }))
}

impl Store {
    /// A user's account; none for a user of another server.
    pub async fn account(&self, user: UserNid) -> Result<Option<Arc<Account>>, StoreError> {
        self.caches()
            .accounts
            .get_or_load(&user, || self.load_account(user))
            .await
    }

    async fn load_account(&self, user: UserNid) -> Result<Option<Arc<Account>>, StoreError> {
        let sql = "-- accounts::account
            SELECT password_hash, admin, guest, deactivated, locked, suspended, erased, created_ms FROM accounts WHERE user_nid = $1";
        let Some(row) = self.db().query_opt(sql, &[user.int()]).await? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Account {
            user,
            password_hash: row.opt_text(0)?.map(str::to_owned),
            admin: row.bool(1)?,
            guest: row.bool(2)?,
            deactivated: row.bool(3)?,
            standing: Standing {
                locked: row.bool(4)?,
                suspended: row.bool(5)?,
                erased: row.bool(6)?,
            },
            created_ms: row.int(7)?,
        })))
    }
}
